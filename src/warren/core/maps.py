"""`map: auto`: prefixes of the network's own choosing for LANs that overlap, kept in the lock.

They come from private ranges that few networks use, around everything that the file names. What the lock holds stays
as long as the LAN asks for as many addresses and nothing in the file takes them, also when the LAN itself is
renumbered; new ones come after the highest, and those that were freed last.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2s
from ipaddress import IPv6Network, ip_address, ip_network
from itertools import chain

from warren.model.host import Lan
from warren.model.lock import Lock, MapLock
from warren.model.mapped import MappedPrefix
from warren.model.network import Network
from warren.model.prefix import FAMILIES, Family, Prefix, Span, covers, host_prefix, merge, overlaps, span_of

# The beginnings of 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 are where routers come with, 10.128.0.0/9 is a cloud's
# default, and 100.64.0.0/10 carriers' own (RFC 6598).
POOLS_V4 = tuple(map(ip_network, ("10.64.0.0/10", "10.128.0.0/9", "10.0.0.0/10", "172.16.0.0/12", "100.64.0.0/10")))
ULA = ip_network("fc00::/7")


class NoRoom(ValueError):
    """A LAN is too large for what is left of the ranges that maps come from."""

    def __init__(self, host: str, lan: str, own: Prefix) -> None:
        super().__init__(f"prefixes of length {own.prefixlen} for the map of {host}.{lan}")
        self.host, self.lan, self.own = host, lan, own


def wanted(network: Network, lan: Lan) -> tuple[Prefix, ...]:
    """List the subnets of a LAN that `map: auto` maps: private ones, of families that tunnels carry.

    A global IPv6 prefix is nobody else's, so it needs no other name.
    """
    if not lan.map_auto or lan.closed:
        return ()
    return tuple(
        dict.fromkeys(
            prefix
            for prefix in lan.prefixes
            if prefix.version in network.families and (prefix.version == 4 or covers(ULA, prefix))
        )
    )


def allot_maps(network: Network, lock: Lock) -> dict[str, tuple[MapLock, ...]]:
    """Allot the maps of all LANs that leave them to warren, by host. Raises NoRoom."""
    asking = [(host, lan, wanted(network, lan)) for host in network.hosts for lan in host.lans if lan.map_auto]
    if not asking:
        return {}
    space = _Space(network, lock)
    kept: dict[tuple[str, str], dict[Prefix, Prefix]] = {}
    for host, lan, own in asking:
        held = lock.by_name[host.name].maps if host.name in lock.by_name else ()
        old = next((one.prefixes for one in held if one.lan == lan.name), ())
        kept[host.name, lan.name] = space.keep(own, old)
    found: dict[str, list[MapLock]] = {}
    for host, lan, own in asking:
        pairs = []
        for prefix in own:
            seen = kept[host.name, lan.name].get(prefix) or space.give(prefix)
            if seen is None:
                raise NoRoom(host.name, lan.name, prefix)
            pairs.append(MappedPrefix(prefix, seen))
        if pairs:
            found.setdefault(host.name, []).append(MapLock(lan.name, tuple(pairs)))
    return {host: tuple(sorted(maps, key=lambda one: one.lan)) for host, maps in found.items()}


def with_maps(network: Network, maps: dict[str, tuple[MapLock, ...]]) -> Network:
    """Give the network with what was allotted filled in."""
    if not any(lan.map_auto for host in network.hosts for lan in host.lans):
        return network
    hosts = []
    for host in network.hosts:
        held = {one.lan: one.prefixes for one in maps.get(host.name, ())}
        lans = tuple(replace(lan, allotted=held.get(lan.name, ())) if lan.map_auto else lan for lan in host.lans)
        hosts.append(replace(host, lans=lans))
    return replace(network, hosts=tuple(hosts))


def settled(network: Network, lock: Lock) -> Network:
    """Give the network with the maps that a complete lock holds."""
    return with_maps(network, {host.name: host.maps for host in lock.hosts})


class _Space:
    """What is taken and what is free of the ranges that maps come from."""

    def __init__(self, network: Network, lock: Lock) -> None:
        self._pools = {Family.IPV4: POOLS_V4, Family.IPV6: _pools_v6(network)}
        self._taken: dict[int, list[Span]] = {}
        named = tuple(_named(network))
        for family in FAMILIES:
            self._taken[family] = merge(span_of(prefix) for prefix in named if prefix.version == family)
        held = [one.seen for host in lock.hosts for maps in host.maps for one in maps.prefixes]
        self._from: dict[tuple[Prefix, int], int] = {}
        self._last = {
            pool: max((span_of(prefix)[1] for prefix in held if covers(pool, prefix)), default=span_of(pool)[0] - 1)
            for pools in self._pools.values()
            for pool in pools
        }

    def keep(self, own: Iterable[Prefix], old: tuple[MappedPrefix, ...]) -> dict[Prefix, Prefix]:
        """Let a LAN keep what it had: each subnet its own, and one that was renumbered what has lost its owner."""
        own = tuple(own)
        kept: dict[Prefix, Prefix] = {}
        left = list(old)
        for same in (True, False):
            for prefix in own:
                if prefix in kept:
                    continue
                for one in left:
                    fits = one.own.version == prefix.version and one.seen.prefixlen == prefix.prefixlen
                    if (one.own == prefix if same else one.own not in own) and fits and self._claim(one.seen):
                        kept[prefix] = one.seen
                        left.remove(one)
                        break
        return kept

    def give(self, own: Prefix) -> Prefix | None:
        """Give a free prefix as long as this one, and None if there is none."""
        for pool in self._pools[Family(own.version)]:
            if own.prefixlen < pool.prefixlen:
                continue
            size = own.num_addresses
            first, last = span_of(pool)
            start = self._from.get((pool, own.prefixlen), -(-(self._last[pool] + 1 - first) // size) * size + first)
            for begin, end in ((start, last), (first, min(start + size, last + 1) - 1)):
                at = self._free(begin, end, size, own.version)
                if at is not None:
                    self._from[pool, own.prefixlen] = at + size
                    found = type(own)((at, own.prefixlen))
                    self._claim(found)
                    return found
        return None

    def _free(self, begin: int, end: int, size: int, version: int) -> int | None:
        """Find the first free block of a size, which is a power of two and so is its alignment."""
        taken = self._taken[version]
        at = begin
        while at + size - 1 <= end:
            near = bisect_right(taken, at + size - 1, key=lambda span: span[0])
            if near == 0 or taken[near - 1][1] < at:
                return at
            at = taken[near - 1][1] // size * size + size
        return None

    def _claim(self, prefix: Prefix) -> bool:
        """Take a prefix, if nobody has a part of it."""
        first, last = span_of(prefix)
        if self._free(first, last, last - first + 1, prefix.version) is None:
            return False
        insort(self._taken[prefix.version], (first, last))
        return True


def _named(network: Network) -> Iterator[Prefix]:
    """Everything that has an address in the file."""
    yield from network.overlay
    for host in network.hosts:
        for lan in host.lans:
            yield from lan.prefixes
            yield from lan.maps
        if host.endpoint is not None:
            yield from _literal(host.endpoint.host)
    for portal in network.portals:
        yield from (prefix for prefix in portal.exceptions if prefix.prefixlen > 8)
    yield from (delegate.prefix for delegate in network.delegates if delegate.prefix is not None)
    said = (expect.target.address for expect in network.expects)
    asked = (address for device in network.devices for address in device.dns)
    yield from (host_prefix(address) for address in chain(said, asked) if address is not None)


def _literal(text: str) -> Iterator[Prefix]:
    try:
        yield host_prefix(ip_address(text))
    except ValueError:
        return  # a name


def _pools_v6(network: Network) -> tuple[Prefix, ...]:
    """The overlay's own ULA site (RFC 4193: a /48), then one that follows from the network's name."""
    sites = [
        prefix.supernet(new_prefix=48)
        for prefix in network.overlay
        if prefix.version == 6 and covers(ULA, prefix) and prefix.prefixlen > 48
    ]
    # RFC 4193 wants chance here; the same file must give the same lock, so it is the name's.
    chance = int.from_bytes(blake2s(network.name.encode(), digest_size=5).digest(), "big")
    own = IPv6Network(((0xFD << 120) | (chance << 80), 48))
    wide = own.supernet(new_prefix=32)
    return (*(site for site in sites if not overlaps(site, own)), own, wide)
