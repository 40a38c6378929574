"""From the words of an expectation to a packet: where a place stands, and which address it has.

A LAN is its general client; an address, prefix or MAC of a LAN its own client (`core.world` places them). A host
is reached at its overlay address, but from the internet at its uplink's. `internet` is a stranger out there. A machine
of a mapped LAN is reached at its own address from its own site, and at its mapped one from any other.
"""

from __future__ import annotations

from ipaddress import ip_address

from warren.core.walk.course import OnHost, OnLan, Outside, Spot
from warren.core.walk.scene import Probe
from warren.core.world import client_of
from warren.model.expect import Expect, Target
from warren.model.lock import Lock
from warren.model.place import Place, PlaceKind
from warren.model.prefix import FAMILIES, Address, Family, family_of
from warren.model.world import World

# Addresses of AS112 (RFC 7534 and 7535): global, and nobody's host.
STRANGER = {Family.IPV4: ip_address("192.31.196.1"), Family.IPV6: ip_address("2001:4:112::1")}
PING = {Family.IPV4: 84, Family.IPV6: 104}  # ping(8)'s default of 56 bytes


def spot_of(world: World, place: Place) -> Spot:
    """Say where a place's packets start; KeyError if nobody stands there."""
    if place.kind is PlaceKind.INTERNET:
        return Outside()
    if place.kind in (PlaceKind.HOST, PlaceKind.DEVICE):
        return OnHost(place.device or place.host)
    return OnLan(client_of(world, place))


def address_of(
    world: World, lock: Lock, place: Place, family: Family, outside: bool = False, asker: str = ""
) -> Address | None:
    """Give the address at which a place is reached; None if it has none.

    `outside`: from the internet. `asker` is the host at whose site the question begins, if it begins at one.
    """
    if place.kind is PlaceKind.INTERNET:
        return STRANGER[family]
    if place.kind in (PlaceKind.HOST, PlaceKind.DEVICE):
        name = place.device or place.host
        if outside:
            behind = world.behind(name)
            front = behind[-1].attachment if behind and family is Family.IPV4 else None
            return (front or world.host_by_name[name].attachment).address(family)
        return _overlay_address(lock, name, family)
    client = client_of(world, place)
    address = client.address(family)
    return address if address is None or outside or asker == client.host else client.seen(address)


def names_of(world: World, source: Place, target: Target, family: Family) -> tuple[tuple[Place, Address, Address], ...]:
    """List the ends on mapped LANs, each with its own address and the one that other hosts know it by."""
    found = []
    for place in (source, target.place):
        if place is not None and place.kind in (PlaceKind.LAN, PlaceKind.PREFIX, PlaceKind.MAC):
            client = client_of(world, place)
            own = client.address(family)
            if own is not None and client.seen(own) != own:
                found.append((place, own, client.seen(own)))
    return tuple(found)


def _overlay_address(lock: Lock, name: str, family: Family) -> Address | None:
    """Give the overlay address of a host or a device."""
    return (lock.guest_by_name.get(name) or lock.by_name[name]).address(family)


def site_of(place: Place) -> str:
    """Name the host at whose site a place is; a device is at none, wherever its tunnel ends."""
    return "" if place.kind is PlaceKind.DEVICE else place.host


def target_address(
    world: World, lock: Lock, target: Target, family: Family, outside: bool, asker: str = ""
) -> Address | None:
    """Give the address a target stands for in a family; None if it has none."""
    if target.place is not None:
        return address_of(world, lock, target.place, family, outside, asker)
    known = (target.address,) if target.address is not None else dict(world.names).get(target.name, ())
    return next((address for address in known if family_of(address) is family), None)


def probe_of(world: World, lock: Lock, source: Place, target: Target, family: Family) -> Probe | None:
    """Make the packet that asks whether `source` reaches `target`; None if an end lacks the family."""
    start = spot_of(world, source)
    outside = isinstance(start, Outside)
    destination = target_address(world, lock, target, family, outside, site_of(source))
    if destination is None or not _has(world, lock, start, family):
        return None
    own = STRANGER[family] if outside else None
    size = PING[family] if target.proto == "icmp" else 60
    return Probe(start, destination, own, target.proto, dport=target.port, size=size)


def _has(world: World, lock: Lock, spot: Spot, family: Family) -> bool:
    if isinstance(spot, OnLan):
        return spot.client.address(family) is not None
    if isinstance(spot, OnHost):
        uplink = world.host_by_name[spot.host].attachment.address(family)
        return uplink is not None or _overlay_address(lock, spot.host, family) is not None
    return True


def families_at(expect: Expect) -> tuple[Family, ...]:
    """List the families in which packets can arrive: that of the address, where one is written in `arrives` or `to`."""
    for place in (expect.arrives, expect.target.place):
        if isinstance(place, Place) and place.prefix is not None:
            return (family_of(place.prefix),)
    return FAMILIES


def probes_of(world: World, lock: Lock, expect: Expect) -> tuple[tuple[Family, Probe], ...]:
    """Make an expectation's packets: one for each family it names, or that both ends have, and where it arrives."""
    wanted = expect.families or families_at(expect)
    made = ((family, probe_of(world, lock, expect.source_place, expect.target, family)) for family in wanted)
    return tuple((family, probe) for family, probe in made if probe is not None)
