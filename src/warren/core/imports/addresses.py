"""The overlay that confs imply, and everybody's address in it.

A conf's `Address = 10.0.0.2/24` says both: an address, and the prefix that the tunnel's addresses come from. Of who has
no conf, the single addresses among its AllowedIPs are what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from warren.core.allot import room
from warren.core.imports.diagnostics import finding
from warren.core.imports.given import Given
from warren.core.imports.parties import Party
from warren.model.diagnostic import Diagnostic, Where
from warren.model.key import PublicKey
from warren.model.prefix import (
    FAMILIES,
    PRIVATE,
    Address,
    Family,
    Interface,
    Prefix,
    covers,
    host_prefix,
    overlaps,
    span_of,
)

# An overlay that joins several subnets is at most so wide: all of it is the network's, and is sent nowhere else.
WIDEST = {Family.IPV4: 16, Family.IPV6: 48}


@dataclass(frozen=True)
class Addressed:
    """The overlay, the addresses in it by party's key, and those that no conf says."""

    overlay: tuple[Prefix, ...] = ()
    held: dict[PublicKey, tuple[Address, ...]] | None = None
    guessed: frozenset[Address] = frozenset()

    def of(self, key: PublicKey) -> tuple[Address, ...]:
        """Give a party's addresses, IPv4 first."""
        return (self.held or {}).get(key, ())

    def known(self, key: PublicKey) -> tuple[Prefix, ...]:
        """Give those of a party's addresses that confs say, as prefixes."""
        return tuple(host_prefix(address) for address in self.of(key) if address not in self.guessed)


def find_addresses(parties: Sequence[Party]) -> tuple[Addressed, tuple[Diagnostic, ...]]:
    """Find the overlay and the addresses; without any, the finding that says so."""
    found: list[Diagnostic] = []
    overlay: list[Prefix] = []
    held: dict[PublicKey, tuple[Address, ...]] = {party.key: () for party in parties}
    guessed: set[Address] = set()
    for family in FAMILIES:
        prefix = _overlay(parties, family)
        if prefix is not None:
            overlay.append(prefix)
            mine = dict(_taken(parties, prefix, found))
            missing = _Guesses(parties, prefix, set(mine.values()))
            for party in parties:
                if party.key not in mine:
                    mine[party.key] = missing.give(party)
                    guessed.add(mine[party.key])
                held[party.key] += (mine[party.key],)
    if not overlay:
        return Addressed(), tuple(finding("W168", party.given.top) for party in parties[:1] if party.given)
    found += _outside(parties, overlay)
    return Addressed(tuple(overlay), held, frozenset(guessed)), tuple(found)


# --- the overlay ---------------------------------------------------------------------------------------------


def _overlay(parties: Sequence[Party], family: Family) -> Prefix | None:
    """Choose the overlay's prefix of a family: the confs' own subnet, or what holds several of them together."""
    own = [address for party in parties for address in _own(party, family)]
    subnets = sorted({address.network for address in own}, key=lambda net: (-net.prefixlen, span_of(net)))
    known: list[Address] = [address.ip for address in own]
    for party in parties:
        singles = [] if party.given is not None else _singles(party, family)
        if singles and not any(covers(net, one) for one in singles for net in subnets):
            known.append(singles[0])
    if not known:
        return None
    wide = _holding(subnets, list(dict.fromkeys(one.network for one in own)), known, family)
    inside = [
        prefix
        for prefix in _allowed(parties, family)
        if covers(wide, prefix) and prefix not in subnets and not any(covers(prefix, one) for one in known)
    ]
    if inside and all(_own(party, family) or _singles(party, family) for party in parties):
        every = known + [one for party in parties for one in _singles(party, family) if covers(wide, one)]
        tight = _roomy(_hull(map(host_prefix, every)), every, len(parties))
        if not any(overlaps(tight, prefix) for prefix in inside):
            return tight
    return _roomy(wide, [one for one in known if covers(wide, one)], len(parties))


def _holding(subnets: Sequence[Prefix], written: Sequence[Prefix], known: Sequence[Address], family: Family) -> Prefix:
    """Give the smallest subnet that holds all addresses, or one that joins several, or else the most popular.

    `subnets` are the narrow ones first, `written` the same in the order of the confs.
    """
    for subnet in subnets:
        if all(covers(subnet, one) for one in known):
            return subnet
    joined = _hull([*subnets, *map(host_prefix, known)])
    if joined.prefixlen >= WIDEST[family] and any(covers(private, joined) for private in PRIVATE):
        return joined
    return max(written or [joined], key=lambda net: sum(covers(net, one) for one in known))


def _hull(prefixes: Iterable[Prefix]) -> Prefix:
    """Give the smallest prefix that holds all of some of one family."""
    every = list(prefixes)
    spans = [span_of(prefix) for prefix in every]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    bits = every[0].max_prefixlen
    length = bits - (first ^ last).bit_length()
    base = first >> (bits - length) << (bits - length)
    return ip_network((IPv4Address(base) if bits == 32 else IPv6Address(base), length))


