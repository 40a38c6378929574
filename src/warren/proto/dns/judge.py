"""What an answer proves about a name: that it is domestic, foreign, nothing at all, or that somebody lies.

The addresses decide, of A, AAAA and HTTPS records alike (ChinaDNS let AAAA pass unjudged). Of ChinaDNS's defences
these make sense still: an answer of the domestic side with foreign addresses is not believed, nor is one with addresses
that no public name has, nor an empty one. Others do not: the trusted side is asked through a tunnel, where nobody
injects anything, so its answers need no delay, no list of known forgeries and no mutilated question.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network

from warren.proto.dns.message import NOERROR, PTR, Answer

Span = tuple[int, int]

# No public name has an address of these: a resolver that gives one blocks, leads to a page of its own, or lets
# somebody's name stand for a machine on your LAN (rebinding). RFC 6890.
UNBELIEVABLE = {
    4: ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
    6: ("::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8"),
}
_ARPA = ((b"\x07in-addr\x04arpa\x00", 4), (b"\x03ip6\x04arpa\x00", 6))


class Proof(Enum):
    """What an answer says about the name that was asked for."""

    DOMESTIC = "domestic"
    FOREIGN = "foreign"
    NOTHING = "nothing"
    FORGED = "forged"


class AddressSet:
    """Addresses by family, as sorted, disjoint spans."""

    def __init__(self, spans: Mapping[int, Sequence[Span]]) -> None:
        self._firsts = {family: [first for first, _ in held] for family, held in spans.items()}
        self._lasts = {family: [last for _, last in held] for family, held in spans.items()}

    def holds(self, family: int, address: int) -> bool:
        """Say whether an address is among them."""
        firsts = self._firsts.get(family)
        if not firsts:
            return False
        at = bisect_right(firsts, address) - 1
        return at >= 0 and address <= self._lasts[family][at]


def set_of(prefixes: Iterable[IPv4Network | IPv6Network]) -> AddressSet:
    """Make a set of prefixes, which may lie within each other."""
    spans: dict[int, list[Span]] = {4: [], 6: []}
    for prefix in prefixes:
        spans[prefix.version].append((int(prefix.network_address), int(prefix.broadcast_address)))
    merged: dict[int, list[Span]] = {}
    for family, held in spans.items():
        out: list[Span] = []
        for first, last in sorted(held):
            if out and first <= out[-1][1] + 1:
                out[-1] = (out[-1][0], max(last, out[-1][1]))
            else:
                out.append((first, last))
        merged[family] = out
    return AddressSet(merged)


_NEVER = set_of(ip_network(text) for texts in UNBELIEVABLE.values() for text in texts)


@dataclass(frozen=True, slots=True)
class Judge:
    """Knows what is domestic."""

    domestic: AddressSet

    def proof(self, answer: Answer) -> Proof:
        """Say what an answer proves: all its addresses must be domestic for the name to be so."""
        if answer.code != NOERROR or not answer.addresses:
            return Proof.NOTHING
        if any(_NEVER.holds(family, address) for family, address in answer.addresses):
            return Proof.FORGED
        inside = all(self.domestic.holds(family, address) for family, address in answer.addresses)
        return Proof.DOMESTIC if inside else Proof.FOREIGN

    def is_domestic_pointer(self, kind: int, key: bytes) -> bool:
        """Say whether a PTR question is about a domestic address: whose it is, its own country may tell."""
        address = pointed_at(key) if kind == PTR else None
        return address is not None and self.domestic.holds(*address)


def pointed_at(key: bytes) -> tuple[int, int] | None:
    """Give the address whose name `4.3.2.1.in-addr.arpa` or its like in ip6.arpa is (RFC 1035 3.5, RFC 3596)."""
    for end, family in _ARPA:
        if not key.endswith(end):
            continue
        labels = _labels(key[: -len(end)])
        try:
            if family == 4 and len(labels) == 4:
                octets = [int(label) for label in reversed(labels)]
                return (4, int.from_bytes(bytes(octets), "big")) if max(octets) < 256 else None
            if family == 6 and len(labels) == 32 and all(len(label) == 1 for label in labels):
                return 6, int(b"".join(reversed(labels)), 16)
        except ValueError:
            return None
    return None


def _labels(wire: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(wire):
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return found
