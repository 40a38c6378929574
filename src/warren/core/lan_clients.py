"""The machines on the LANs of a world: a general client on each, and one for whatever else the file speaks of.

An address, a prefix or a MAC that a portal, a publish or an expectation names has a machine of its own there. The
general client stands in none of the named prefixes: it is who nothing special is said about.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from itertools import chain

from warren.core.leases import fixed_address, is_leased, pool
from warren.model.host import Lan
from warren.model.mapped import address_moved
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Address, Interface, Prefix, covers
from warren.model.world import Client

FIRST_CLIENT = 100  # the last number of a LAN's general client, where its prefix has room


def lan_clients(network: Network) -> Iterator[Client]:
    """A general client on every LAN, and one for each address, prefix or MAC that the file speaks of."""
    named = _named_places(network)
    macs = {place.mac for places in named.values() for place in places if place.mac}
    fresh = (mac for at in range(1 << 24) if (mac := _mac(at)) not in macs)
    for host in network.hosts:
        for lan in host.lans:
            places = named.get((host.name, lan.name), [])
            numbers = _Numbers(lan, [place.prefix for place in places if place.prefix])
            gateways = tuple(address.ip for address in lan.addresses)
            gateways += tuple(address.ip for address in lan.delegated)
            announced = [address for address in lan.addresses if lan.ra and address.version == 6]
            learned = tuple(address.network for address in (*lan.delegated, *announced))
            for place in (Place(PlaceKind.LAN, host.name, lan.name), *places):
                mac = place.mac or next(fresh)
                fixed = fixed_address(lan, mac)
                addresses = numbers.take(place.prefix if fixed is None else ip_network(fixed.ip))
                told = tuple(_in(prefix, place) for prefix in learned if _names_one_of(prefix, place))
                heard = tuple(prefix for prefix in learned if not _names_one_of(prefix, place))
                addresses = tuple(one for one in addresses if one.network not in learned)
                own = (*told, *(by_mac(prefix, mac) for prefix in heard))
                leased = next((one for one in addresses if is_leased(lan, one)), None)
                whole = (*own, *addresses)
                yield Client(str(place), host.name, lan.name, mac, whole, gateways, lan.mapped, heard, leased)


def _names_one_of(prefix: Prefix, place: Place) -> bool:
    """Say whether a place is an address of a delegated prefix: that machine was told its address by hand."""
    return place.prefix is not None and place.prefix.num_addresses == 1 and covers(prefix, place.prefix)


def _in(prefix: Prefix, place: Place) -> Interface:
    assert place.prefix is not None
    return ip_interface(f"{place.prefix.network_address}/{prefix.prefixlen}")


def _named_places(network: Network) -> dict[tuple[str, str], list[Place]]:
    """The places of kind PREFIX and MAC by their LAN, each once, in the order of the file."""
    spoken: list[Place] = [portal.source for portal in network.portals if not portal.delegated]
    spoken += [publish.to for publish in network.publishes]
    for expect in network.expects:
        spoken.append(expect.source_place)
        spoken += [place for place in (expect.target.place, expect.arrives) if isinstance(place, Place)]
        if expect.target.address:
            spoken += _places_holding(network, expect.target.address)
    found: dict[tuple[str, str], dict[str, Place]] = {}
    for place in spoken:
        if place.kind in (PlaceKind.PREFIX, PlaceKind.MAC):
            found.setdefault((place.host, place.lan), {}).setdefault(str(place), place)
    return {key: list(places.values()) for key, places in found.items()}


def _places_holding(network: Network, address: Address) -> Iterator[Place]:
    """An address that an expect sends to may be one of a LAN: somebody must have it there."""
    for host in network.hosts:
        for lan in host.lans:
            written = (one.network for one in lan.addresses)
            if any(covers(prefix, address) for prefix in written) and all(a.ip != address for a in lan.addresses):
                yield Place(PlaceKind.PREFIX, host.name, lan.name, ip_network(address))
            for pair in lan.mapped:
                if covers(pair.seen, address):
                    own = address_moved(address, pair.seen, pair.own)
                    if all(a.ip != own for a in lan.addresses):
                        yield Place(PlaceKind.PREFIX, host.name, lan.name, ip_network(own))


class _Numbers:
    """The free addresses of one LAN; those inside a named prefix are given only to that prefix's client."""

    def __init__(self, lan: Lan, named: list[Prefix]) -> None:
        self.lan = lan
        self.named = named
        self.taken = {address.ip for address in lan.addresses}
        self.taken.update(prefix.network_address for prefix in named if prefix.num_addresses == 1)
        self.taken.update(one.address for one in (lan.dhcp.static if lan.dhcp is not None else ()))

    def take(self, wanted: Prefix | None) -> tuple[Interface, ...]:
        """Take an address in each prefix of the LAN, in `wanted` for that family; a full LAN gives none."""
        given: list[Interface] = []
        for prefix in (own.network for own in self.lan.addresses):
            inside = wanted if wanted is not None and covers(prefix, wanted) else None
            address = self._free(prefix, inside)
            if address is not None:
                given.append(ip_interface(f"{address}/{prefix.prefixlen}"))
        return tuple(given)

    def _free(self, prefix: Prefix, inside: Prefix | None) -> Address | None:
        if inside is not None and inside.num_addresses == 1:
            return inside.network_address
        narrower = [other for other in self.named if inside is None or (other != inside and covers(inside, other))]
        room = inside or prefix
        first = FIRST_CLIENT if room.num_addresses > 2 * FIRST_CLIENT else 1
        ends = pool(self.lan)
        if inside is None and ends is not None and ends[0] in room:  # who is nobody special asks for an address
            first = int(ends[0]) - int(room.network_address)
        for number in chain(range(first, min(room.num_addresses, 1 << 16)), range(1, first)):
            address = room[number]
            if address == prefix.broadcast_address and prefix.version == 4 and prefix.num_addresses > 2:
                continue
            if address not in self.taken and not any(covers(other, address) for other in narrower):
                self.taken.add(address)
                return address
        return None


def by_mac(prefix: Prefix, mac: str) -> Interface:
    """Give the address that a machine makes of an announced prefix and its MAC (RFC 4291, appendix A)."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets[0] ^= 2
    number = int.from_bytes(bytes((*octets[:3], 0xFF, 0xFE, *octets[3:])))
    return ip_interface(f"{prefix[number]}/{prefix.prefixlen}")


def _mac(number: int) -> str:
    """A locally administered unicast MAC (IEEE 802, clause 8)."""
    return "02:77:77:" + ":".join(f"{number >> shift & 0xFF:02x}" for shift in (16, 8, 0))
