"""Which address a locally made packet gets, and which one masquerading gives.

IPv4 takes the route's `src`, else the leaving device's first address, one in the next hop's subnet before
others, else any of the host's (inet_select_addr). IPv6 follows RFC 6724 as far as it decides here: the leaving
device before others, then the longest prefix in common.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren.core.walk.host import HostView
from warren.model.prefix import Family, Interface
from warren.model.state import Route


def choose_source(host: HostView, family: Family, route: Route | None, destination: int) -> tuple[int, str] | None:
    """Choose a source for a packet that leaves by a route, and say by what; None if the host has no address."""
    if route is not None and route.source is not None:
        return int(route.source), f"the route's src {route.source}"
    device = route.device if route is not None else ""
    gateway = int(route.via) if route is not None and route.via is not None else destination
    own = device_address(host, device, family, gateway, destination)
    if own is not None:
        return own, f"the address of {device}"
    others = [name for name in host.devices if name != device]
    if family is Family.IPV6:
        best = _closest([a for name in others for a in _usable(host, name, family)], destination)
        return (best, "the address closest to the destination") if best is not None else None
    for name in others:
        address = device_address(host, name, family, gateway, destination)
        if address is not None:
            return address, f"{device} has none: the address of {name}"
    return None


def device_address(host: HostView, device: str, family: Family, gateway: int, destination: int) -> int | None:
    """Choose among one device's addresses."""
    usable = _usable(host, device, family)
    if family is Family.IPV6:
        return _closest(usable, destination)
    for address in usable:
        if gateway >> (32 - address.network.prefixlen) == int(address.ip) >> (32 - address.network.prefixlen):
            return int(address.ip)
    return int(usable[0].ip) if usable else None


def _usable(host: HostView, device: str, family: Family) -> list[Interface]:
    held = host.devices.get(device)
    if held is None:
        return []
    return [a for a in held.addresses if a.version == family and not (a.version == 6 and a.ip.is_link_local)]


def _closest(addresses: Iterable[Interface], destination: int) -> int | None:
    """RFC 6724 rule 8; of equals the last one made, as the kernel lists it first."""
    best, best_length = None, -1
    for address in addresses:
        length = 128 - (int(address.ip) ^ destination).bit_length()
        if length > best_length:
            best, best_length = int(address.ip), length
    return best
