"""Guests: the devices of `devices:` whose tunnel ends at a host, dialled there or through a gateway.

    phone ──► cloud ═══ tunnel ═══► home          phone's outer packets; cloud publishes one port to home
    phone ════════ tunnel ════════► home          what is inside them

A host holds those that dial the same host on one tunnel device. Behind a gateway that device puts no outer mark on its
packets: the mark would send them out by the uplink, past the gateway that everybody waits for. A rule by the device's
port leads them into the gateway's tunnel instead, and blocks them where that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warren.core.compile.fabric import Fabric
from warren.model.device import Device
from warren.model.lock import kept_for_devices
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Prefix, host_prefix


@dataclass(frozen=True, slots=True)
class Guests:
    """Devices that a host holds on one tunnel device: its name and port, and the host whose endpoint they dial."""

    dialled: str
    device: str
    port: int
    members: tuple[Device, ...]
    nested: bool  # they come through a gateway's tunnel


def guests_of(fabric: Fabric, host: str) -> tuple[Guests, ...]:
    """List the groups of devices that a host holds, by the name of the host they dial; KeyError if not locked."""
    groups = fabric.network.guests.get(host, {})
    found = []
    for dialled in sorted(groups):
        kept = fabric.locked(host).device(kept_for_devices(dialled))
        found.append(Guests(dialled, kept.name, kept.port, groups[dialled], dialled != host))
    return tuple(found)


def reached_prefixes(fabric: Fabric, device: Device) -> tuple[Prefix, ...]:
    """Give the prefixes to which a device may begin flows, as it knows them, in the order of its `reach:`."""
    return tuple(dict.fromkeys(fabric.seen(at, prefix) for place in device.reach for at, prefix in _own(fabric, place)))


def resolvers(fabric: Fabric, device: Device) -> tuple[Prefix, ...]:
    """Give a device's resolvers as it knows them; those on a mapped LAN are written as they are at home."""
    return tuple(fabric.seen(device.into, host_prefix(address)) for address in device.dns)


def _own(fabric: Fabric, place: Place) -> Iterator[tuple[str, Prefix]]:
    """Give the prefixes of a host, a LAN, a part of one, or a device, as they are at their host, and that host."""
    if place.kind is PlaceKind.DEVICE:
        prefixes = fabric.guest_addresses(place.device)
    elif place.kind is PlaceKind.HOST:
        prefixes = fabric.addresses(place.host)
    elif place.prefix is not None:
        prefixes = (place.prefix,)
    else:
        prefixes = fabric.network.by_name[place.host].lan(place.lan).prefixes
    for prefix in prefixes:
        yield place.host, prefix
