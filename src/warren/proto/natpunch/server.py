"""The server that natpunch-go's clients ask: it notes where each is seen, and tells who asks.

    receive(data, source, now)     to_send(now)     next_timer()     events()

    Init ─► limits ─► one key agreement ─► served? ─► two more ─► session, on trial ─ first Request ─► in use, a place

The original notes a place by an Init alone; here the first Request does it, which every client sends at once. So a
recorded Init moves nobody, whoever sends from addresses that are not theirs gets nowhere, and the time in an Init needs
no memory: no client is locked out because its clock went back. Indices are drawn here, whatever the client proposes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from warren.proto.address import Address
from warren.proto.limit import Bucket, Sources
from warren.proto.natpunch.packet import (
    PROLOGUE,
    Answer,
    Init,
    Reply,
    Request,
    read_at_server,
    write,
    write_place,
)
from warren.proto.noise import KEY, KeyPair, NoiseError, Responder, Transport
from warren.proto.refusal import Refusal

GONE = 86_400.0  # seconds of silence after which a client is forgotten; the original never forgets
MOST, MOST_OF_ONE = 10_000, 256  # clients that are remembered: of all sources, and of one; the most silent goes first
TRIAL, TRIALS = 10.0, 2048  # seconds that a session may wait for its first Request, and how many may
SHAKES, SHAKE_RATE = 400, 200.0  # Inits that are looked at: at once, and each second
HELLOS, HELLO_RATE, SOURCES = 40, 5.0, 4096  # of these from one source, and how many sources are told apart
ASKS, ASK_RATE = 500, 100.0  # Requests of one client: at once, and each second


@dataclass(frozen=True, slots=True)
class Came:
    """A client is here, or is somewhere else now."""

    who: bytes
    address: Address


@dataclass(frozen=True, slots=True)
class Left:
    """A client was silent for too long, or had to give way to others."""

    who: bytes


@dataclass(frozen=True, slots=True)
class Older:
    """Somebody asked in the older protocol, which is not spoken here."""

    source: Address


Event = Came | Left | Older


@dataclass(slots=True)
class _Session:
    index: int
    who: bytes
    transport: Transport
    begun: float
    asks: Bucket
    place: Address | None = None
    heard: float = 0.0


class Server:
    """One server. `links` says whom each client may ask for; without it everybody is served, as the original does."""

    def __init__(
        self,
        static: KeyPair,
        draw: Callable[[int], bytes],
        links: Mapping[bytes, Container[bytes]] | None = None,
        most: int = MOST,
    ) -> None:
        self.public = static.public
        self._static, self._draw, self._links, self._most = static, draw, links, most
        self._sources = Sources(HELLOS, HELLO_RATE, SOURCES)
        self._shakes = Bucket(SHAKES, SHAKE_RATE, 0.0)
        self._on_trial: OrderedDict[int, _Session] = OrderedDict()
        self._in_use: dict[int, _Session] = {}
        self._of: OrderedDict[bytes, _Session] = OrderedDict()  # by key; the most silent first
        self._at: dict[bytes, OrderedDict[bytes, None]] = {}  # the keys at one IPv4 address, likewise
        self._out: list[tuple[bytes, Address]] = []
        self._events: list[Event] = []
        self.refused: Counter[Refusal] = Counter()
        self.answered: Counter[str] = Counter()  # `found` and `unknown`

    # --- the shape of a machine -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram, whatever it is."""
        taken = read_at_server(data) if source.ip.version == 4 else Refusal.UNEXPECTED
        match taken:
            case Init():
                refusal = self._greet(taken, source, now)
            case Request():
                refusal = self._asked(taken, source, now)
            case _:
                refusal = taken
        if refusal is not None:
            self.refused[refusal] += 1
        if refusal is Refusal.VERSION:
            self._events.append(Older(source))

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now, and to where."""
        while self._on_trial and next(iter(self._on_trial.values())).begun + TRIAL <= now:
            self._on_trial.popitem(last=False)
        while self._of and next(iter(self._of.values())).heard + GONE <= now:
            self._forget(next(iter(self._of.values())))
        out, self._out = self._out, []
        return out

    def next_timer(self) -> float | None:
        """Say when `to_send` should be asked again, if nothing comes before."""
        times = [session.begun + TRIAL for session in list(self._on_trial.values())[:1]]
        if self._of:
            times.append(next(iter(self._of.values())).heard + GONE)
        return min(times, default=None)

    def events(self) -> list[Event]:
        """Give what has happened since this was last asked."""
        events, self._events = self._events, []
        return events

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._of)

    @property
    def size(self) -> int:
        """How many things are remembered."""
        return len(self._of) + len(self._in_use) + len(self._on_trial) + len(self._at) + len(self._sources)

    # --- sessions -------------------------------------------------------------------------------------------------

    def _greet(self, init: Init, source: Address, now: float) -> Refusal | None:
        if not self._sources.take(source, now) or not self._shakes.take(now):
            return Refusal.BUSY
        responder = Responder(self._static, PROLOGUE)
        try:
            who = responder.read(init.noise)
            if self._links is not None and who not in self._links:
                return Refusal.STRANGER
            responder.accept()
            noise, transport = responder.write(KeyPair.of(self._draw(KEY)))
        except NoiseError:
            return Refusal.FORGED
        index = self._free_index()
        self._on_trial[index] = _Session(index, who, transport, now, Bucket(ASKS, ASK_RATE, now))
        if len(self._on_trial) > TRIALS:
            self._on_trial.popitem(last=False)
        self._out.append((write(Answer(index, noise)), source))
        return None

    def _asked(self, request: Request, source: Address, now: float) -> Refusal | None:
        session = self._in_use.get(request.index) or self._on_trial.get(request.index)
        if session is None or (session.place is None and session.begun + TRIAL <= now):
            return Refusal.UNKNOWN
        try:
            plain = session.transport.open(request.counter, request.sealed)
        except NoiseError:
            return Refusal.FORGED
        who, wanted = plain[:KEY], plain[KEY:]
        if who != session.who:
            return Refusal.VALUE  # a proven client that speaks for another one
        if not session.asks.take(now):
            return Refusal.BUSY
        if session.place is None:
            self._admit(session)
        self._note(session, source, now)
        place = self._place(who, wanted)
        self.answered["found" if place else "unknown"] += 1
        self._out.append((write(Reply(*session.transport.seal(write_place(place)))), source))
        return None

    def _place(self, who: bytes, wanted: bytes) -> Address | None:
        """Say where a client is, to who may know: itself, and those that it is linked with."""
        may = self._links is None or wanted == who or wanted in self._links.get(who, ())
        found = self._of.get(wanted) if may else None
        return found.place if found else None

    def _free_index(self) -> int:
        while True:
            index = int.from_bytes(self._draw(4))
            if index not in self._in_use and index not in self._on_trial:
                return index

    def _admit(self, session: _Session) -> None:
        """Have it take the place of the session before; where that was stays known, so that only a move is told."""
        self._on_trial.pop(session.index, None)
        before = self._of.get(session.who)
        if before is not None:
            self._in_use.pop(before.index, None)
            session.place = before.place
        self._in_use[session.index] = self._of[session.who] = session

    def _note(self, session: _Session, source: Address, now: float) -> None:
        """Note where a client is, and that it was heard."""
        if session.place != source:
            self._depart(session)
            session.place = source
            self._events.append(Came(session.who, source))
        session.heard = now
        self._of.move_to_end(session.who)
        here = self._at.setdefault(source.ip.packed, OrderedDict())
        here[session.who] = None
        here.move_to_end(session.who)
        if len(here) > MOST_OF_ONE:
            self._forget(self._of[next(iter(here))])
        if len(self._of) > self._most:
            self._forget(next(iter(self._of.values())))

    def _depart(self, session: _Session) -> None:
        if session.place is not None:
            here = self._at[session.place.ip.packed]
            del here[session.who]
            if not here:
                del self._at[session.place.ip.packed]

    def _forget(self, session: _Session) -> None:
        self._depart(session)
        self._in_use.pop(session.index, None)
        del self._of[session.who]
        self._events.append(Left(session.who))
