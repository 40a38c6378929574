"""Whether the far ends of tunnels answer: a machine without a clock or a socket of its own.

    ask() ──► everybody is asked ──► heard(who, now) … ──► changed(now): who fell silent, who speaks again

A WireGuard device never goes down with its peer (docs/how-it-works.md): silence for SILENT seconds is what down means.
"""

from __future__ import annotations

from collections.abc import Iterable

EVERY = 1.0  # seconds between two questions
SILENT = 5.0  # seconds without an answer


class Pulse:
    """When each peer was last heard. At the beginning everybody has just been."""

    def __init__(self, peers: Iterable[str], now: float) -> None:
        self._heard = dict.fromkeys(peers, now)
        self._down: set[str] = set()

    @property
    def down(self) -> frozenset[str]:
        """Those that are silent."""
        return frozenset(self._down)

    def watch(self, peers: Iterable[str], now: float) -> None:
        """Have these in the place of those that were asked before; newcomers have just been heard."""
        self._heard = {peer: self._heard.get(peer, now) for peer in peers}
        self._down &= self._heard.keys()

    def heard(self, peer: str, now: float) -> None:
        """Note that a peer answered."""
        self._heard[peer] = now

    def changed(self, now: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give who fell silent and who speaks again since this was last asked."""
        silent = {peer for peer, last in self._heard.items() if now - last >= SILENT}
        fell, rose = sorted(silent - self._down), sorted(self._down - silent)
        self._down = silent
        return tuple(fell), tuple(rose)