def _roomy(prefix: Prefix, known: Sequence[Address], parties: int) -> Prefix:
    """Widen a prefix until all its addresses can be allotted, and there is one for everybody."""
    while prefix.prefixlen > 0 and (room(prefix) < parties or any(not _fits(prefix, one) for one in known)):
        prefix = prefix.supernet()
    return prefix


def _fits(prefix: Prefix, address: Address) -> bool:
    if prefix.num_addresses <= 2:
        return True
    return address != prefix.network_address and not (prefix.version == 4 and address == prefix.broadcast_address)


# --- who has which -------------------------------------------------------------------------------------------


def _own(party: Party, family: Family) -> tuple[Interface, ...]:
    given = party.given
    return tuple(one for one in given.conf.addresses if one.version == family) if given is not None else ()


def _singles(party: Party, family: Family) -> list[Address]:
    """List the single addresses that others say a party has, in the order of the confs."""
    alone = (prefix for _, peer in party.seen for prefix in peer.allowed_ips if prefix.prefixlen == family.bits)
    return list(dict.fromkeys(prefix.network_address for prefix in alone if prefix.version == family))


def _allowed(parties: Iterable[Party], family: Family) -> Iterator[Prefix]:
    """List the prefixes of several addresses that anybody is said to hold."""
    for party in parties:
        for _, peer in party.seen:
            yield from (p for p in peer.allowed_ips if p.version == family and 0 < p.prefixlen < family.bits)


def _taken(parties: Sequence[Party], prefix: Prefix, found: list[Diagnostic]) -> Iterator[tuple[PublicKey, Address]]:
    """Give each address that confs say, once: what somebody says of itself comes before what others say."""
    family = Family(prefix.version)
    holders: dict[Address, Party] = {}
    for party in sorted(parties, key=lambda party: party.given is None):
        wanted = [one.ip for one in _own(party, family)] if party.given else _singles(party, family)
        mine = [one for one in wanted if covers(prefix, one)]
        free = next((one for one in mine if one not in holders), None)
        for address in mine:
            if address != free and (other := holders.get(address)) is not None and other is not party:
                what = f"`{other.name}` and `{party.name}` both have the tunnel address {address}"
                remedy = f"`{other.name}` keeps it; give `{party.name}` another one in the lock if it is not right."
                found.append(finding("W162", _place(party, address), what=what, remedy=remedy))
            elif address != free:
                what = f"`{party.name}` has more than one tunnel address, and only {free} is kept: not {address}"
                remedy = "What was reached by that address is reached by the other one now."
                found.append(finding("W163", _place(party, address), what=what, remedy=remedy))
        if free is not None:
            holders[free] = party
            yield party.key, free


def _outside(parties: Iterable[Party], overlay: Sequence[Prefix]) -> Iterator[Diagnostic]:
    """Find the tunnel addresses of confs that lie in no prefix of the overlay."""
    for party in parties:
        for address in party.given.conf.addresses if party.given is not None else ():
            if not any(covers(prefix, address.ip) for prefix in overlay):
                chosen = " and ".join(str(prefix) for prefix in overlay if prefix.version == address.version)
                what = f"{address.ip} of `{party.name}` is not kept: the overlay is {chosen or 'of the other family'}"
                remedy = "An overlay is one prefix of each family. Renumber what has such an address, or do without it."
                yield finding("W163", _place(party, address.ip), what=what, remedy=remedy)


def _place(party: Party, address: Address) -> Where:
    if party.given is not None:
        return party.given.setting("address")
    alone = host_prefix(address)
    holders: list[tuple[Given, PublicKey]] = [
        (given, peer.public_key) for given, peer in party.seen if alone in peer.allowed_ips
    ]
    given, key = holders[0]
    return given.allowed(key, alone)


class _Guesses:
    """Addresses for those of whom no conf says one: what is likely, then what is free."""

    def __init__(self, parties: Sequence[Party], prefix: Prefix, used: set[Address]) -> None:
        self.prefix, self.used = prefix, used
        self.next = 0

    def give(self, party: Party) -> Address:
        """Choose an address: the first of the party's part of the overlay, its resolver's, the next free one."""
        address = next((one for one in self._likely(party) if self._free(one)), None)
        while address is None:
            one = self.prefix[self.next]
            self.next += 1
            address = one if self._free(one) else None
        self.used.add(address)
        return address

    def _free(self, address: Address) -> bool:
        return covers(self.prefix, address) and _fits(self.prefix, address) and address not in self.used

    def _likely(self, party: Party) -> Iterator[Address]:
        for given, peer in party.seen:
            for prefix in peer.allowed_ips:
                if covers(self.prefix, prefix) and prefix != self.prefix:
                    yield prefix[1] if prefix.num_addresses > 1 else prefix.network_address
            if len(given.peers) == 1:  # a provider's resolver is its own end of the tunnel
                yield from given.conf.dns
