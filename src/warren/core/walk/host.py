"""One host, ready to be walked through: its devices, rules and tables, hooks and settings, indexed once.

HostState and Surroundings lie on top of each other here as they do in the kernel; whose a thing is only matters
where it is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

from warren.core.walk.fib import Fib, RouteTable, kernel_routes, loopback_routes
from warren.core.walk.hooks import Ruleset
from warren.model.key import PublicKey
from warren.model.prefix import FAMILIES, Family, Interface, Prefix
from warren.model.state import Backend, HostState, LinkKind, Peer, Route, WgInterface
from warren.model.surroundings import ForeignChain, Surroundings
from warren.model.world import HostNode

CONNTRACK = -200
_NAT_PRIORITY = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_FOREIGN_FAMILIES = {
    "ip": (Family.IPV4,),
    "legacy4": (Family.IPV4,),
    "ip6": (Family.IPV6,),
    "legacy6": (Family.IPV6,),
    "inet": FAMILIES,
}
_EPHEMERAL = 40000  # the port of a device that lets the kernel choose; any number will do


class AllowedIps:
    """The allowed IPs of a device: the longest prefix names the peer, the last peer that claimed it has it."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._owner: dict[Prefix, Peer] = {}
        self._tables = {family: RouteTable(family) for family in FAMILIES}
        for peer in peers:
            for prefix in peer.allowed_ips:
                if prefix not in self._owner:
                    self._tables[Family(prefix.version)].add(Route(prefix, 0))
                self._owner[prefix] = peer

    def find(self, family: Family, address: int) -> tuple[Prefix, Peer] | None:
        """Find the peer of an address, with the prefix that says so."""
        route = self._tables[family].find(address, "")
        return None if route is None else (route.prefix, self._owner[route.prefix])


@dataclass(slots=True)
class Device:
    """A device; `wireguard` is set for ours, `kind` is ip-link(8)'s word for a foreign one."""

    name: str
    mtu: int
    addresses: tuple[Interface, ...]
    kind: str = ""
    wireguard: WgInterface | None = None
    port: int = 0
    allowed: AllowedIps = field(default_factory=lambda: AllowedIps(()))


@dataclass(frozen=True, slots=True)
class OurChain:
    """A base chain of ours at a hook; `route` ones make the kernel route again when they change the mark."""

    ruleset: Ruleset
    name: str
    route: bool


@dataclass(frozen=True, slots=True)
class NatStage:
    """Where address translation happens at a hook: our nat chains, and foreign ones."""

    chains: tuple[OurChain, ...]
    foreign: tuple[ForeignChain, ...]


class TrackStage:
    """Where conntrack looks a packet up."""


Stage = TrackStage | OurChain | ForeignChain | NatStage


