"""Peers that the agent finds at a rendezvous server: what the host has to have ready for it.

WireGuard sends to wherever the last authentic packet of a peer came from. While two hosts use a direct path, a packet
that still comes by the one they left would pull it back, so the agent puts such places into a live set, and what they
send to WireGuard's port is dropped. Its elements run out: an agent that dies takes no path from anybody for good.
Each port has sets of its own: what one device has left may be where another's peer is.

Two live maps hold by which other port a peer's packets come and go (firewall/aside.py). They outlive the agent, as the
path does that they make: for a day, for WireGuard sends to that place until somebody tells it another.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.here import Here
from warren.model.endpoint import Endpoint
from warren.model.firewall import CameFrom, Drop, NftRule, Port, Set, SetRef, SetType
from warren.model.prefix import Family

_TYPES = {Family.IPV4: SetType.PLACE_V4, Family.IPV6: SetType.PLACE_V6}
LASTS = 30  # seconds until a place that nobody names again is no longer refused
OUTLIVES = 86_400  # seconds


def bound(port: int) -> SetRef:
    """Name the live map that says from which port WireGuard's packets to a place leave instead of this one."""
    return SetRef(f"bound4_{port}")


def home(port: int) -> SetRef:
    """Name the live map of the places from which packets to those other ports are this one's."""
    return SetRef(f"home4_{port}")


def left(family: Family, port: int) -> SetRef:
    """Name the live set of places from which nothing is to come to a port."""
    return SetRef(f"left{family.value}_{port}")


def servers(here: Here) -> tuple[Endpoint, ...]:
    """List the servers at which peers of this host are found; none if each of them can be dialled or dials."""
    return tuple(server.address for server in here.fabric.network.rendezvous) if found_ports(here) else ()


def left_places(here: Here) -> tuple[Set, ...]:
    """Give the live sets of places that were left, and the maps of those that another port of ours is for."""
    places = [(left(family, port), family) for port in found_ports(here) for family in here.usable]
    sets = tuple(Set(ref.name, _TYPES[family], live=True, timeout=LASTS) for ref, family in places)
    kind, to = _TYPES[Family.IPV4], SetType.PORT
    refs = [ref for port in aside_ports(here) for ref in (bound(port), home(port))]
    return sets + tuple(Set(ref.name, kind, live=True, timeout=OUTLIVES, to=to) for ref in refs)


def refuse_left(here: Here) -> Iterator[NftRule]:
    """Drop what comes to WireGuard's ports from places that were left."""
    for port in found_ports(here):
        for family in here.usable:
            matches = (Port("udp", "dport", (port,)), CameFrom(family, left(family, port)))
            yield NftRule(matches, (Drop(),), "a path to a peer that both sides have left")


def aside_ports(here: Here) -> tuple[int, ...]:
    """List the ports of WireGuard that may be another on the wire; it is NATs of IPv4 that ask for that."""
    return found_ports(here) if Family.IPV4 in here.usable else ()


def found_ports(here: Here) -> tuple[int, ...]:
    """List the ports of the devices that hold peers which are found, in the devices' order."""
    used = {here.device(peer.name) for peer in here.peers if here.meets(peer.name)}
    return tuple(device.port for device in here.locked.devices if device.name in used)
