"""What an agent knows of its paths, as a value that it writes down for `warren status`: where, and why not elsewhere.

Times are seconds; `at` is since 1970. Addresses are what was seen on the wire, so the file is its owner's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from warren.proto.address import Address, Candidate, Origin
from warren.proto.agent import Agent
from warren.proto.path import Path
from warren.proto.shown import Seen, Shown, shown
from warren.proto.states import State
from warren.proto.tried import Fate, fate_of

FAMILIES = (4, 6)


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A place at which the peer was looked for. `origin`: as what a server named it; `rtt`: when it last answered."""

    place: Address
    fate: Fate
    asked: int
    rtt: float | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class KnownRelay:
    """The relay that a server has lent. `answers`: it is there, `rtt` away; `heard`: the peer has spoken by it."""

    place: Address
    answers: bool
    heard: bool
    rtt: float | None = None


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """A peer: its WireGuard key in base64, how it is reached, where its packets are sent, and the places tried."""

    key: str
    name: str
    state: State
    endpoint: Address | None = None
    rtt: float | None = None
    relay: KnownRelay | None = None
    places: tuple[KnownPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A server: whether it knows this host, and where it sees it."""

    place: Address
    up: bool
    observed: Address | None = None


@dataclass(frozen=True, slots=True)
class KnownNat:
    """How this host is shown in one IP version (4 or 6), and as which addresses."""

    version: int
    shown: Shown
    observed: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """All that the agent knows of the peers of one device."""

    at: float
    servers: tuple[KnownServer, ...] = ()
    nat: tuple[KnownNat, ...] = ()
    peers: tuple[KnownPeer, ...] = ()


def known_of(agent: Agent, names: Mapping[bytes, tuple[str, str]], port: int, at: float) -> Known:
    """Gather what an agent knows; `names` gives for each peer its key in base64 and its name, `port` is WireGuard's."""
    servers = tuple(KnownServer(visit.server, visit.up, visit.observed) for visit in agent.visits)
    own = {one.address.ip for one in agent.candidates if one.origin is Origin.HOST}
    nat = []
    for version in FAMILIES:
        seen = [
            Seen(one.place, one.observed)
            for one in servers
            if one.up and one.observed is not None and one.observed.ip.version == version
        ]
        if seen:
            observed = tuple(dict.fromkeys(one.observed for one in seen))
            nat.append(KnownNat(version, shown(seen, own, port), observed))
    peers = tuple(_peer(path, *names[peer]) for peer, path in agent.paths.items() if peer in names)
    return Known(at, servers, tuple(nat), peers)


def gist(agent: Agent) -> object:
    """Give what is at once of interest of all that: how peers are reached, and how servers see this host."""
    paths = tuple((path.peer, path.use, path.state) for path in agent.paths.values())
    return paths, tuple((visit.server, visit.up, visit.observed) for visit in agent.visits)


def _peer(path: Path, key: str, name: str) -> KnownPeer:
    used = path.use.endpoint if path.state is State.DIRECT else None
    places = tuple(
        KnownPlace(place, fate_of(trial, place == used, used is not None), trial.asked, trial.rtt, _origin(path, place))
        for place, trial in path.pairs.trials
        if trial.asked or place == used
    )
    relay = path.relay
    return KnownPeer(
        key,
        name,
        path.state,
        path.use.endpoint,
        next((one.rtt for one in places if one.place == used), None),
        KnownRelay(relay.place, relay.answers, relay.heard, relay.rtt) if relay is not None else None,
        places,
    )


def _origin(path: Path, place: Address) -> Origin | None:
    told: tuple[Candidate, ...] = path.candidates
    return next((one.origin for one in told if one.address == place), None)