class HostView:
    """A host as walk sees it. `node` is where it stands; without one it has an uplink of its own saying."""

    def __init__(
        self,
        name: str,
        state: HostState,
        surroundings: Surroundings,
        node: HostNode,
        like: HostView | None = None,
    ) -> None:
        """Take a host; what `like` has indexed already of the very same values is shared with it."""
        self.name = name
        self.state = state
        self.surroundings = surroundings
        self.node = node
        self.uplink = node.uplink
        self.families = FAMILIES if surroundings.ipv6 else (Family.IPV4,)
        self.devices = {device.name: device for device in _devices(state, surroundings)}
        self.ports = {device.port: device.name for device in self.devices.values() if device.wireguard is not None}
        self.df = state.backend is Backend.USERSPACE
        self._sysctls = {setting.name: setting.value for setting in state.sysctls}
        self._stages: dict[tuple[str, Family], tuple[Stage, ...]] = {}
        self._settings: dict[tuple[str, str], int] = {}
        self._like = like

    @cached_property
    def fibs(self) -> dict[Family, Fib]:
        """The rules and tables of each family the host speaks."""
        like = self._like
        if like is not None and like.surroundings is self.surroundings and _same_ways(like.state, self.state):
            return like.fibs
        return {family: self._fib(family) for family in self.families}

    def _fib(self, family: Family) -> Fib:
        made = loopback_routes(family)
        for device in self.devices.values():
            for route in kernel_routes(device.name, device.addresses):
                if device.wireguard is not None or route.table == 255:  # the observer tells the foreign on-link ones
                    made.append(route)
        for given in self.state.lan_addresses:
            made += [route for route in kernel_routes(given.device, (given.address,)) if route.table != 255]
        routes = [*made, *self.surroundings.routes, *self.state.routes]
        return Fib(family, [*self.surroundings.rules, *self.state.rules], routes, self.devices)

    @cached_property
    def rulesets(self) -> tuple[Ruleset, ...]:
        """Our tables, compiled."""
        if self._like is not None and self._like.state.tables is self.state.tables:
            return self._like.rulesets
        return tuple(Ruleset(table) for table in self.state.tables)

    def stages(self, hook: str, family: Family) -> tuple[Stage, ...]:
        """Give what a packet meets at a hook, in order."""
        known = self._stages.get((hook, family))
        if known is None:
            ordered = sorted(self._stages_of(hook, family), key=itemgetter(0))
            known = self._stages[hook, family] = tuple(stage for _, stage in ordered)
        return known

    def _stages_of(self, hook: str, family: Family) -> Iterator[tuple[int, Stage]]:
        nat_priority = _NAT_PRIORITY.get(hook)
        nats = []
        if hook in ("prerouting", "output"):
            yield CONNTRACK, TrackStage()
        for ruleset in self.rulesets:
            for chain in ruleset.table.chains:
                if chain.hook is None or chain.hook.hook != hook or family not in ruleset.families:
                    continue
                ours = OurChain(ruleset, chain.name, chain.hook.type == "route")
                if chain.hook.type == "nat":
                    nats.append(ours)
                else:
                    yield chain.hook.priority, ours
        foreign_nats = []
        for foreign in self.surroundings.chains:
            if foreign.hook != hook or family not in _FOREIGN_FAMILIES.get(foreign.family, ()):
                continue
            if foreign.policy == "accept" and not foreign.rules:
                continue
            if foreign.priority == nat_priority:
                foreign_nats.append(foreign)
            else:
                yield foreign.priority, foreign
        if nat_priority is not None:
            yield nat_priority, NatStage(tuple(nats), tuple(foreign_nats))

    # --- settings ----------------------------------------------------------------------------------------

    def sysctl(self, name: str, default: str = "0") -> int:
        """Read a setting as a number, ours before the surroundings'."""
        return int(self._sysctls.get(name) or self.surroundings.sysctl(name, default))

    def forwards(self, family: Family) -> bool:
        """Say whether packets of a family are forwarded at all."""
        return bool(self.sysctl("net.ipv4.ip_forward" if family is Family.IPV4 else "net.ipv6.conf.all.forwarding"))

    def ipv4_setting(self, device: str, setting: str) -> int:
        """Read a per-device IPv4 setting as the kernel's IN_DEV_MAXCONF does: the greater of `all` and the device."""
        known = self._settings.get((device, setting))
        if known is None:
            fallback = self.surroundings.sysctl(f"net.ipv4.conf.default.{setting}", "0")
            own = self.sysctl(f"net.ipv4.conf.{device.replace('.', '/')}.{setting}", fallback)
            known = self._settings[device, setting] = max(own, self.sysctl(f"net.ipv4.conf.all.{setting}"))
        return known

    def by_key(self, key: PublicKey) -> list[Device]:
        """List our devices on which a peer of that key is held."""
        return [
            device
            for device in self.devices.values()
            if device.wireguard is not None and any(peer.public_key == key for peer in device.wireguard.peers)
        ]


def _same_ways(one: HostState, other: HostState) -> bool:
    """Whether two states have the same rules, routes and devices; faults leave what they do not touch as it is."""
    return one.rules is other.rules and one.routes is other.routes and one.interfaces is other.interfaces


def _devices(state: HostState, surroundings: Surroundings) -> Iterator[Device]:
    raised = {link.name for link in state.lan_links if link.kind is LinkKind.RAISED}
    for made in state.made_links:
        mtu = next((link.mtu for link in surroundings.links if link.name == made.of), 1500)
        given = tuple(one.address for one in state.lan_addresses if one.device == made.name)
        yield Device(made.name, mtu, given, made.kind.value)
    for link in surroundings.links:
        if link.up or link.name in raised:
            ours = tuple(given.address for given in state.lan_addresses if given.device == link.name)
            foreign = tuple(address for address in link.addresses if address not in ours)
            yield Device(link.name, link.mtu, foreign + ours, link.kind)
    for at, interface in enumerate(state.interfaces):
        if interface.mtu:  # an observed 0 is a device that is down
            yield Device(
                interface.name,
                interface.mtu,
                interface.addresses,
                "wireguard",
                interface,
                interface.listen_port or _EPHEMERAL + at,
                AllowedIps(interface.peers),
            )
