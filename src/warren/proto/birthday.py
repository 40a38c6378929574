"""Meeting through a NAT that shows another port to each whom one talks to: by many ports, which chance or order joins.

    hard side   from each of 256 ports ───► the one place at which everybody sees the easy side
    easy side   from WireGuard's port ────► place after place of the hard side's address, drawn at random

A probe that reaches one of the 256 places passes, and so does its answer: n probes do with a probability of
1 - (1 - 256/64512)^n (the birthday paradox), 2000 with 0.9997. Then that port is the hard side's for this peer.

Two hard sides stay on the relay, but where the ports can be foretold. Both NATs give them in a row: each is told the
last one that was given, one sends from its n-th port to the n-th place after it, the other to the 2n-th. However far
other connections have moved the two rows meanwhile, the two ways cross at one n. Or both keep a host's own port where
it is free: each sends from its n-th to the other's n-th.

Both begin together: one asks by the relay, the other answers and begins, and so does who asked when the answer comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, islice, repeat

from warren.model.lab import Mapping
from warren.model.many_ports import FIRST_PORT, MANY
from warren.proto.address import Address, Candidate, Origin, may_be_probed
from warren.proto.door import Draw
from warren.proto.message import Guess

RATE, LASTS = 100.0, 20.0  # packets a second, and seconds, at most
AT_ONCE = 5  # packets that are sent together
WAITS = 2.5  # seconds by the relay, in which ordinary probes have had their chance
LOOKS, LOOK_EVERY = 2.2, 0.1  # seconds in which a server has to say which port the NAT gives, and between looks
ASKS, ASK_EVERY = 8, 0.4  # how often it is asked, after how many seconds
SETTLES = 5.0  # seconds from the first answer until both have gone over
SPACED = LASTS  # seconds from one beginning to the next, whatever happens
AGAIN, AGAIN_MOST = 300.0, 3600.0  # seconds after a failure, doubled each time
STEADY = 60.0  # seconds that a path must have lived not to count as one
REFRESHES = 10.0  # seconds after which the hard side opens its NAT once more, for those that forget soon
LEAST, MOST = 1024, 65535  # ports that a NAT gives
WINDOW, PASSES = 64, 3  # places that are foretold, and how often each is tried
STEPS, KEPT = range(1, 17), 2**16 - 1  # how far apart two ports of a row may be; or they are the host's own
OWN = 16  # ports that are tried where both NATs keep them
SEEN = 4  # addresses of a peer that servers told and that are remembered


class Phase(StrEnum):
    """How far an attempt has come."""

    RESTS = "rests"
    LOOKS = "looks"
    ASKS = "asks"
    TRIES = "tries"
    MET = "met"


class Turn(StrEnum):
    """What leads from one phase to another."""

    BEGINS = "only the relay works, for 2.5 s"
    ASKED = "the peer asks"
    EASY = "its own port is the same for everybody"
    SEEN = "a server has seen the next port"
    ANSWERED = "the peer answers"
    HIT = "something of the peer comes through"
    OVER = "direct, or given up"


PHASES: dict[tuple[Phase, Turn], Phase] = {
    (Phase.RESTS, Turn.BEGINS): Phase.LOOKS,
    (Phase.RESTS, Turn.ASKED): Phase.LOOKS,
    (Phase.LOOKS, Turn.EASY): Phase.ASKS,
    (Phase.LOOKS, Turn.SEEN): Phase.ASKS,
    (Phase.ASKS, Turn.ANSWERED): Phase.TRIES,
    (Phase.TRIES, Turn.HIT): Phase.MET,
    (Phase.MET, Turn.OVER): Phase.RESTS,
    (Phase.LOOKS, Turn.OVER): Phase.RESTS,
    (Phase.ASKS, Turn.OVER): Phase.RESTS,
    (Phase.TRIES, Turn.OVER): Phase.RESTS,
}  # who was asked has its answer already: it goes from looking through asking to trying at once


Batch = tuple[tuple[int, Address], ...]  # what is sent together: from which port (0: WireGuard's own) to which place


@dataclass(frozen=True, slots=True)
class Here:
    """How servers see this host: its NAT's mapping, the last place that was given, and how far apart two are."""

    mapping: Mapping
    seen: Address
    step: int = 0


