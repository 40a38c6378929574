"""What the owner wants: the network file as values, every name resolved, nothing allotted yet.

`core.parse` makes it, `core.check` judges it, `core.compile` reads it. Places in the file (`at`) are kept on
what a later finding may have to point at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.model.delegate import Delegate
from warren.model.device import Device
from warren.model.expect import Expect
from warren.model.host import Host
from warren.model.lab import Lab
from warren.model.named_set import ListSource, NamedSet
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Family, Prefix
from warren.model.publish import Publish
from warren.model.rendezvous import Server


@dataclass(frozen=True, slots=True)
class Way:
    """A portal and its hosts from entry to exit, the hub included where it had to step in.

    An `addressed` way has overlay addresses of its own, by which the hosts on it know its packets: a chain, and
    whatever leaves its entry by a chain's first tunnel, which could be taken for the chain. A portal has a way to each
    of its exits; `rank` is the exit's place among them, and all but the first are spare.
    """

    portal: Portal
    hops: tuple[str, ...]
    addressed: bool = False
    rank: int = 0

    @property
    def chained(self) -> bool:
        """Whether there is a relay on the way: more than one tunnel."""
        return len(self.hops) > 2


@dataclass(frozen=True)
class Network:
    """One network file. No slots: the indexes below are computed once, on first use."""

    name: str
    overlay: tuple[Prefix, ...]
    hosts: tuple[Host, ...]
    hub: str = ""
    portals: tuple[Portal, ...] = ()
    expects: tuple[Expect, ...] = ()
    lab: Lab | None = None
    devices: tuple[Device, ...] = ()
    publishes: tuple[Publish, ...] = ()
    delegates: tuple[Delegate, ...] = ()
    lists: tuple[ListSource, ...] = ()
    named: tuple[NamedSet, ...] = ()
    rendezvous: tuple[Server, ...] = ()
    file: str = "network.yaml"

    @cached_property
    def by_name(self) -> dict[str, Host]:
        """Hosts by name."""
        return {host.name: host for host in self.hosts}

    @cached_property
    def named_by_name(self) -> dict[str, NamedSet]:
        """The countries and lists that portals name, by name."""
        return {one.name: one for one in self.named}

    def named_prefixes(self, name: str, family: Family) -> tuple[Prefix, ...]:
        """Give the addresses of a country or list; none if its contents were not given."""
        held = self.named_by_name.get(name)
        return tuple(prefix for prefix in held.prefixes if prefix.version == family) if held is not None else ()

    def named_domains(self, name: str) -> tuple[str, ...]:
        """Give the domains of `domain:NAME`, or of a list of them; none if it is something else."""
        held = self.named_by_name.get(name)
        return held.domains if held is not None else ()

    @property
    def families(self) -> tuple[Family, ...]:
        """The families the overlay has, and so every tunnel carries."""
        return tuple(family for family in FAMILIES if any(prefix.version == family for prefix in self.overlay))

    def next_hop(self, here: str, there: str) -> str | None:
        """Name the host to which `here` hands packets for `there`: itself, the hub, or nobody.

        A tunnel comes up by itself when one of its ends has an endpoint for the other to dial; where neither has, the
        agents of the two bring it up with the help of a rendezvous server.
        """
        if self.by_name[here].endpoint is not None or self.by_name[there].endpoint is not None:
            return there
        if self.rendezvous:
            return there
        return self.hub if self.hub and self.hub not in (here, there) else None

    def meet(self, one: str, other: str) -> bool:
        """Say whether two hosts find each other at a rendezvous server: neither of them can be dialled."""
        ends = (self.by_name[one], self.by_name[other])
        return bool(self.rendezvous) and one != other and all(host.endpoint is None for host in ends)

    @cached_property
    def devices_by_name(self) -> dict[str, Device]:
        """Devices by name."""
        return {device.name: device for device in self.devices}

    @cached_property
    def guests(self) -> dict[str, dict[str, tuple[Device, ...]]]:
        """For each host the devices whose tunnel ends there, by the host they dial: itself or a gateway."""
        found: dict[str, dict[str, tuple[Device, ...]]] = {}
        for device in self.devices:
            held = found.setdefault(device.into, {})
            dialled = self.dials(device)
            held[dialled] = (*held.get(dialled, ()), device)
        return found

    def dials(self, device: Device) -> str:
        """Name the host whose endpoint a device dials; empty if there is none, or if several gateways could be it.

        That is the host its tunnel ends at, where that has an endpoint. Otherwise the gateway that publishes to it, the
        hub, or the only host that has an endpoint.
        """
        if device.via or device.into not in self.by_name:
            return device.via
        if self.by_name[device.into].endpoint is not None:
            return device.into
        gateways = {publish.gateway for publish in self.publishes if publish.to.host == device.into}
        if not gateways:
            able = [host.name for host in self.hosts if host.endpoint is not None]
            gateways = {self.hub} if self.hub not in ("", device.into) else set(able)
        return gateways.pop() if len(gateways) == 1 else ""

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The ways of every portal, in the file's order; the hub steps in where two neighbours cannot dial."""
        found: list[tuple[Portal, tuple[str, ...], int]] = []
        for portal in self.portals:
            for rank, exit_ in enumerate(portal.exits):
                hops = [portal.source.host]
                for host in (*portal.via, exit_):
                    relay = self.next_hop(hops[-1], host)
                    hops += [relay, host] if relay is not None and relay != host else [host]
                found.append((portal, tuple(hops), rank))
        chains_begin = {way[:2] for _, way, _ in found if len(way) > 2}
        return tuple(Way(portal, way, way[:2] in chains_begin, rank) for portal, way, rank in found)

    @cached_property
    def ways_by_host(self) -> dict[str, tuple[tuple[Way, int], ...]]:
        """For each host the ways it is on, and at which hop (0 is the entry)."""
        found: dict[str, list[tuple[Way, int]]] = {}
        for way in self.ways:
            for at, host in enumerate(way.hops):
                found.setdefault(host, []).append((way, at))
        return {host: tuple(on) for host, on in found.items()}
