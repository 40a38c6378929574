"""What can be broken before a packet is sent: the same question with something gone.

A fault on a host is a new HostState and Surroundings, as the kernel would leave them. A host that is down is one
whose uplink's cable is pulled: nothing passes there, what is behind it stays as it was. A tunnel that is down answers
no handshake. Every device stays up (blueprint section 3: a WireGuard device never goes down with its peer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from warren.core.choices import as_chosen
from warren.model.choice import DIRECT
from warren.model.expect import Down
from warren.model.prefix import FAMILIES, Family, Prefix
from warren.model.state import MAIN, HostState, Route, RouteKind
from warren.model.surroundings import Surroundings
from warren.model.world import HostNode


@dataclass(frozen=True, slots=True)
class HostDown:
    """The host is cut off at its uplink."""

    host: str

    def __str__(self) -> str:
        return f"{self.host} down"


@dataclass(frozen=True, slots=True)
class TunnelDown:
    """Nothing gets through between two hosts' tunnel ends."""

    one: str
    other: str

    def __str__(self) -> str:
        return f"tunnel {self.one}-{self.other} down"


@dataclass(frozen=True, slots=True)
class DeviceGone:
    """A tunnel device is deleted, and its routes with it."""

    host: str
    device: str

    def __str__(self) -> str:
        return f"device {self.device} of {self.host} gone"


@dataclass(frozen=True, slots=True)
class FirewallGone:
    """Our nft tables are gone (`nft flush ruleset`, a reload of nftables.service)."""

    host: str

    def __str__(self) -> str:
        return f"nft table of {self.host} gone"


@dataclass(frozen=True, slots=True)
class RulesGone:
    """Our policy rules are gone (`ip rule flush`, a network manager that clears what it does not know)."""

    host: str

    def __str__(self) -> str:
        return f"ip rules of {self.host} gone"


@dataclass(frozen=True, slots=True)
class TableFlushed:
    """One of our routing tables lost its routes."""

    host: str
    table: int

    def __str__(self) -> str:
        return f"table {self.table} of {self.host} flushed"


@dataclass(frozen=True, slots=True)
class DefaultHijacked:
    """Routes for both halves of the internet appear in main by the uplink (DHCP option 121, OpenVPN's def1)."""

    host: str

    def __str__(self) -> str:
        return f"0.0.0.0/1, 128.0.0.0/1, ::/1 and 8000::/1 in main of {self.host}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The agent has chosen another exit than the first, by its rank, or DIRECT; nothing need be broken for that."""

    host: str
    portal: str
    family: Family
    rank: int

    def __str__(self) -> str:
        where = "directly" if self.rank == DIRECT else f"by exit {self.rank + 1}"
        return f"{self.portal} {where} in {self.family.word}"


HostFault = DeviceGone | FirewallGone | RulesGone | TableFlushed | DefaultHijacked | Chosen
Fault = HostDown | TunnelDown | HostFault


def faults_of(down: tuple[Down, ...]) -> tuple[Fault, ...]:
    """Turn an expectation's `when: {down: …}` into faults."""
    return tuple(HostDown(one.host) if one.tunnel is None else TunnelDown(*one.tunnel) for one in down)


def break_host(
    fault: HostFault, state: HostState, surroundings: Surroundings, node: HostNode
) -> tuple[HostState, Surroundings]:
    """Give the host as the fault leaves it."""
    match fault:
        case DeviceGone(_, device):
            kept = tuple(interface for interface in state.interfaces if interface.name != device)
            routes = tuple(route for route in state.routes if route.device != device)
            return replace(state, interfaces=kept, routes=routes), surroundings
        case FirewallGone():
            return replace(state, tables=()), surroundings
        case RulesGone():
            return replace(state, rules=()), surroundings
        case TableFlushed(_, table):
            return replace(state, routes=tuple(route for route in state.routes if route.table != table)), surroundings
        case Chosen(_, portal, family, rank):
            for choice in state.choices:
                if (choice.portal, choice.family) == (portal, family):
                    state = as_chosen(state, choice, rank)
            return state, surroundings
        case DefaultHijacked():
            return state, replace(surroundings, routes=surroundings.routes + _halves(surroundings, node))


def agents_answer(host: str, state: HostState, faults: Sequence[Fault]) -> HostState:
    """Give a host's state once its agent has seen these faults: of each choice the first exit that answers is in use.

    An exit does not answer while it is cut off, the tunnel to it is down or its device is gone. While none does, what
    was in use stays, unless there is a way to leave directly.
    """
    down = {fault.host for fault in faults if isinstance(fault, HostDown)}
    cut = {frozenset((fault.one, fault.other)) for fault in faults if isinstance(fault, TunnelDown)}
    devices = {interface.name for interface in state.interfaces}
    for choice in state.choices:
        alive = [
            rank
            for rank, one in enumerate(choice.exits)
            if one.host not in down and frozenset((host, one.host)) not in cut and one.device in devices
        ]
        if alive and alive[0] > 0:
            state = as_chosen(state, choice, alive[0])
        elif not alive and choice.direct:
            state = as_chosen(state, choice, DIRECT)
    return state


def _halves(surroundings: Surroundings, node: HostNode) -> tuple[Route, ...]:
    """Both halves of each family by the uplink's gateway; without a default route, by the world's gateway."""
    found = []
    for family in FAMILIES:
        route = surroundings.default_route(family, node.uplink)
        via = route.via if route is not None else None
        via = via or next((gateway for gateway in node.attachment.gateways if gateway.version == family), None)
        if via is not None:
            found += [
                Route(half, MAIN, node.uplink, RouteKind.UNICAST, via, protocol="boot") for half in halves(family)
            ]
    return tuple(found)


def halves(family: Family) -> tuple[Prefix, ...]:
    """Give the two halves of a family's addresses."""
    return tuple(family.everything.subnets(1))
