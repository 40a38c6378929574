"""Published lists of prefixes: one entry a line, in the forms that such lists come in.

    192.0.2.0/24        a prefix, or an address alone          most lists, FireHOL's netsets
    192.0.2.0-192.0.2.9 a range, both ends in it               iprange, ipset
    route 192.0.2.0 255.255.255.0 net_gateway 5                chnroutes for OpenVPN
    route add 192.0.2.0 mask 255.255.255.0 …                   chnroutes for Windows
    add 192.0.2.0/24    `ip -batch`, `ipset restore`           also `add NAME 192.0.2.0/24`

What follows `#` or `;` is a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from warren.core.geo.domains import MOST_DOMAINS, read_domains
from warren.core.geo.special import only_public
from warren.model.named_set import ListKind
from warren.model.prefix import FAMILIES, Family, Prefix, Span, family_of, prefixes_of, span_of

MOST_BYTES = 16 << 20
MOST_PREFIXES = 500_000  # the kernel holds them all in memory
MOST_ODD = 5  # lines not understood that are told
_COMMENT = re.compile(r"[#;].*")
_PLAIN = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?:/([0-9]{1,2}))?")
_OCTETS = {str(number): number for number in range(256)}
_ADDRESS_LIKE = re.compile(r"[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]*(/[0-9.]+)?")


@dataclass(frozen=True, slots=True)
class PrefixList:
    """The prefixes of a list, merged, IPv4 first; `odd` are lines that were not understood: number and text."""

    prefixes: tuple[Prefix, ...]
    entries: int
    odd: tuple[tuple[int, str], ...]
    odd_count: int


class BadList(ValueError):
    """What makes a file from the web none of the lists it should be."""


def judge(data: bytes, kind: ListKind) -> int:
    """Count the entries of a list that came from the web; BadList if it is an error page, or none of its kind."""
    if len(data) > MOST_BYTES:
        raise BadList(f"it has more than {MOST_BYTES:,} bytes")
    if data.lstrip()[:1] == b"<":
        raise BadList("it is a page of the web")
    if kind is ListKind.DOMAINS:
        return _judge_domains(data)
    found = read_list(data)
    if not found.prefixes:
        raise BadList("it holds no public address")
    if len(found.prefixes) > MOST_PREFIXES:
        raise BadList(f"it has more than {MOST_PREFIXES:,} prefixes")
    if found.odd_count > found.entries:
        number, text = found.odd[0]
        raise BadList(f"most of its lines are neither prefixes nor addresses, for instance line {number}: {text}")
    return found.entries


def _judge_domains(data: bytes) -> int:
    """Count the entries of a list of domains."""
    found = read_domains(data)
    if not found.domains:
        raise BadList("it holds no domain")
    if len(found.domains) > MOST_DOMAINS:
        raise BadList(f"it has more than {MOST_DOMAINS:,} domains")
    if found.odd_count > found.entries:
        number, text = found.odd[0]
        raise BadList(f"most of its lines are no domains, for instance line {number}: {text}")
    return found.entries


def read_list(data: bytes) -> PrefixList:
    """Read a list; whatever the bytes are, this raises nothing."""
    spans: dict[Family, list[Span]] = {family: [] for family in FAMILIES}
    odd: list[tuple[int, str]] = []
    odd_count = entries = 0
    for number, line in enumerate(data[:MOST_BYTES].decode("utf-8", "replace").splitlines(), start=1):
        text = _COMMENT.sub("", line).strip()
        if not text:
            continue
        entry = _entry(text)
        if entry is None:
            odd_count += 1
            if len(odd) < MOST_ODD:
                odd.append((number, text[:80]))
            continue
        entries += 1
        spans[entry[0]].append(entry[1])
    prefixes = tuple(
        prefix for family in FAMILIES for prefix in prefixes_of(only_public(spans[family], family), family)
    )
    return PrefixList(prefixes, entries, tuple(odd), odd_count)


def _entry(text: str) -> tuple[Family, Span] | None:
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return _plain(*plain.groups("32"))
    words = text.split()
    first, dash, last = text.partition("-")
    try:
        if dash and len(words) <= 3:
            return _range(first.strip(), last.strip())
        if words[:2] == ["route", "add"] and words[3:4] == ["mask"] and len(words) >= 5:
            prefix = ip_network(f"{words[2]}/{words[4]}", strict=False)
        elif words[0] == "route" and len(words) >= 3:
            prefix = ip_network(f"{words[1]}/{words[2]}", strict=False)
        else:
            prefix = ip_network(next(word for word in words if _ADDRESS_LIKE.fullmatch(word)), strict=False)
    except (ValueError, StopIteration):
        return None
    return family_of(prefix), span_of(prefix)


def _plain(one: str, two: str, three: str, four: str, length: str) -> tuple[Family, Span] | None:
    """Read what most lines of most lists are by hand: `ipaddress` takes ten times as long."""
    try:
        address = _OCTETS[one] << 24 | _OCTETS[two] << 16 | _OCTETS[three] << 8 | _OCTETS[four]
    except KeyError:
        return None
    if int(length) > 32:
        return None
    size = 1 << (32 - int(length))
    first = address & -size
    return Family.IPV4, (first, first + size - 1)


def _range(first: str, last: str) -> tuple[Family, Span] | None:
    low, high = ip_address(first), ip_address(last)
    if low.version != high.version or int(low) > int(high):
        return None
    return family_of(low), (int(low), int(high))
