"""Which counters were seen: packets may arrive in any order, and none twice (RFC 6479, as WireGuard does it)."""

from __future__ import annotations

WIDTH = 1024  # counters below the highest that may still come
MAX_COUNTER = 2**64 - 2  # the last one is Noise's own, for rekeying


class Window:
    """The highest counter seen, and which of the WIDTH below it; one integer, however many packets came."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n: the counter n below the highest was seen

    def accepts(self, counter: int) -> bool:
        """Say whether this counter is new, without noting it: a forged packet must not close the door on a true one."""
        behind = self._highest - counter
        return counter <= MAX_COUNTER and behind < WIDTH and (behind < 0 or not self._seen >> behind & 1)

    def note(self, counter: int) -> None:
        """Note an accepted counter, once its packet proved authentic."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, WIDTH) | 1) & ((1 << WIDTH) - 1)
            self._highest = counter
        else:
            self._seen |= 1 << -ahead
