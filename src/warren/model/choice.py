"""A portal's exits, of which one is in use: live, the agent's to choose and nobody else's to alter.

declared   default dev EXIT metric 11, 12, …     the exits in their order; the kernel takes the first
live       default dev EXIT metric 1             while the agent prefers another: neither compared nor altered
live       a set that holds everything           while no exit answers, with `if_down: direct`
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.prefix import Address, Family, Prefix

DIRECT = -1  # in the place of a rank: by no exit, but by the uplink
AGENT_METRIC = 1  # of the route that only the agent makes
FIRST_METRIC = 11  # of the first exit's own


@dataclass(frozen=True, slots=True)
class Candidate:
    """One exit: its host, the tunnel's device, and the mark of connections that go on by it as they began."""

    host: str
    device: str
    mark: int


@dataclass(frozen=True, slots=True)
class Choice:
    """What the agent chooses for a portal in one family: `exits` in order of preference, by their place (rank).

    `table` is the portal's own, or with a single exit that one's; `sources` are the addresses that its flows begin
    with; `health` is asked through each exit. `direct` names the live set that exempts everything, and is empty where
    nothing is to leave directly.
    """

    portal: str
    family: Family
    table: int
    exits: tuple[Candidate, ...]
    sources: tuple[Prefix, ...]
    health: tuple[Address, ...]
    direct: str = ""
