"""What the agent has to know to knock and to hear knocks, and when it knocks: without a clock or a socket.

    look(what WireGuard knows of each peer, now) ──► at whom to knock now        moved ──► at everybody

At the beginning; where a peer is dialled somewhere else; and where packets go out and none come back: then the far end
may have closed its port to us, because we were silent for long or came from another address. A tunnel that works, or
that nobody uses, is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warren.core.compile.knock import KNOCKED
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.knock import Knock
from warren.model.state import HostState

LOOK = 2.0  # seconds between two looks
SILENT = 20.0  # seconds without an answer: WireGuard says something at least every 10 while it is spoken to
FIRST, LONGEST = 5.0, 60.0  # seconds between two knocks: WireGuard tries to shake hands every 5


@dataclass(frozen=True, slots=True)
class Door:
    """What a host that is knocked at needs: its ports and key, the members by their keys, the sets they get into."""

    network: str
    host: str
    ports: tuple[int, ...]
    devices: tuple[str, ...]
    private_key: str
    table: str
    sets: tuple[tuple[int, str], ...]  # of an IP version
    members: tuple[tuple[PublicKey, str], ...]
    knock: Knock


@dataclass(frozen=True, slots=True)
class Knocks:
    """At whom a host knocks: peers by their keys, each with its device and its name."""

    network: str
    private_key: str
    mark: int
    peers: tuple[tuple[PublicKey, str, str], ...]

    @property
    def devices(self) -> frozenset[str]:
        """The devices that hold them."""
        return frozenset(device for _, device, _ in self.peers)


def door_of(network: str, applied: HostState) -> Door | None:
    """Say what there is to open on a host, of what was applied; None if nobody has to knock."""
    names = {held.name for table in applied.tables for held in table.sets}
    sets = tuple((family.value, ref.name) for family, ref in KNOCKED.items() if ref.name in names)
    if applied.knock is None or not sets:
        return None
    held = [(peer.public_key, peer.name) for one in applied.interfaces for peer in one.peers]
    return Door(
        network=network,
        host=applied.host,
        ports=tuple(sorted(one.listen_port for one in applied.interfaces)),
        devices=tuple(one.name for one in applied.interfaces),
        private_key=applied.interfaces[0].private_key.path,
        table=applied.table_name,
        sets=sets,
        members=tuple(sorted(held)),
        knock=applied.knock,
    )


def knocks_of(network: str, applied: HostState) -> Knocks | None:
    """Say at whom a host knocks, of what was applied; None if at nobody."""
    peers = tuple(
        (peer.public_key, one.name, peer.name)
        for one in applied.interfaces
        for peer in one.peers
        if peer.name in applied.knocks
    )
    if not peers:
        return None
    device = applied.interfaces[0]
    mark = max(one.fwmark for one in applied.interfaces)  # one for devices behind a gateway has none
    return Knocks(network, device.private_key.path, mark, peers)


@dataclass(frozen=True, slots=True)
class Seen:
    """What WireGuard knows of a peer: where it sends to, bytes sent, bytes received."""

    endpoint: Endpoint | None
    sent: int
    received: int


@dataclass
class _Tried:
    seen: Seen  # as it was when something last came
    next: float
    wait: float = FIRST
    knocks: int = 0  # since then


class Urge:
    """When each peer was last heard, and knocked at."""

    def __init__(self) -> None:
        self._tried: dict[PublicKey, _Tried] = {}

    def moved(self) -> None:
        """This host has another address: everybody has to hear of it."""
        self._tried.clear()

    def look(self, peers: Iterable[PublicKey], seen: Mapping[PublicKey, Seen], now: float) -> dict[PublicKey, bool]:
        """Give those to knock at now; with each, whether this is the first knock since it was heard."""
        kept: dict[PublicKey, _Tried] = {}
        due: dict[PublicKey, bool] = {}
        for key in peers:
            found = seen.get(key)
            if found is None or found.endpoint is None:
                continue
            tried = self._tried.get(key)
            if tried is None or (found.endpoint != tried.seen.endpoint and found.received == tried.seen.received):
                due[key] = True
                kept[key] = _Tried(found, now + FIRST, knocks=1)
                continue
            kept[key] = tried
            if found.received != tried.seen.received:
                kept[key] = _Tried(found, now + SILENT)
            elif found.sent != tried.seen.sent and now >= tried.next:
                due[key] = not tried.knocks
                tried.knocks += 1
                tried.next, tried.wait = now + tried.wait, min(2 * tried.wait, LONGEST)
        self._tried = kept
        return due
