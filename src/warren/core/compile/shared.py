"""Routes that many hosts have in common.

In a network of 1,000 hosts behind a hub each host has 3,000 routes, and nearly all are every host's.
"""

from __future__ import annotations

from warren.model.prefix import Prefix
from warren.model.state import BEHIND, Route, RouteKind


class SharedRoutes:
    """Routes to groups of prefixes, made once and then shared by all hosts whose numbers and names agree."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int, str], tuple[tuple[Prefix, ...], tuple[Route, ...]]] = {}

    def routes(self, group: tuple[Prefix, ...], table: int, device: str = "") -> tuple[Route, ...]:
        """Give a route by the device to each prefix, or the `unreachable` behind it when no device is named.

        Groups are told apart by identity: comparing thousands of prefixes would cost what sharing saves.
        """
        known = self._made.get((id(group), table, device))
        if known is not None and known[0] is group:
            return known[1]
        if device:
            made = tuple(Route(prefix, table, device) for prefix in group)
        else:
            made = tuple(Route(prefix, table, kind=RouteKind.UNREACHABLE, metric=BEHIND) for prefix in group)
        self._made[id(group), table, device] = group, made
        return made
