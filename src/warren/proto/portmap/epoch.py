"""Whether a router has begun anew and forgotten what it was told: its clock, which each answer carries, went astray.

RFC 6887 section 8.5, and more mildly RFC 6886 section 3.6, whose servers need not be as exact.
"""

from __future__ import annotations

SLACK = 2.0  # seconds by which clocks are read unevenly


class Epoch:
    """One router's clock, in seconds since it began; `exact`: PCP, whose clock may not run ahead either."""

    def __init__(self, exact: bool) -> None:
        self._exact = exact
        self._last: tuple[int, float] | None = None

    def astray(self, epoch: int, now: float) -> bool:
        """Take the clock of an answer, and say whether what was told before it may be forgotten."""
        last, self._last = self._last, (epoch, now)
        if last is None:
            return False
        theirs, ours = epoch - last[0], now - last[1]
        if not self._exact:
            return theirs + SLACK < ours * 7 / 8
        return theirs < -1 or ours + SLACK < theirs - theirs / 16 or theirs + SLACK < ours - ours / 16
