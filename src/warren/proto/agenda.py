"""What is due next, of thousands of things, without looking at each of them.

A heap in which entries that were overtaken stay until they come up, or until they are most of it.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

SPARE = 64  # entries that were overtaken, beside as many as there are things

T = TypeVar("T", bound=Hashable)


class Agenda(Generic[T]):
    """Things, each with the time at which it is to be looked at."""

    def __init__(self) -> None:
        self._when: dict[T, float] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._number = 0  # things need no order of their own

    def __len__(self) -> int:
        return len(self._when)

    def plan(self, what: T, when: float) -> None:
        """Look at it then, or earlier if that was planned."""
        if when >= self._when.get(what, float("inf")):
            return
        self._when[what] = when
        self._number += 1
        heappush(self._heap, (when, self._number, what))
        if len(self._heap) > 2 * len(self._when) + SPARE:
            self._heap = [entry for entry in self._heap if self._when.get(entry[2]) == entry[0]]
            heapify(self._heap)

    def next(self) -> float | None:
        """Say when the first of them is due; None if nothing is planned."""
        while self._heap and self._when.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[T]:
        """Give what is due, the earliest first; each is planned no more."""
        found = []
        while (first := self.next()) is not None and first <= now:
            found.append(heappop(self._heap)[2])
            del self._when[found[-1]]
        return found
