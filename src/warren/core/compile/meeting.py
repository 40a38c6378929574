"""Peers that the agent finds at a rendezvous server: what the host has to have ready for it.

WireGuard sends to wherever the last authentic packet of a peer came from. While two hosts use a direct path, a packet
that still comes by the one they left would pull it back, so the agent puts such places into a live set, and what they
send to WireGuard's port is dropped. Its elements run out: an agent that dies takes no path from anybody for good.
Each port has sets of its own: what one device has left may be where another's peer is.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.here import Here
from warren.model.endpoint import Endpoint
from warren.model.firewall import CameFrom, Drop, NftRule, Port, Set, SetRef, SetType
from warren.model.prefix import Family

_TYPES = {Family.IPV4: SetType.PLACE_V4, Family.IPV6: SetType.PLACE_V6}
LASTS = 30  # seconds until a place that nobody names again is no longer refused


def left(family: Family, port: int) -> SetRef:
    """Name the live set of places from which nothing is to come to a port."""
    return SetRef(f"left{family.value}_{port}")


def servers(here: Here) -> tuple[Endpoint, ...]:
    """List the servers at which peers of this host are found; none if each of them can be dialled or dials."""
    return tuple(server.address for server in here.fabric.network.rendezvous) if _ports(here) else ()


def left_places(here: Here) -> tuple[Set, ...]:
    """Give the live sets of places that were left."""
    return tuple(
        Set(left(family, port).name, _TYPES[family], live=True, timeout=LASTS)
        for port in _ports(here)
        for family in here.usable
    )


def refuse_left(here: Here) -> Iterator[NftRule]:
    """Drop what comes to WireGuard's ports from places that were left."""
    for port in _ports(here):
        for family in here.usable:
            matches = (Port("udp", "dport", (port,)), CameFrom(family, left(family, port)))
            yield NftRule(matches, (Drop(),), "a path to a peer that both sides have left")


def _ports(here: Here) -> tuple[int, ...]:
    """List the ports of the devices that hold peers which are found, in the devices' order."""
    used = {here.device(peer.name) for peer in here.peers if here.meets(peer.name)}
    return tuple(device.port for device in here.locked.devices if device.name in used)
