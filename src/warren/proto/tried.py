"""What became of the places at which a peer was looked for: why one is used, and why each of the others is not.

This is for people; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from warren.proto.address import Address

MOST = 48  # places of one peer that are remembered
UNSURE = 3  # probes in a row without an answer, from which on a place that once answered does not any more


class Fate(StrEnum):
    """Why a place is used, or is not."""

    USED = "used"
    ANSWERS = "answers"  # and both sides have yet to agree on it
    SLOWER = "slower"  # it answers, and another one is used from which it does not differ by enough
    DECLINED = "declined"  # it answers, but the peer did not go over: it is not answered from there, or prefers another
    LOST = "lost"  # it was used, and fell silent
    LEFT = "left"  # it was used, and the peer went back to the relay
    FADED = "faded"  # it answered once
    ELSEWHERE = "elsewhere"  # what was asked there was answered from another place
    UNSENT = "unsent"  # this host has no way to send there, or may not
    SILENT = "silent"  # it never answered


@dataclass(slots=True)
class Trial:
    """One place: how often it was asked, how often that could not even be sent, and what came of it."""

    asked: int = 0
    unsent: int = 0
    unanswered: int = 0  # probes since it last answered
    answered: bool = False
    strayed: bool = False
    rtt: float | None = None
    failed: Fate | None = None  # since it was last used


class Trials:
    """The trials of one peer's places; the oldest are forgotten."""

    def __init__(self) -> None:
        self._of: dict[Address, Trial] = {}

    def __iter__(self) -> Iterator[tuple[Address, Trial]]:
        return iter(self._of.items())

    def of(self, place: Address) -> Trial:
        """Give the trial of a place, a new one if it has none."""
        if place not in self._of:
            if len(self._of) >= MOST:
                del self._of[next(iter(self._of))]
            self._of[place] = Trial()
        return self._of[place]

    def asked(self, place: Address) -> None:
        """A probe is sent there."""
        trial = self.of(place)
        trial.asked += 1
        trial.unanswered += 1

    def unsent(self, place: Address) -> None:
        """A probe could not be sent there."""
        trial = self._of.get(place)
        if trial is not None:
            trial.unsent += 1

    def answered(self, place: Address, rtt: float) -> None:
        """It answered."""
        trial = self.of(place)
        trial.unanswered, trial.answered, trial.rtt = 0, True, rtt

    def strayed(self, place: Address) -> None:
        """What was asked there was answered from another place."""
        self.of(place).strayed = True

    def failed(self, place: Address | None, why: Fate) -> None:
        """It was used, or offered, and that came to an end."""
        if place is not None:
            self.of(place).failed = why

    def used(self, place: Address) -> None:
        """Both sides have gone over to it."""
        self.of(place).failed = None


def fate_of(trial: Trial, used: bool, direct: bool) -> Fate:
    """Say what became of a place; `direct`: some place of the peer is in use, `used`: it is this one."""
    if used:
        return Fate.USED
    if trial.answered and trial.unanswered < UNSURE:
        return trial.failed or (Fate.SLOWER if direct else Fate.ANSWERS)
    if trial.failed:
        return trial.failed
    if trial.answered:
        return Fate.FADED
    if trial.strayed:
        return Fate.ELSEWHERE
    return Fate.UNSENT if trial.asked and trial.unsent >= trial.asked else Fate.SILENT
