"""What warren allotted, kept in git beside the network file: it never moves once written.

Numbers are keyed by name, so that adding, removing or reordering hosts renumbers nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.model.mapped import MappedPrefix
from warren.model.prefix import Address, Family, Prefix


@dataclass(frozen=True, slots=True)
class DeviceLock:
    """A tunnel device of a host: `peer` is empty for the shared device, else the host it is kept for.

    The one that holds devices of `devices:` is kept for `devices:HOST`, the host whose endpoint they dial; where that
    is a gateway, `port` is also the one published there.
    """

    peer: str
    name: str
    port: int


@dataclass(frozen=True, slots=True)
class ChainLock:
    """The overlay addresses by which a chained portal's packets are told apart along their way.

    `portal` is the portal's identity: `<source> -> <via>,<via>,<exit>`.
    """

    portal: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class MapLock:
    """The prefixes under which the network knows the subnets of a LAN with `map: auto`."""

    lan: str
    prefixes: tuple[MappedPrefix, ...]


@dataclass(frozen=True, slots=True)
class DelegatedLock:
    """The /64 that a LAN of the host has of the prefix delegated from `source`."""

    lan: str
    source: str
    prefix: Prefix


@dataclass(frozen=True, slots=True)
class FollowedLock:
    """The prefix that a device of the host was last seen to have, for delegates that follow it."""

    device: str
    prefix: Prefix


@dataclass(frozen=True, slots=True)
class HostLock:
    """What one host was allotted: an address per overlay prefix, its devices, its chains' addresses, its maps.

    `delegated` is sorted by LAN and source, `followed` by device.
    """

    name: str
    addresses: tuple[Address, ...]
    devices: tuple[DeviceLock, ...]
    chains: tuple[ChainLock, ...] = ()
    maps: tuple[MapLock, ...] = ()
    delegated: tuple[DelegatedLock, ...] = ()
    followed: tuple[FollowedLock, ...] = ()

    def address(self, family: Family) -> Address | None:
        """Give the host's overlay address of a family."""
        return next((address for address in self.addresses if address.version == family), None)

    def device(self, peer: str = "") -> DeviceLock:
        """Give the device kept for a peer, or the shared one; KeyError if it was not allotted."""
        for device in self.devices:
            if device.peer == peer:
                return device
        raise KeyError(peer)

    def follows(self, device: str) -> Prefix | None:
        """Give the prefix that a device was last seen to have; None if nobody has looked yet."""
        return next((seen.prefix for seen in self.followed if seen.device == device), None)

    def chain(self, portal: str) -> ChainLock:
        """Give a chained portal's addresses; KeyError if none were allotted."""
        for chain in self.chains:
            if chain.portal == portal:
                return chain
        raise KeyError(portal)


@dataclass(frozen=True, slots=True)
class GuestLock:
    """What a device of `devices:` was allotted: an address per overlay prefix."""

    name: str
    addresses: tuple[Address, ...]

    def address(self, family: Family) -> Address | None:
        """Give its overlay address of a family."""
        return next((address for address in self.addresses if address.version == family), None)


def kept_for_devices(dialled: str) -> str:
    """Name what a host keeps the tunnel device for that holds the devices which dial a host."""
    return f"devices:{dialled}"


@dataclass(frozen=True)
class Lock:
    """The whole lock file."""

    hosts: tuple[HostLock, ...] = ()
    guests: tuple[GuestLock, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, HostLock]:
        """Host locks by name."""
        return {host.name: host for host in self.hosts}

    @cached_property
    def guest_by_name(self) -> dict[str, GuestLock]:
        """What devices of `devices:` were allotted, by their names."""
        return {guest.name: guest for guest in self.guests}
