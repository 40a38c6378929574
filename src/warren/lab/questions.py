"""From an expectation to packets: who sends what to which address, and who is meant to get it.

Without a port the promise is about everything: an echo, UDP and TCP are all sent. Each has a port of its own then, so
that even a TCP packet without payload can be told from all others on a wire.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from warren.core.compile.fabric import Fabric
from warren.core.compile.openings import openings
from warren.core.walk import Probe, probes_of, spot_of
from warren.core.walk.course import OnHost, OnLan, Spot
from warren.lab.ask import Ask
from warren.lab.topology import INTERNET, client_space, device_space, host_space, machine_space
from warren.model.expect import DNS, Expect
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import Address, Family, family_of
from warren.model.world import World
from warren.proto.dns.message import AAAA, A

FIRST_PORT = 20000


class Questions:
    """Makes the packets of one world; ports are not used twice."""

    def __init__(self, network: Network, lock: Lock, world: World) -> None:
        self.world, self.lock = world, lock
        self._ports = count(FIRST_PORT)
        self._portals = network.portals
        self._owners = _owners(network, lock, world)
        self._mapped = _mapped(world)
        fabric = Fabric(network, lock)
        self._openings = {
            interface.ip: openings(fabric, node.name) for node in world.hosts for interface in node.attachment.addresses
        }

    def of(self, expect: Expect) -> dict[Family, tuple[Probe, list[Ask]]]:
        """Make what is sent for an expectation, by family, beside the same question to walk."""
        return {
            family: (probe, list(self._asks(expect, family, probe)))
            for family, probe in probes_of(self.world, self.lock, expect)
        }

    def of_name(self, expect: Expect, resolver: Address) -> list[Ask]:
        """Make the questions for a name: for its addresses of either family, of its place's resolver."""
        assert expect.resolves is not None
        space, name = self.space_of(spot_of(self.world, expect.source_place)), expect.resolves.name
        family = family_of(resolver)
        here = expect.source_place
        told = (one.dns for one in self._portals if (one.source.host, one.source.lan) == (here.host, here.lan))
        sealed = any(dns is not None and dns.sealed for dns in told)
        flaw = "questions by TLS or HTTPS cannot be read, and nobody in the lab answers them" if sealed else ""
        return [Ask(space, family, DNS, resolver, 53, name=name, kind=kind, flaw=flaw) for kind in (A, AAAA)]

    def _asks(self, expect: Expect, family: Family, probe: Probe) -> Iterator[Ask]:
        target = expect.target
        protos = ("icmp", "udp", "tcp") if target.proto == "icmp" else (target.proto,)
        space = self.space_of(probe.start)
        # What leaks arrives out there, whoever it was meant for: there it must be seen, and answered.
        ends = self._owners.get(probe.destination, frozenset()) | {INTERNET}
        mapped = self._mapped.get(probe.destination, ())
        for proto in protos:
            dport = 0 if proto == "icmp" else target.port or next(self._ports)
            yield self._led(Ask(space, family, proto, probe.destination, dport, ends, probe.source, mapped=mapped))
        if expect.mtu:
            yield self._led(Ask(space, family, "icmp", probe.destination, 0, ends, probe.source, expect.mtu, mapped))

    def _led(self, ask: Ask) -> Ask:
        """Say where else a question may arrive: wherever the gateway whose address it is sent to leads it."""
        led = [
            (address, one.led(ask.dport))
            for one in self._openings.get(ask.destination, ())
            if one.family is ask.family and one.holds(ask.proto, ask.dport)
            for address in (one.to, one.inside)
        ]
        ends = frozenset(space for address, _ in led for space in self._owners.get(address, ()))
        return replace(ask, led=tuple(dict.fromkeys(led)), ends=ask.ends | ends)

    def space_of(self, spot: Spot) -> str:
        """Name the space in which a packet is made."""
        if isinstance(spot, OnHost):
            return machine_space(self.world, spot.host)
        return client_space(self.world, spot.client) if isinstance(spot, OnLan) else INTERNET


def _owners(network: Network, lock: Lock, world: World) -> dict[Address, frozenset[str]]:
    """Which spaces have an address: with overlapping LANs there may be several."""
    owners: dict[Address, set[str]] = defaultdict(set)
    for node in world.hosts:
        space = host_space(node.name)
        ours = lock.by_name[node.name]
        for address in (*ours.addresses, *(address for chain in ours.chains for address in chain.addresses)):
            owners[address].add(space)
        for interface in (
            *node.attachment.addresses,
            *(a for lan in network.by_name[node.name].lans for a in lan.addresses),
        ):
            owners[interface.ip].add(space)
    for node in world.devices:
        addresses = *lock.guest_by_name[node.name].addresses, *(one.ip for one in node.attachment.addresses)
        for address in addresses:
            owners[address].add(device_space(node.name))
    for client in world.clients:
        for interface in client.addresses:
            owners[interface.ip].add(client_space(world, client))
            owners[client.seen(interface.ip)].add(client_space(world, client))
    return {address: frozenset(spaces) for address, spaces in owners.items()}


def _mapped(world: World) -> dict[Address, tuple[tuple[str, Address], ...]]:
    """What a mapped address becomes at its own site: at the host that maps it, and at the machine."""
    found: dict[Address, tuple[tuple[str, Address], ...]] = {}
    for client in world.clients:
        for interface in client.addresses:
            seen = client.seen(interface.ip)
            if seen != interface.ip:
                spaces = host_space(client.host), client_space(world, client)
                found[seen] = tuple((space, interface.ip) for space in spaces)
    return found
