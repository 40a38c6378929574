"""Addresses and prefixes in the standard library's own types, and the few set operations they lack.

A *span* is an inclusive pair of integers. Sets of prefixes are kept as sorted, disjoint spans, because
merging and complementing 9,000 prefixes that way takes milliseconds where `ipaddress` takes a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_network,
)

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface
Span = tuple[int, int]


class Family(IntEnum):
    """An IP family; the value is the IP version."""

    IPV4 = 4
    IPV6 = 6

    @property
    def bits(self) -> int:
        """Length of an address in bits."""
        return 32 if self is Family.IPV4 else 128

    @property
    def everything(self) -> Prefix:
        """The prefix that holds every address of the family."""
        return DEFAULT_V4 if self is Family.IPV4 else DEFAULT_V6

    @property
    def word(self) -> str:
        """The word the network file and people use: `ipv4` or `ipv6`."""
        return "ipv4" if self is Family.IPV4 else "ipv6"


DEFAULT_V4 = IPv4Network("0.0.0.0/0")
DEFAULT_V6 = IPv6Network("::/0")
FAMILIES = (Family.IPV4, Family.IPV6)
# RFC 1918, RFC 6598 and RFC 4193: addresses that are nobody's on the internet.
PRIVATE: tuple[Prefix, ...] = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)


@lru_cache(maxsize=1 << 16)
def prefix_from(text: str) -> Prefix:
    """Read a prefix; ValueError if it is none, or has host bits set.

    The same text gives the same object: a route is read from a conf, from `wg`, from `ip` and from the journal, and
    making 20,000 prefixes anew each time is what takes longest then. Containers compare one object in no time.
    """
    return ip_network(text)


def family_of(thing: Address | Prefix | Interface) -> Family:
    """Name the family of an address, a prefix or an interface address."""
    return Family.IPV4 if thing.version == 4 else Family.IPV6


def host_prefix(address: Address) -> Prefix:
    """Give the /32 or /128 that holds just this address."""
    return ip_network(address)


def span_of(prefix: Prefix) -> Span:
    """Give the first and last address of a prefix as integers."""
    first = int(prefix.network_address)  # `broadcast_address` would make an object: ten times as long
    return first, first + (1 << (prefix.max_prefixlen - prefix.prefixlen)) - 1


def merge(spans: Iterable[Span]) -> list[Span]:
    """Sort spans and join those that touch or overlap."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Take every address of `holes` out of `spans`; the result is sorted and disjoint."""
    left: list[Span] = []
    cuts = merge(holes)
    at = 0
    for first, last in merge(spans):
        while at < len(cuts) and cuts[at][1] < first:
            at += 1
        here = at
        while here < len(cuts) and cuts[here][0] <= last:
            if cuts[here][0] > first:
                left.append((first, cuts[here][0] - 1))
            first = cuts[here][1] + 1
            here += 1
        if first <= last:
            left.append((first, last))
    return left


def prefixes_of(spans: Iterable[Span], family: Family) -> Iterator[Prefix]:
    """Split spans into the fewest prefixes that hold exactly the same addresses."""
    make = IPv4Network if family is Family.IPV4 else IPv6Network
    return map(make, blocks_of(spans, family.bits))


def blocks_of(spans: Iterable[Span], bits: int) -> Iterator[tuple[int, int]]:
    """Split spans into the fewest prefixes, each as its first address and its length."""
    for start, last in spans:
        first = start
        while first <= last:
            size = min((first & -first).bit_length() - 1 if first else bits, (last - first + 1).bit_length() - 1)
            yield first, bits - size
            first += 1 << size


def aggregate(prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Merge prefixes of either family into the fewest that hold the same addresses, IPv4 first."""
    spans: dict[Family, list[Span]] = {family: [] for family in FAMILIES}
    for prefix in prefixes:
        spans[family_of(prefix)].append(span_of(prefix))
    return tuple(prefix for family in FAMILIES for prefix in prefixes_of(merge(spans[family]), family))


def overlaps(one: Prefix, other: Prefix) -> bool:
    """Say whether two prefixes, of any families, share an address."""
    return one.version == other.version and one.overlaps(other)


def covers(outer: Prefix, inner: Prefix | Address) -> bool:
    """Say whether `outer` holds all of `inner`, whatever their families."""
    if outer.version != inner.version:
        return False
    if isinstance(inner, (IPv4Address, IPv6Address)):
        return inner in outer
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer
