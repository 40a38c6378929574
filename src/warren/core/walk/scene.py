"""What is walked through, and what is sent: the two values a walk begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from warren.core.walk.course import Spot
from warren.model.key import PublicKey
from warren.model.prefix import Address
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.model.world import World


@dataclass(frozen=True)
class Scene:
    """All that is walked through: compiled or observed states, what surrounds them, and where they stand."""

    states: Mapping[str, HostState]
    surroundings: Mapping[str, Surroundings]
    world: World

    @cached_property
    def owners(self) -> dict[PublicKey, str]:
        """Which host has a public key."""
        return {interface.public_key: host for host, state in self.states.items() for interface in state.interfaces}


@dataclass(frozen=True, slots=True)
class Probe:
    """The packet that is sent: from where, to which address, of what kind. `source` None lets the sender choose.

    `device` is one that the sender has bound its socket to (SO_BINDTODEVICE).
    """

    start: Spot
    destination: Address
    source: Address | None = None
    proto: str = "icmp"
    sport: int = 40001
    dport: int = 0
    size: int = 84
    df: bool = True
    device: str = ""
