"""How large a packet a tunnel carries: what its outer packets meet, less what WireGuard adds.

    1500  the uplink
    1440  a tunnel over it whose outer packets are IPv4 for certain; else 1420
    1380  a tunnel inside that tunnel (a device that dials a gateway), again over IPv4; else 1340

A tunnel inside a tunnel is no different from one over a narrow link: `inside` is applied once for each layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from warren.model.device import Device
from warren.model.host import Host
from warren.model.prefix import Family

if TYPE_CHECKING:
    from warren.core.compile.fabric import Fabric

ETHERNET = 1500
# WireGuard's overhead (its paper, section 5.4): IP header, UDP 8, type and counter 16, tag 16.
OVERHEAD = {Family.IPV4: 60, Family.IPV6: 80}

Uplinks = Mapping[str, int]  # the MTU of those uplinks that are known, by host


def inside(room: int, outer: Family | None) -> int:
    """Give the MTU of a tunnel over a way of `room` bytes; `outer` None: of packets that may be IPv6."""
    return room - OVERHEAD[outer or Family.IPV6]


def tunnel_mtu(fabric: Fabric, host: Host, peer: Host, uplinks: Uplinks) -> int:
    """Compute the MTU that a host gives the tunnel to a peer: by its uplink, or what either end writes out.

    Without a literal IPv4 endpoint the outer packets may be IPv6.
    """
    families = fabric.endpoint_family
    known = {families[name] for name in (host.name, peer.name) if name in families}
    outer = Family.IPV4 if known == {Family.IPV4} else None
    computed = host.mtu or inside(uplinks.get(host.name, ETHERNET), outer)
    return min(computed, peer.mtu or computed)


def guests_mtu(fabric: Fabric, into: str, dialled: str, members: tuple[Device, ...], uplinks: Uplinks) -> int:
    """Compute the MTU of the tunnels of devices that end at `into`, equal on both sides.

    Where they dial a gateway, their outer packets pass the tunnel between it and `into`, as either end has it.
    """
    hosts = fabric.network.by_name
    outer = fabric.endpoint_family.get(dialled)
    if dialled == into:
        computed = hosts[into].mtu or inside(uplinks.get(into, ETHERNET), outer)
    else:
        ends = (hosts[into], hosts[dialled])
        room = min(tunnel_mtu(fabric, *pair, uplinks) for pair in (ends, ends[::-1]))
        computed = inside(min(room, uplinks.get(dialled, ETHERNET)), outer)
    return min((computed, *(device.mtu for device in members if device.mtu is not None)))
