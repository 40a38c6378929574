"""Which places of a peer answer: probes go out in rounds, and a place counts if it answers from where it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from warren.proto.address import Address, may_be_probed
from warren.proto.message import Pong
from warren.proto.tried import Trials

ROUNDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # seconds at which all places are probed, once there is cause
AGAIN = 60.0  # seconds until it is tried once more without one
PLACES = 24  # of one peer that are probed
OUTSTANDING = 256  # probes whose answer is waited for
FRESH = 5.0  # seconds for which an answer says that a place answers


@dataclass(slots=True)
class Answer:
    """How a place answered: after how long, when last, and as whom the peer saw us."""

    rtt: float
    heard: float
    seen: Address


class Pairs:
    """The places of one peer."""

    def __init__(self) -> None:
        self._told: tuple[Address, ...] = ()
        self._found: dict[Address, None] = {}  # it spoke from there, the newest last
        self._asked: dict[int, tuple[Address, float]] = {}
        self._number = 0
        self.answers: dict[Address, Answer] = {}
        self._rounds: list[float] = []
        self.trials = Trials()

    @property
    def places(self) -> tuple[Address, ...]:
        """Where the peer may be."""
        return tuple(dict.fromkeys((*self._found, *self._told)))[:PLACES]

    def tell(self, places: Iterable[Address]) -> bool:
        """Take what a server says, and say whether it is new."""
        told = tuple(places)[:PLACES]
        new, self._told = told != self._told, told
        return new

    def find(self, place: Address) -> bool:
        """Take a place that the peer spoke from, and say whether it is new."""
        if place in self.places or not may_be_probed(place):
            return False
        if len(self._found) >= PLACES // 2:
            del self._found[next(iter(self._found))]
        self._found[place] = None
        return True

    def stir(self, now: float) -> None:
        """Begin the rounds."""
        self._rounds = [now + after for after in (*ROUNDS, AGAIN)]

    def next_round(self) -> float:
        """Say when the next round is."""
        return self._rounds[0] if self._rounds else float("inf")

    def due(self, now: float, calm: bool = False) -> tuple[tuple[Address, ...], bool]:
        """Give the places to probe now, and whether the peer should be called to do the same; `calm`: once will do."""
        if self.next_round() > now:
            return (), False
        last = len(self._rounds) == 1
        self._rounds.pop(0)
        if last:
            self.stir(now)
            del self._rounds[: -1 if calm else 1]
        return self.places, last

    def asked(self, place: Address, now: float, *, one_of_many: bool = False) -> int:
        """Note a probe, and give its number; of many that are guessed nobody is told one by one."""
        self._number = (self._number + 1) % 2**32
        self._asked[self._number] = place, now
        if not one_of_many:
            self.trials.asked(place)
        if len(self._asked) > OUTSTANDING:
            del self._asked[next(iter(self._asked))]
        return self._number

    def answered(self, pong: Pong, number: int, source: Address, now: float) -> bool:
        """Take an answer, and say whether it answers what was asked there."""
        place, since = self._asked.pop(number, (None, now))
        if place is not None and place != source:
            self.trials.strayed(place)
        if place != source:
            return False
        self.trials.answered(source, now - since)
        self.answers[source] = Answer(now - since, now, pong.seen)
        if len(self.answers) > 2 * PLACES:
            del self.answers[min(self.answers, key=lambda one: self.answers[one].heard)]
        return True

    def fresh(self, place: Address, now: float) -> Answer | None:
        """Give how a place answered, if it did lately."""
        answer = self.answers.get(place)
        return answer if answer and now - answer.heard <= FRESH else None

    def best(self, now: float) -> Address | None:
        """Give the place that answered soonest, of those that answered lately."""
        lately = [place for place in self.answers if self.fresh(place, now)]
        return min(lately, key=lambda place: (self.answers[place].rtt, str(place)), default=None)
