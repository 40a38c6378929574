"""A name, asked for: who is asked, by which way each question goes, and whether anybody answers.

Read off the very configurations that run on the hosts, and each question walked like any packet:

    a client ─► dnsmasq on its LAN ─► `warren dns` ─► both sides  ·  dnsmasq at the exit ─► whoever the exit asks
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from warren.core.dns_config import DnsConfig, read_config, side_of
from warren.core.walk.course import OnHost
from warren.core.walk.places import spot_of
from warren.core.walk.scene import Probe
from warren.core.walk.walker import Walker
from warren.core.world import RESOLVER
from warren.model.dns import Transport
from warren.model.place import Place
from warren.model.prefix import Address, covers, host_prefix
from warren.model.state import HostState, Program
from warren.model.trace import Disposition, Trace

OWN, AT_EXIT, LAN = "own-names", "exit-names", "lan-{}"
DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Resolved:
    """What becomes of a name that is asked for: the questions there were, and whether one was answered."""

    traces: tuple[Trace, ...]
    answered: bool
    says: str = ""

    @property
    def exits(self) -> tuple[str, ...]:
        """The hosts by whose uplinks its questions leave."""
        return tuple(sorted({trace.exit for trace in self.traces if trace.exit}))


@dataclass(slots=True)
class _Told:
    """What a configuration of dnsmasq says, as far as `core.render.dnsmasq` writes it."""

    servers: list[tuple[tuple[str, ...], Address, int, str]] = field(default_factory=list)
    records: set[str] = field(default_factory=set)
    system: bool = True
    in_order: bool = False


def resolve(walker: Walker, place: Place, name: str) -> Resolved:
    """Follow a name that is asked for at a place of the network."""
    world, state = walker.scene.world, walker.scene.states[place.host]
    config = _config(state, LAN.format(place.lan) if place.lan else OWN)
    if config is None:
        return Resolved((), False, f"{place.host} resolves no names for {place}")
    if place.lan:
        lan = walker.view(place.host).devices.get(place.lan)
        at = next((address.ip for address in lan.addresses), None) if lan is not None else None
        if at is None:
            return Resolved((), False, f"{place.host} has no address on {place.lan}")
        asked = walker.walk(Probe(spot_of(world, place), at, proto="udp", dport=53))
        if not _is_answered(asked):
            return Resolved((asked,), False, f"{place} cannot ask {place.host}: {asked.says}")
    return _Course(walker, name.lower()).by_dnsmasq(place.host, config, 0)


class _Course:
    """One name, on its way."""

    def __init__(self, walker: Walker, name: str) -> None:
        self.walker, self.name = walker, name

    def by_dnsmasq(self, host: str, config: str, depth: int) -> Resolved:
        """Ask whom a dnsmasq asks."""
        told = _read(config)
        if self.name in told.records:
            return Resolved((), True, f"{host} knows it")
        matching = [one for one in told.servers if any(_is_below(self.name, domain) for domain in one[0])]
        longest = max((max(map(len, one[0])) for one in matching), default=0)
        general = [one for one in told.servers if not one[0]]
        chosen = [one for one in matching if max(map(len, one[0])) == longest] or general
        asked = [(address, port, device) for _, address, port, device in chosen]
        if not asked and told.system:
            asked = [(RESOLVER, 53, "")]  # stands for whoever the host itself asks
        found = [self._one(host, *one, depth) for one in asked]
        if told.in_order:  # the later ones are asked when the earlier are silent
            first = next((at for at, one in enumerate(found) if one.answered), len(found))
            found = found[: first + 1]
        return _together(found, any(one.answered for one in found))

    def _one(self, host: str, address: Address, port: int, device: str, depth: int, proto: str = "udp") -> Resolved:
        state = self.walker.scene.states[host]
        if address.is_loopback:
            judge = next((one for one in _judges(state) if one.address == address), None)
            if judge is None:
                return Resolved((), False, f"nobody answers at {address} of {host}")
            return self._judged(host, judge, depth)
        trace = self.walker.walk(Probe(OnHost(host), address, proto=proto, dport=port, device=device))
        if trace.disposition is not Disposition.DELIVERED or not _is_answered(trace):
            return Resolved((trace,), _is_answered(trace), trace.says)
        there = self.walker.scene.states.get(trace.hops[-1].node)
        config = _config(there, AT_EXIT) if there is not None else None
        if there is None or config is None or depth >= DEEPEST:
            return Resolved((trace,), there is None, "" if there is None else f"{there.host} resolves for nobody")
        beyond = self.by_dnsmasq(there.host, config, depth + 1)
        return _together([Resolved((trace,), True), beyond], beyond.answered)

    def _judged(self, host: str, config: DnsConfig, depth: int) -> Resolved:
        near, far = (tuple(one for one in config.asked if one.domestic is side) for side in (True, False))
        side = side_of(config, self.name)
        is_domestic = self._is_domestic(config)

        def ask(domestic: bool) -> Resolved:
            found: list[Resolved] = []
            for one in near if domestic else far:
                proto = "udp" if one.resolver.transport is Transport.PLAIN else "tcp"
                found.append(self._one(host, one.resolver.address, one.resolver.port, one.device, depth, proto))
                if found[-1].answered:
                    break
            return _together(found, any(one.answered for one in found))

        if not config.judged or side is False:
            return ask(domestic=False)
        if side is True:
            own = ask(domestic=True)
            if own.answered:
                return own
            other = ask(domestic=False)
            return _together([own, other], other.answered)
        trusted = ask(domestic=False)
        if config.fast or (trusted.answered and is_domestic):
            domestic = ask(domestic=True)
            return _together([trusted, domestic], trusted.answered or (domestic.answered and is_domestic))
        return trusted

    def _is_domestic(self, config: DnsConfig) -> bool:
        """Say whether the world has domestic addresses for the name."""
        addresses = dict(self.walker.scene.world.names).get(self.name, ())
        return bool(addresses) and all(
            any(covers(prefix, host_prefix(address)) for prefix in config.domestic) for address in addresses
        )


def _together(found: list[Resolved], answered: bool) -> Resolved:
    says = "; ".join(dict.fromkeys(one.says for one in found if one.says and not one.answered))
    return Resolved(tuple(trace for one in found for trace in one.traces), answered, "" if answered else says)


def _is_answered(trace: Trace) -> bool:
    return trace.arrived and (trace.reply is None or trace.reply.arrived)


def _config(state: HostState, name: str) -> str | None:
    return next((one.config for one in state.services if one.name == name), None)


def _judges(state: HostState) -> Iterator[DnsConfig]:
    return (read_config(one.config) for one in state.services if one.program is Program.RESOLVER)


def _read(config: str) -> _Told:
    told = _Told()
    for line in config.splitlines():
        word, _, value = line.partition("=")
        if word == "server":
            told.servers.append(_server(value))
        elif word == "host-record":
            told.records.add(value.partition(",")[0])
        elif word == "no-resolv":
            told.system = False
        elif word == "strict-order":
            told.in_order = True
    return told


def _server(value: str) -> tuple[tuple[str, ...], Address, int, str]:
    """Read `/domain/…/ADDRESS#PORT@DEVICE`."""
    *domains, rest = value.removeprefix("/").split("/")
    rest, _, device = rest.partition("@")
    address, _, port = rest.partition("#")
    return tuple(domains), ip_network(address).network_address, int(port or 53), device


def _is_below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
