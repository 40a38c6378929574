"""The host's machine: it visits all servers, and has a path for each peer that it is linked with.

    receive(data, source, now)     to_send(now)     next_timer()     events()

All its packets go from WireGuard's own port, and what it receives comes to that port, but for those that open a hard
NAT (`apart`). Its events say where WireGuard is to send to. Servers that fall silent take nothing from a path that
works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from warren.model.lab import Mapping
from warren.proto import packet
from warren.proto.address import Address, Candidate
from warren.proto.agenda import Agenda
from warren.proto.birthday import Here, Phase
from warren.proto.door import Draw
from warren.proto.look import Look
from warren.proto.member import ALL
from warren.proto.message import Call, Introduce, WantRelay
from warren.proto.noise import KeyPair
from warren.proto.packet import Between, CookieReply, RelayWelcome, Sealed, Welcome
from warren.proto.path import Path, Use
from warren.proto.refusal import Refusal
from warren.proto.visit import Pushed, Visit

ASKS = (0.5, 0.5, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds until a relay is asked for again
RENEWS = 300.0  # seconds before its end at which a relay is prolonged


class Agent:
    """One port of a host.

    `servers` are addresses and public keys; `draw` gives random bytes, of which its epoch is made. A port that is kept
    for one peer has `only` that; a host that has several ports has a machine for each.
    """

    def __init__(
        self,
        static: KeyPair,
        peers: Iterable[bytes],
        servers: Iterable[tuple[Address, bytes]],
        draw: Draw,
        only: bytes = ALL,
    ) -> None:
        self._static, self._draw, self._only = static, draw, only
        self._epoch = int.from_bytes(draw(8)) | 1
        self.candidates: tuple[Candidate, ...] = ()
        self._visits: dict[Address, Visit] = {}
        self.paths: dict[bytes, Path] = {}
        self._uses: dict[bytes, Use] = {}
        self._asks: dict[bytes, tuple[float, int]] = {}
        self._events: list[Use] = []
        self._agenda: Agenda[bytes] = Agenda()  # when each path has something to do
        self._touched: set[bytes] = set()  # paths to which something happened since `to_send` was last asked
        self._tags: dict[bytes, bytes] = {}  # which peer's packets begin with what
        self._was_up = False
        self._look = Look(static, draw, only)
        self._here: Here | None = None
        self._apart: list[tuple[bytes, Address, int]] = []
        self.refused: Counter[Refusal] = Counter()
        self.serve_by(servers, float("-inf"))
        self.link(peers)

    # --- what the shell knows -------------------------------------------------------------------------------------

    def serve_by(self, servers: Iterable[tuple[Address, bytes]], now: float) -> None:
        """Visit these servers from now on, in the place of others; sessions with those that stay go on."""
        before, self._visits = self._visits, {}
        for place, key in servers:
            known = before.get(place)
            if known is None or known.server_key != key:
                known = Visit(self._static, place, key, self._epoch, self._draw, self._only)
                known.offer(self.candidates, now)
            self._visits[place] = known

    def link(self, peers: Iterable[bytes]) -> None:
        """Have paths to these peers, in the place of others; those that stay are left alone."""
        wanted = [peer for peer in sorted(peers) if peer != self._static.public]
        made = {peer: Path(self._static, self._epoch, peer, self._draw) for peer in wanted if peer not in self.paths}
        self.paths = {peer: self.paths.get(peer) or made[peer] for peer in wanted}
        self._uses = {peer: self._uses.get(peer, path.use) for peer, path in self.paths.items()}
        self._asks = {peer: self._asks.get(peer, (float("-inf"), 0)) for peer in self.paths}
        self._tags = {path.pair.tag_in: peer for peer, path in self.paths.items() if path.pair is not None}
        self._touched = set(self.paths)

    def offer(self, candidates: tuple[Candidate, ...], now: float) -> None:
        """Say where this host may be reached, apart from what servers see."""
        self.candidates = candidates
        for visit in self._visits.values():
            visit.offer(candidates, now)

    def moved(self, now: float) -> None:
        """The uplink has changed: have servers look again, and try all places anew."""
        for visit in self._visits.values():
            visit.moved(now)
        for path in self.paths.values():
            path.pairs.stir(now)
            path.calls = True
            path.birthday.changed(now)
            if path.relay:
                path.relay.renew(now)
        self._touched = set(self.paths)

    def traffic(self, peer: bytes, now: float) -> None:
        """WireGuard carries something for this peer."""
        self.paths[peer].traffic(now)
        self._touched.add(peer)

    def unsent(self, place: Address) -> None:
        """What was to be sent there could not be."""
        for path in self.paths.values():
            path.pairs.trials.unsent(place)

    @property
    def visits(self) -> tuple[Visit, ...]:
        """The sessions with all servers, also with those that do not answer."""
        return tuple(self._visits.values())

    @property
    def up(self) -> tuple[Address, ...]:
        """The servers that know this host."""
        return tuple(place for place, visit in self._visits.items() if visit.up)

    @property
    def mapping(self) -> Mapping | None:
        """How this host's NAT maps, told from what two servers saw; None while fewer of one family answer."""
        seen = [(visit.server, visit.observed) for visit in self._visits.values() if visit.up and visit.observed]
        pairs = [
            (one, other)
            for at, one in enumerate(seen)
            for other in seen[at + 1 :]
            if one[0].ip.version == other[0].ip.version
        ]
        differing = [(one[0].ip == other[0].ip) for one, other in pairs if one[1] != other[1]]
        if not pairs:
            return None
        if not differing:
            return Mapping.ENDPOINT_INDEPENDENT
        return Mapping.ADDRESS_AND_PORT_DEPENDENT if any(differing) else Mapping.ADDRESS_DEPENDENT

    # --- the shape of a machine -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float, port: int = 0) -> None:
        """Take a datagram, whatever it is; `port` is where it came to, if that is not WireGuard's own."""
        refusal = self._take(packet.parse(data), source, now, port)
        if refusal is not None:
            self.refused[refusal] += 1
        self._note(self._touched)

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now, and to where; all of it from WireGuard's port."""
        out = []
        was_up, self._was_up = self._was_up, self._is_up
        if self._was_up and not was_up:  # whoever waited for a server to ask for a relay
            self._touched = set(self.paths)
        self._see(now)
        due = sorted(self._touched.union(self._agenda.due(now)) & self.paths.keys())
        for peer in due:
            path = self.paths[peer]
            out += path.to_send(now)
            self._apart += path.apart
            path.apart.clear()
            self._ask(path, now)
        for visit in self._visits.values():
            out += [(data, visit.server) for data in visit.to_send(now)]
        self._note(due)
        for peer in due:
            self._agenda.plan(peer, self._due(self.paths[peer]))
        self._touched.clear()
        return out

    def apart(self) -> list[tuple[bytes, Address, int]]:
        """Give what `to_send` left to be sent from other ports than WireGuard's own: what, to where, from which."""
        apart, self._apart = self._apart, []
        return apart

    @property
    def bound(self) -> dict[Address, int]:
        """The places to which WireGuard's packets, too, have to leave from another port, and from which."""
        return dict(path.birthday.bound for path in self.paths.values() if path.birthday.bound)

    def next_timer(self) -> float:
        """Say when `to_send` should be asked again, if nothing comes before."""
        times = [visit.next_timer() for visit in self._visits.values()]
        times += [self._due(self.paths[peer]) for peer in self._touched]
        planned = self._agenda.next()
        return min(times if planned is None else (*times, planned), default=float("inf"))

    def events(self) -> list[Use]:
        """Give what WireGuard is to use from now on, in the order in which it came to be."""
        events, self._events = self._events, []
        return events

    def _note(self, peers: Iterable[bytes]) -> None:
        for peer in peers:
            use = self.paths[peer].use
            if use != self._uses[peer]:
                self._uses[peer] = use
                self._events.append(use)

    @property
    def _is_up(self) -> bool:
        return any(visit.up for visit in self._visits.values())

    def _due(self, path: Path) -> float:
        """Say when a path has something to do; without a server nothing is asked for."""
        return min(path.next_timer(), self._asks_at(path)) if self._was_up else path.next_timer()

    # --- from whom ------------------------------------------------------------------------------------------------

    def _take(self, taken: packet.Packet | Refusal, source: Address, now: float, port: int) -> Refusal | None:
        match taken:
            case Refusal():
                return taken
            case Welcome() if port:
                return self._look.receive(taken, source)
            case Welcome() | CookieReply() | Sealed():
                visit = self._visits.get(source)
                if visit is None:
                    return Refusal.UNKNOWN
                pushed = visit.receive(taken, now)
                if isinstance(pushed, Refusal):
                    return pushed
                for said in pushed:
                    self._pushed(said, visit.server_key, now)
                return None
            case Between():
                peer = self._tags.get(taken.tag)
                if peer is None:
                    return Refusal.UNKNOWN
                self._touched.add(peer)
                return self.paths[peer].receive(taken, source, now, port)
            case RelayWelcome():
                for peer, path in self.paths.items():
                    if path.relay is not None and path.relay.place == source:
                        self._touched.add(peer)
                        return path.welcome(taken, now)
                return Refusal.UNKNOWN
        return Refusal.UNEXPECTED

    def _pushed(self, said: Pushed, server: bytes, now: float) -> None:
        path = self.paths.get(said.peer)
        if path is None:
            return
        self._touched.add(said.peer)
        if isinstance(said, Introduce):
            before = path.pair
            path.introduce(said, now)
            if path.pair is not before and path.pair is not None:
                self._tags = {tag: peer for tag, peer in self._tags.items() if peer != said.peer}
                self._tags[path.pair.tag_in] = said.peer
        else:
            path.lend(said, server, now)
            self._asks[said.peer] = now, 0

    # --- how this host's NAT is ------------------------------------------------------------------------------------

    def _see(self, now: float) -> None:
        """Let attempts by many ports know what servers see, and have one look where an attempt is about to begin."""
        mapping, place = self.mapping, next((one for one in self._visits.values() if one.up and _is_v4(one)), None)
        here = Here(mapping, place.observed) if mapping and place and place.observed else None
        if here != self._here:
            self._here, self._touched = here, set(self.paths)
        looking = [peer for peer, path in self.paths.items() if path.birthday.phase is Phase.LOOKS]
        for peer in self._touched & self.paths.keys():
            self.paths[peer].birthday.here = here
        if not looking or mapping is None or place is None:
            return
        seen = self._look.take(mapping)
        if seen is None:
            self._apart += self._look.begin(place.server, place.server_key, now)
            return
        for peer in looking:
            self.paths[peer].birthday.looked(seen, now)
            self._touched.add(peer)

    # --- to servers -----------------------------------------------------------------------------------------------

    def _asks_at(self, path: Path) -> float:
        """Say when a relay is to be asked for; one side asks, and both get it."""
        if not path.controls or path.pair is None:
            return float("inf")
        last, tries = self._asks[path.peer]
        again = last + ASKS[min(tries, len(ASKS)) - 1] if tries else float("-inf")
        renews = path.relay.ends - RENEWS if path.relay and not path.relay.failed else float("-inf")
        return max(again, renews)

    def _ask(self, path: Path, now: float) -> None:
        up = [visit for visit in self._visits.values() if visit.up]
        if up and path.calls and path.pair is not None:
            path.calls = False
            for visit in up:
                visit.moved(now)  # where this host is seen may be what has changed
                visit.say(Call(path.peer))
        if up and self._asks_at(path) <= now:
            _, tries = self._asks[path.peer]
            self._asks[path.peer] = now, tries + 1
            up[tries % len(up)].say(WantRelay(path.peer))


def _is_v4(visit: Visit) -> bool:
    return visit.observed is not None and visit.observed.ip.version == 4
