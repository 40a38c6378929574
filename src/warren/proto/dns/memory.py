"""What is remembered for a while, and no more of it than was said."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key, each until a moment; where there are too many, the one that was put in first goes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def put(self, key: K, value: V, until: float) -> None:
        """Remember a value."""
        self._held.pop(key, None)
        self._held[key] = value, until
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def get(self, key: K, now: float) -> V | None:
        """Recall a value; None if there is none, or not any more."""
        held = self._held.get(key)
        return held[0] if held is not None and held[1] > now else None

    def __len__(self) -> int:
        return len(self._held)
