"""What the agent has to know to find peers, and what it makes of counters: pure, beside the duty itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from warren.core.compile.meeting import left
from warren.core.compile.portals import peers_apart
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.network import Network
from warren.model.prefix import FAMILIES
from warren.model.state import Backend, HostState, Peer
from warren.proto.address import Address
from warren.sys.store import Store

# What WireGuard sends by itself, in bytes: a keepalive, the two messages of a handshake (its paper, section 5.4).
_KEEPALIVE, _INITIATION, _RESPONSE = 32, 148, 92
_OWN = frozenset(
    alive * _KEEPALIVE + begun * _INITIATION + answered * _RESPONSE
    for alive in range(3)
    for begun in range(3)
    for answered in range(3)
)
Say = Callable[[str, str, str], None]  # kind, subject, what people are told
KEPT = 4  # places at which a peer was, that are remembered


@dataclass(frozen=True, slots=True)
class Meeting:
    """Who is to be found, by which device, and where one asks: addresses and public keys of servers.

    `only` is the key of the one peer that the device is kept for; empty: it is the one that all others share. `store`
    is where this host remembers where names led, `uplink` the device whose router is asked to open the port; empty: it
    is not to be asked.
    """

    device: str
    port: int
    mark: int
    private_key: str
    table: str
    backend: Backend
    peers: tuple[Peer, ...]
    servers: tuple[tuple[Endpoint, PublicKey], ...]
    store: Store
    uplink: str = ""
    only: str = ""

    @property
    def at(self) -> tuple[object, ...]:
        """What has to stay the same for the port and the key to stay open."""
        return self.device, self.port, self.mark, self.private_key, self.table, self.backend, self.only


def meetings_of(network: Network, host: str, applied: HostState, store: Store) -> tuple[Meeting, ...]:
    """Say whom the agent of a host has to find, of those that were applied, by each device that holds any."""
    apart = peers_apart(network, host)
    found = []
    wanted = {peer.key: peer.name for peer in network.hosts if network.meet(host, peer.name)}
    here = network.by_name[host]
    for interface in applied.interfaces:
        held = [peer for peer in interface.peers if peer.public_key in wanted]
        if held:
            alone = len(held) == 1 and wanted[held[0].public_key] in apart
            made = Meeting(
                device=interface.name,
                port=interface.listen_port,
                mark=interface.fwmark,
                private_key=interface.private_key.path,
                table=applied.table_name,
                backend=applied.backend,
                peers=tuple(replace(peer, name=wanted[peer.public_key]) for peer in held),
                servers=tuple((server.address, server.key) for server in network.rendezvous),
                uplink=here.uplink if here.port_mapping else "",
                store=store,
                only=held[0].public_key if alone else "",
            )
            found.append(made)
    return tuple(found)


def is_traffic(bytes_more: int) -> bool:
    """Say whether a peer's counter rose by something that somebody sent, and not by what WireGuard says by itself."""
    return bytes_more not in _OWN


# Of a peer where it is, whether it is only there, and where else it may be.
Used = tuple[Address | None, bool, tuple[Address, ...]]


class Left:
    """Which places are refused: those at which a peer was or may be, while both sides use another one."""

    def __init__(self) -> None:
        self._were: dict[bytes, tuple[Address, ...]] = {}

    def at(self, peer: bytes, place: Address) -> None:
        """A peer is sent to at this place from now on."""
        others = tuple(one for one in self._were.get(peer, ()) if one != place)
        self._were[peer] = (place, *others)[:KEPT]

    def refused(self, used: Mapping[bytes, Used]) -> frozenset[Address]:
        """Give the places to refuse."""
        taken = {place for place, _, _ in used.values() if place is not None}
        left: set[Address] = set()
        for peer, (_, only, others) in used.items():
            if only:
                left |= {*self._were.get(peer, ()), *others}
        return frozenset(left - taken)


def by_set(places: frozenset[Address], port: int) -> tuple[tuple[str, tuple[Address, ...]], ...]:
    """Sort places into the live sets of a port."""
    return tuple(
        (left(family, port).name, tuple(sorted((one for one in places if one.ip.version == family), key=str)))
        for family in FAMILIES
    )
