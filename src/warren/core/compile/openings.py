"""What a gateway publishes, as ports and addresses: every port with the one place it leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from warren.core.compile.fabric import Fabric
from warren.core.compile.publishes import claims, families_of, flatten, is_routed, published_at
from warren.model.firewall import PortTo
from warren.model.lock import kept_for_devices
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Address, Family
from warren.model.publish import PortRange, Publish, SourceKept


@dataclass(frozen=True, slots=True)
class Opening:
    """Ports of a gateway, in one family, that lead to one address.

    `inside` is what the address is called on its own LAN, which may be mapped. `proto` is `tcp`, `udp`, `icmp` (echo
    requests, no ports), or empty: all that nothing else claims. `port` is the one that they all lead to; 0 keeps each
    as it is. A `routed` one is of an address that is sent to the gateway anyhow: it is let in and not translated.
    """

    publish: Publish
    family: Family
    to: Address
    inside: Address
    proto: str = ""
    first: int = 0
    last: int = 0
    port: int = 0
    routed: bool = False

    @property
    def kept(self) -> bool:
        """Whether the service sees its clients' own addresses."""
        return self.publish.source is SourceKept.KEPT

    def entry(self, inside: bool = False) -> PortTo:
        """Give the entry of a map of ports, `inside` the LAN or anywhere else."""
        return PortTo(self.first, self.last, self.inside if inside else self.to, self.port)

    def holds(self, proto: str, port: int) -> bool:
        """Say whether a port is among these; `all` holds every one."""
        return not self.proto or (self.proto == proto and self.first <= port <= self.last)

    def led(self, port: int) -> int:
        """Give the port to which one of these leads."""
        return self.port or port

    @property
    def service(self) -> tuple[int, int]:
        """The ports of the service itself, behind the translation."""
        return (self.port, self.port) if self.port else (self.first, self.last)


def openings(fabric: Fabric, gateway: str) -> tuple[Opening, ...]:
    """List what a host publishes, by family: ports first, narrow ones cut out of wider ones, and then `all`."""
    return tuple(one for family in fabric.network.families for one in _of_family(fabric, gateway, family))


def _of_family(fabric: Fabric, gateway: str, family: Family) -> Iterator[Opening]:
    led: dict[Place, tuple[Address, Address]] = {}
    at = (*published_at(fabric.network, gateway), *_for_guests(fabric, gateway))
    for publish in at:
        addresses = target(fabric, publish.to, family) if family in families_of(fabric.network, publish) else None
        if addresses is not None:
            led[publish.to] = addresses
    here = [publish for publish in at if publish.to in led]
    routed = [publish for publish in here if is_routed(fabric.network, publish)]
    # What is routed has an address of its own, whose ports nobody else claims.
    for together in ([publish for publish in here if publish not in routed], *([publish] for publish in routed)):
        for one in _claimed(together, family, led):
            yield replace(one, routed=one.publish in routed)


def _claimed(here: list[Publish], family: Family, led: Mapping[Place, tuple[Address, Address]]) -> Iterator[Opening]:
    for proto in ("tcp", "udp", "icmp"):
        for first, last, claim in flatten(claims(here, proto)):
            for low, high, port in _ports(first, last, claim.ports.first, claim.ports.to):
                yield Opening(claim.publish, family, *led[claim.publish.to], proto, low, high, port)
    for publish in here:
        if publish.ports is None:
            yield Opening(publish, family, *led[publish.to])


def _for_guests(fabric: Fabric, gateway: str) -> Iterator[Publish]:
    """The port that devices dial at a gateway leads to the host where their tunnel ends, at the very same port."""
    for host, groups in fabric.network.guests.items():
        if gateway in groups and gateway != host:
            port = fabric.locked(host).device(kept_for_devices(gateway)).port
            yield Publish(gateway, Place(PlaceKind.HOST, host), (PortRange("udp", port, port),))


def _ports(first: int, last: int, begin: int, to: tuple[int, int] | None) -> Iterator[tuple[int, int, int]]:
    """Cut ports by where they lead: as they are, all to one, or one by one."""
    if to is None:
        yield first, last, 0
    elif to[0] == to[1]:
        yield first, last, to[0]
    else:
        for port in range(first, last + 1):
            yield port, port, to[0] + port - begin


def target(fabric: Fabric, place: Place, family: Family) -> tuple[Address, Address] | None:
    """Give the address at which the others reach a published place, and its own; None if it has none of the family."""
    if place.kind in (PlaceKind.HOST, PlaceKind.DEVICE):
        lock = fabric.lock
        held = lock.guest_by_name[place.device] if place.device else lock.by_name[place.host]
        address = held.address(family)
        return None if address is None else (address, address)
    if place.prefix is None or place.prefix.version != family:
        return None
    return fabric.seen(place.host, place.prefix).network_address, place.prefix.network_address
