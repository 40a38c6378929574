"""Port knocking: WireGuard's ports of a host answer only addresses from which somebody knocked."""

from __future__ import annotations

from dataclasses import dataclass

OPEN_FOR = 3600  # seconds
TRACED = 100  # ports: traceroute goes on to the next one with every packet it sends


@dataclass(frozen=True, slots=True)
class Knock:
    """How a host is knocked at: members of the network, by a packet that only they can make.

    `open_for` is how many seconds an address is let in after a knock, or after its tunnel was last seen alive. `run` is
    a command, as a list of words, that runs at a knock. `traceroute` is the first of TRACED UDP ports: with it anybody
    knocks who sends there with a TTL that ends at this host.
    """

    open_for: int = OPEN_FOR
    run: tuple[str, ...] = ()
    traceroute: int | None = None

    @property
    def traced(self) -> tuple[int, int] | None:
        """The first and the last port of traceroute's knock, if there is one."""
        return (self.traceroute, self.traceroute + TRACED - 1) if self.traceroute is not None else None
