"""Ports of a public address that lead into the network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.place import Place


class SourceKept(StrEnum):
    """Which source a published service sees: the true client's, or an address of the gateway."""

    KEPT = "kept"
    SNAT = "snat"


@dataclass(frozen=True, slots=True)
class PortRange:
    """`tcp/8000-8100→80`: inclusive ports of one protocol, and where they lead.

    `to` is None for the same ports, else as many ports as the range holds, or one for all of them. `proto` is `tcp`,
    `udp`, or `icmp` for echo requests, which have no ports: both numbers are 0.
    """

    proto: str
    first: int
    last: int
    to: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.proto == "icmp":
            return self.proto
        own = f"{self.proto}/{_range(self.first, self.last)}"
        return own if self.to is None else f"{own}→{_range(*self.to)}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


@dataclass(frozen=True, slots=True)
class Publish:
    """Ports of the public address of `gateway` lead to `to`: a host, an address on a host's LAN, or a device.

    `ports` None is `all`: TCP, UDP, ICMP echo and other protocols, but for what the gateway itself listens on. What
    `exceptions` names stays at the gateway too, unless a narrower publish takes it.
    """

    gateway: str
    to: Place
    ports: tuple[PortRange, ...] | None = None
    exceptions: tuple[PortRange, ...] = ()
    source: SourceKept = SourceKept.KEPT
    at: Where | None = None