class Birthday:
    """The attempts to meet one peer by many ports. `port` says from which one of ours a place is spoken to."""

    def __init__(self, controls: bool, draw: Draw) -> None:
        self._controls, self._draw = controls, draw
        self.here: Here | None = None
        self.phase = Phase.RESTS
        self.bound: tuple[Address, int] | None = None
        self.attempts = 0
        self._number = 0  # of the attempt that both are in
        self._looked: Here | None = None
        self._theirs: Guess | None = None
        self._ips: dict[IPv4Address | IPv6Address, None] = {}
        self._ready_at: float | None = None
        self._begun = self._not_before = float("-inf")
        self._failures = 0
        self._ends = self._due = 0.0
        self._tries = 0
        self._answers = False
        self._met_at: float | None = None
        self._probes: Iterator[Batch] = iter(())

    def port(self, place: Address) -> int:
        """Say from which port of ours a place is spoken to; 0: WireGuard's own."""
        return self.bound[1] if self.bound and self.bound[0] == place else 0

    # --- what happens ---------------------------------------------------------------------------------------------

    def told(self, candidates: Iterable[Candidate], now: float) -> None:
        """Take where servers saw the peer: nothing is tried at any other address, whatever the peer says of itself."""
        for one in candidates:
            if one.origin is Origin.OBSERVED and one.address.ip not in self._ips:
                self._ips[one.address.ip] = None
                self.changed(now)
                if len(self._ips) > SEEN:
                    del self._ips[next(iter(self._ips))]

    def changed(self, now: float) -> None:
        """One of the two is somewhere else: earlier failures say nothing any more."""
        self._failures, self._not_before = 0, self._begun + SPACED

    def looked(self, here: Here, now: float) -> None:
        """Take what a server has just seen."""
        if self.phase is Phase.LOOKS:
            self._looked, self._ends = here, now

    def asked(self, said: Guess, ready: bool, now: float) -> None:
        """Take what the peer says of itself: a question, or the answer to ours."""
        if self._controls:
            if self.phase is Phase.ASKS and said.attempt == self._number:
                self._theirs = said
                self._try(now)
        elif said.attempt == self._number:
            self._answers = self.phase is not Phase.LOOKS
        elif self.phase is Phase.RESTS and said.attempt > self._number and ready and now - self._begun >= SPACED:
            if self.here is None:
                return
            self._number, self._theirs = said.attempt, said
            self._begin(Turn.ASKED, now)

    def hit(self, source: Address, port: int, now: float) -> bool:
        """Take that something of the peer came to one of our ports; says whether it is what was tried for."""
        if self._theirs is None or source.ip != self._theirs.seen.ip:
            return False
        if self.phase is Phase.MET and port and not self._controls:
            self.bound = source, port  # several may have got through: the other side's choice counts
        if self.phase is not Phase.TRIES:
            return False
        if port:
            self.bound = source, port
        elif self._is_hard(self._looked):
            return False  # by WireGuard's own port: another path than this
        self._turn(Turn.HIT)
        self._ends = now + SETTLES
        return True

    def met(self, place: Address, now: float) -> None:
        """Both have gone over to a pair, whichever."""
        if self.phase is Phase.MET:
            self._met_at = now
        if self.bound and self.bound[0] != place:
            self.bound = None
        self._rest()

    def lost(self, now: float) -> None:
        """The direct path is left."""
        self.bound = None
        if self._met_at is not None and now - self._met_at >= STEADY:
            self._failures, self._not_before = 0, now
        elif self._met_at is not None:
            self._fail(now)
        self._met_at = None

    # --- what is to be done ---------------------------------------------------------------------------------------

    def next_timer(self, ready: bool) -> float:
        """Say when `due` should be asked again."""
        if self._answers:
            return float("-inf")
        match self.phase:
            case Phase.RESTS:
                if not self._controls or not ready or self.here is None:
                    return float("inf")
                return float("-inf") if self._ready_at is None else max(self._not_before, self._ready_at + WAITS)
            case Phase.MET:
                return self._ends
            case Phase.LOOKS | Phase.ASKS | Phase.TRIES:
                return min(self._due, self._ends)

    def due(self, ready: bool, now: float) -> tuple[Guess | None, Batch]:
        """Give what is to be said by the relay, and the probes that are to be sent."""
        if not ready:
            self._ready_at = None
        elif self._ready_at is None:
            self._ready_at = now
        if self.phase is Phase.RESTS and self._ready_at is not None and self.next_timer(ready) <= now:
            self._number += 1
            self._begin(Turn.BEGINS, now)
        if self.phase is Phase.LOOKS:
            self._due = now + LOOK_EVERY  # what was lost is asked again
            if self._ends <= now:
                self._seen(now)
        if not ready and self.phase is not Phase.RESTS:
            self._fail(now)
        say = None
        if self.phase is Phase.ASKS and self._due <= now:
            if self._tries >= ASKS:
                self._fail(now)
            else:
                self._tries, self._due, say = self._tries + 1, now + ASK_EVERY, self._says()
        if self._answers:
            self._answers, say = False, self._says()
        probes: Batch = ()
        if self.phase is Phase.TRIES and self._due <= now:
            probes = next(self._probes, ())
            self._due = now + AT_ONCE / RATE
        if self.phase in (Phase.TRIES, Phase.MET) and self._ends <= now:
            self._fail(now)
        return say, probes

    # --- an attempt -----------------------------------------------------------------------------------------------

    def _turn(self, why: Turn) -> None:
        self.phase = PHASES[self.phase, why]

    def _begin(self, why: Turn, now: float) -> None:
        self.attempts += 1
        self._begun, self._tries, self._looked = now, 0, self.here
        self._turn(why)
        self._due = now
        self._ends = now + (LOOKS if self._is_hard(self.here) else 0.0)

    def _seen(self, now: float) -> None:
        self._turn(Turn.SEEN if self._is_hard(self._looked) else Turn.EASY)
        self._due, self._ends = now, float("inf")
        if not self._controls:
            self._answers = True
            self._try(now)

    def _says(self) -> Guess | None:
        here = self._looked
        return Guess(self._number, list(Mapping).index(here.mapping), here.step, here.seen) if here else None

    def _try(self, now: float) -> None:
        self._turn(Turn.ANSWERED)
        planned = self._plan()
        if planned is None:
            return self._fail(now)
        self._probes, self._due, self._ends = planned, now, now + LASTS
        return None

    def _rest(self) -> None:
        if self.phase is not Phase.RESTS:
            self._turn(Turn.OVER)
        self._probes = iter(())

    def _fail(self, now: float) -> None:
        self.bound = None
        self._rest()
        self._not_before = now + min(AGAIN * 2**self._failures, AGAIN_MOST)
        self._failures = min(self._failures + 1, 16)

    # --- from where to where ----------------------------------------------------------------------------------------

    @staticmethod
    def _is_hard(here: Here | None) -> bool:
        return here is not None and here.mapping is not Mapping.ENDPOINT_INDEPENDENT

    def _plan(self) -> Iterator[Batch] | None:
        """Give the probes in their order; None where there is nothing to be tried."""
        here, theirs = self._looked, self._theirs
        if here is None or theirs is None or theirs.seen.ip not in self._ips or not may_be_probed(theirs.seen):
            return None
        hard, far = self._is_hard(here), list(Mapping)[theirs.mapping] is not Mapping.ENDPOINT_INDEPENDENT
        if hard and far:
            return self._foretold(here, theirs)
        if far:
            return _batches((0, Address(theirs.seen.ip, port)) for port in self._everywhere(theirs))
        return _from_all(theirs.seen) if hard else None

    def _everywhere(self, theirs: Guess) -> Iterator[int]:
        """Give ports of their address, each once: first where order would have put theirs, then as chance will."""
        row = [theirs.seen.port + theirs.step * n for n in range(16, MANY, 16)] if theirs.step in STEPS else []
        kept = range(FIRST_PORT, FIRST_PORT + MANY, 32)  # by a NAT that gives the port itself where it is free
        drawn = (int.from_bytes(self._draw(2)) for _ in repeat(None))
        known: set[int] = set()
        for port in chain(row, kept, drawn):
            if LEAST <= port <= MOST and port not in known:
                known.add(port)
                yield port

    def _foretold(self, here: Here, theirs: Guess) -> Iterator[Batch] | None:
        """Send from port after port to the places that their NAT gives next, or to our own ports."""
        if here.step == theirs.step == KEPT:
            own = [(port, Address(theirs.seen.ip, port)) for port in range(FIRST_PORT, FIRST_PORT + OWN)]
            return _batches(chain(*[own] * PASSES))
        if here.step not in STEPS or theirs.step not in STEPS:
            return None
        every = 1 if self._controls else 2
        places = [theirs.seen.port + theirs.step * (1 + every * n) for n in range(WINDOW)]
        once = [
            (FIRST_PORT + n, Address(theirs.seen.ip, port)) for n, port in enumerate(places) if LEAST <= port <= MOST
        ]
        return _batches(chain(*[once] * PASSES))


def _from_all(place: Address) -> Iterator[Batch]:
    """Open our NAT for a place from every port, and once more when it may have forgotten the first."""
    once = [(FIRST_PORT + n, place) for n in range(MANY)]
    return chain(_batches(once), repeat((), int(REFRESHES * RATE / AT_ONCE)), _batches(once))


def _batches(probes: Iterable[tuple[int, Address]]) -> Iterator[Batch]:
    rest = iter(probes)
    while batch := tuple(islice(rest, AT_ONCE)):
        yield batch
