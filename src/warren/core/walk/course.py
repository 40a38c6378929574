"""How far one packet got in one direction: what the walker writes and the tunnels read."""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.core.walk.gate import Doubts
from warren.core.walk.packet import Packet
from warren.model.trace import Disposition, Hop, Step
from warren.model.world import Client


@dataclass(frozen=True, slots=True)
class OnHost:
    """On a host: where packets are made, or delivered; with a device, where they come in."""

    host: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class OnLan:
    """At a machine on a LAN."""

    client: Client


@dataclass(frozen=True, slots=True)
class Outside:
    """Somewhere on the internet."""


Spot = OnHost | OnLan | Outside


@dataclass(slots=True)
class Course:
    """One direction of a walk, as it grows. `at` is the spot where the packet is."""

    packet: Packet
    at: Spot
    hops: list[Hop] = field(default_factory=list)
    doubts: Doubts = field(default_factory=Doubts)
    arriving: list[Step] = field(default_factory=list)  # told by the next hop first
    exit: str = ""
    disposition: Disposition | None = None
    says: str = ""
    node: str = ""

    def end(self, disposition: Disposition, says: str, node: str) -> Course:
        """Say how it ended."""
        self.disposition, self.says, self.node = disposition, says, node
        return self
