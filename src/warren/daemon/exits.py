"""Which of a portal's exits is in use: a machine without a clock or a socket of its own.

    due(now) ──► these are asked ──► heard(rank, now) … ──► judge(now) ──► the exit in use, and whose flows are ended

    answers ──1 s unanswered──► in doubt: asked 4 times a second ──3 s unanswered──► dead ──answers──► alive again

The exit in use is left when it is dead and another answers, and for a preferred one that has answered for BACK
seconds. While nobody answers, what is in use stays: it may be the asked address that is dead. With `direct`, the uplink
is taken then, and left once an exit has answered for SURE seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warren.model.choice import DIRECT

IN_USE = 1.0  # seconds between two questions through the exit in use, and those before it
SPARE = 5.0  # through those after it
DOUBT = 1.0  # seconds without an answer, after which questions are
HURRIED = 0.25  # seconds apart
LOST = 3.0  # seconds without an answer, after which an exit is dead
SURE = 3.0  # seconds of answers after which one that was dead is taken, where none is in use that answers
BACK = 30.0  # seconds of answers after which a preferred exit is taken again
_EARLY = 0.01  # a timer that fires a little early counts


@dataclass(slots=True)
class _Exit:
    """What is known of one exit: when it was asked last, and since when that is unanswered.

    It has been alive since `risen`, and answers without a gap since `steady`.
    """

    asked: float = float("-inf")
    unanswered: float | None = None
    risen: float | None = None
    steady: float | None = None

    def silent(self, now: float) -> float:
        return now - self.unanswered if self.unanswered is not None else 0.0

    def dead(self, now: float) -> bool:
        return self.silent(now) >= LOST - _EARLY

    def alive(self, now: float) -> bool:
        """Not only for a moment: after a time without any uplink, who answers first is no better than the others."""
        return self.risen is not None and not self.dead(now) and now - self.risen >= SURE - _EARLY

    def answering(self, now: float, seconds: float) -> bool:
        return self.steady is not None and self.silent(now) < DOUBT and now - self.steady >= seconds - _EARLY


@dataclass(frozen=True, slots=True)
class Judgement:
    """The exit in use by its rank, or DIRECT; and those whose flows are to be ended now, because they are dead.

    `answered` is False while no exit answers at all, and what is in use is so for want of a better one.
    """

    in_use: int
    ended: tuple[int, ...] = ()
    answered: bool = True


class Exits:
    """The exits of one portal in one family, the preferred first."""

    def __init__(self, count: int, in_use: int = 0, *, direct: bool = False, back: float = BACK) -> None:
        """Begin with what is in use; `direct` says that the uplink may be."""
        self.in_use = in_use
        self._exits = [_Exit() for _ in range(count)]
        self._direct = direct
        self._back = back
        self._ended: set[int] = set()

    def due(self, now: float) -> tuple[int, ...]:
        """Give those that are to be asked now, and note that they are."""
        found = tuple(rank for rank, each in enumerate(self._exits) if now - each.asked >= self._every(rank, now))
        for rank in found:
            each = self._exits[rank]
            each.asked = now
            if each.unanswered is None:
                each.unanswered = now
        return found

    def in_doubt(self, rank: int, now: float) -> bool:
        """Say whether an exit owes an answer for so long that whoever could give one is asked."""
        return self._exits[rank].steady is None or self._exits[rank].silent(now) >= DOUBT

    def heard(self, rank: int, now: float) -> None:
        """Note an answer."""
        each = self._exits[rank]
        if each.risen is None or each.dead(now):
            each.risen = now
        if each.steady is None or each.silent(now) >= DOUBT:
            each.steady = now
        each.unanswered = None

    def judge(self, now: float) -> Judgement:
        """Decide what is in use from now on."""
        self.in_use = self._best(now)
        dead = {rank for rank, each in enumerate(self._exits) if rank != self.in_use and each.dead(now)}
        ended = tuple(sorted(dead - self._ended))
        self._ended = dead
        return Judgement(self.in_use, ended, not all(each.dead(now) for each in self._exits))

    def wait(self, now: float) -> float:
        """Give the seconds until somebody is to be asked or judged again."""
        return max(0.0, min(self._next(now)) - now)

    def _best(self, now: float) -> int:
        exits = list(enumerate(self._exits))
        if self.in_use == DIRECT:
            return next((rank for rank, each in exits if each.answering(now, SURE)), DIRECT)
        if self._exits[self.in_use].dead(now):
            alive = [rank for rank, each in exits if each.alive(now)]
            sure = [rank for rank in alive if self._exits[rank].silent(now) < DOUBT]
            waits = any(each.risen is not None and not each.dead(now) for each in self._exits)
            return next(iter(sure or alive), DIRECT if self._direct and not waits else self.in_use)
        preferred = exits[: self.in_use]
        return next((rank for rank, each in preferred if each.answering(now, self._back)), self.in_use)

    def _every(self, rank: int, now: float) -> float:
        each = self._exits[rank]
        if each.silent(now) >= DOUBT and not each.dead(now):
            return HURRIED
        wanting = self.in_use == DIRECT or self._exits[self.in_use].silent(now) >= DOUBT - _EARLY
        return IN_USE if rank <= self.in_use or wanting else SPARE

    def _next(self, now: float) -> Iterator[float]:
        for rank, each in enumerate(self._exits):
            yield each.asked + self._every(rank, now)
            if each.unanswered is not None and not each.dead(now):
                yield each.unanswered + LOST
            if each.risen is not None and now < each.risen + SURE:
                yield each.risen + SURE
