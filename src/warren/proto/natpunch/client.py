"""The side that asks a natpunch-go server, ours or the original, where peers are.

    receive(data, source, now)     to_send(now)     next_timer()     events()

         ┌───────────── no answer in time ─────────────┐
         ▼                                             │
    greet (Init) ─ Answer ─► ask for one ─ Reply ─► the next … ─► pause ─► ask for all again
         ▲                                                          │
         └────────────── the session is five minutes old ───────────┘

One question at a time: a Reply does not say what it answers. So after one that did not come, a session is begun anew,
under whose keys a late Reply is nothing. Each Init has a later time than all before it, or the original ignores it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from warren.proto.address import Address
from warren.proto.natpunch.packet import PROLOGUE, TIME, Answer, Init, Reply, Request, read_at_client, read_place, write
from warren.proto.noise import KEY, Initiator, KeyPair, NoiseError, Transport
from warren.proto.refusal import Refusal

RENEWS = 300.0  # seconds for which a session is used, as the original does
PATIENCE = (3.0, 3.0, 5.0, 10.0)  # seconds that are waited for an answer, the first time, the next …
PAUSE = 2.0  # seconds between two rounds


@dataclass(frozen=True, slots=True)
class Found:
    """The server says where a peer is."""

    peer: bytes
    address: Address


@dataclass(frozen=True, slots=True)
class Unknown:
    """The server does not know where a peer is."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Silent:
    """The server does not answer; `times` counts how often in a row."""

    times: int


@dataclass(frozen=True, slots=True)
class Greeted:
    """The server has answered for the first time, or again after a silence."""


Event = Found | Unknown | Silent | Greeted


class Client:
    """One client of one server. `times` gives the time in nanoseconds since 1970, later with every call."""

    def __init__(
        self,
        static: KeyPair,
        server: tuple[bytes, Address],
        draw: Callable[[int], bytes],
        times: Callable[[], int],
        pause: float = PAUSE,
    ) -> None:
        self._static, self._draw, self._times, self._pause = static, draw, times, pause
        self._key, self._server = server
        self._wanted: tuple[bytes, ...] = ()
        self._left: deque[bytes] = deque()  # of this round
        self._asked: bytes | None = None
        self._initiator: Initiator | None = None
        self._session: tuple[int, Transport, float] | None = None  # index, keys, and since when
        self._due = 0.0
        self._missed = 0
        self._heard = False
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self.refused: Counter[Refusal] = Counter()

    def want(self, peers: Iterable[bytes]) -> None:
        """Say whom to ask for, from the next round on; asking for oneself tells how one is seen."""
        self._wanted = tuple(dict.fromkeys(peers))

    # --- the shape of a machine -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram, whatever it is."""
        taken = read_at_client(data) if source == self._server else Refusal.FOREIGN
        match taken:
            case Answer():
                refusal = self._answered(taken, now)
            case Reply():
                refusal = self._replied(taken, now)
            case _:
                refusal = taken
        if refusal is not None:
            self.refused[refusal] += 1

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now, and to where."""
        if self._due <= now and (self._wanted or self._left):
            if self._initiator is not None or self._asked is not None:
                self._miss()
            self._next(now)
        out, self._out = self._out, []
        return [(data, self._server) for data in out]

    def next_timer(self) -> float | None:
        """Say when `to_send` should be asked again, if nothing comes before; None while nobody is wanted."""
        return self._due if self._wanted or self._left else None

    def events(self) -> list[Event]:
        """Give what has happened since this was last asked."""
        events, self._events = self._events, []
        return events

    # --- what is said and heard -----------------------------------------------------------------------------------

    def _next(self, now: float) -> None:
        """Greet the server, or ask for the next one; a new round if none is left."""
        if not self._left:
            self._left.extend(self._wanted)
        if self._session is None or now - self._session[2] >= RENEWS:
            self._session = None
            self._initiator = Initiator(self._static, self._key, KeyPair.of(self._draw(KEY)), PROLOGUE)
            first = self._initiator.write(self._times().to_bytes(TIME))
            self._send(write(Init(int.from_bytes(self._draw(4)), first)), now)
            return
        index, transport, _ = self._session
        self._asked = self._left.popleft()
        self._send(write(Request(index, *transport.seal(self._static.public + self._asked))), now)

    def _send(self, data: bytes, now: float) -> None:
        self._out.append(data)
        self._due = now + PATIENCE[min(self._missed, len(PATIENCE) - 1)]

    def _miss(self) -> None:
        self._missed += 1
        self._heard = False
        self._events.append(Silent(self._missed))
        self._session = self._initiator = None
        if self._asked is not None:
            self._left.appendleft(self._asked)
            self._asked = None

    def _answered(self, answer: Answer, now: float) -> Refusal | None:
        if self._initiator is None:
            return Refusal.UNEXPECTED
        try:
            _, transport = self._initiator.read(answer.noise)
        except NoiseError:
            return Refusal.FORGED
        self._initiator, self._session = None, (answer.index, transport, now)
        self._next(now)
        return None

    def _replied(self, reply: Reply, now: float) -> Refusal | None:
        if self._session is None or self._asked is None:
            return Refusal.UNEXPECTED
        try:
            plain = self._session[1].open(reply.counter, reply.sealed)
        except NoiseError:
            return Refusal.FORGED
        self._missed = 0
        if not self._heard:
            self._heard = True
            self._events.append(Greeted())
        place = read_place(plain)
        self._events.append(Found(self._asked, place) if place else Unknown(self._asked))
        self._asked = None
        if self._left:
            self._next(now)
        else:
            self._due = now + self._pause
        return None
