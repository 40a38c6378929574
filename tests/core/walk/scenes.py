"""Scenes for tests: small networks compiled for the worlds they stand in, and short words to walk them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from tests.core.compile.networks import lock_of, place
from warren.core.walk import Fault, Scene, Walker, faults_of, probe_of
from warren.core.walk.stage import stage
from warren.model.expect import Down, Expect, Target
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Family
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.model.trace import Trace

FOUR, SIX = Family.IPV4, Family.IPV6
PUBLIC = {FOUR: "1.1.1.1", SIX: "2606:4700::1111"}


class Walked:
    """A network to be walked: `walked.trace("nyc.eth2", "1.1.1.1")`."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.lock: Lock = lock_of(network)
        self.scene: Scene = stage(network, self.lock)

    def change(self, host: str, *, state: HostState | None = None, surroundings: Surroundings | None = None) -> Walked:
        """Give the same with another state or other surroundings of a host."""
        other = Walked.__new__(Walked)
        other.network, other.lock = self.network, self.lock
        other.scene = replace(
            self.scene,
            states={**self.scene.states, **({host: state} if state else {})},
            surroundings={**self.scene.surroundings, **({host: surroundings} if surroundings else {})},
        )
        return other

    def state(self, host: str) -> HostState:
        """Give a host's state."""
        return self.scene.states[host]

    def around(self, host: str) -> Surroundings:
        """Give a host's surroundings."""
        return self.scene.surroundings[host]

    def trace(
        self,
        source: str,
        target: str,
        *faults: Fault,
        family: Family = FOUR,
        proto: str = "icmp",
        port: int = 0,
        size: int = 0,
        down: tuple[Down, ...] = (),
    ) -> Trace:
        """Walk a packet."""
        to = to_target(target, proto, port)
        probe = probe_of(self.scene.world, self.lock, from_place(source), to, family)
        assert probe is not None
        probe = replace(probe, size=size) if size else probe
        return Walker(self.scene).broken(*faults, *faults_of(down)).walk(probe)


def from_place(text: str) -> Place:
    """Read a place; `internet` is one."""
    return Place(PlaceKind.INTERNET) if text == "internet" else place(text)


def to_target(text: str, proto: str = "icmp", port: int = 0) -> Target:
    """Read an address or a place."""
    try:
        return Target(address=ip_address(text), proto=proto, port=port)
    except ValueError:
        return Target(place=from_place(text), proto=proto, port=port)


def expecting(network: Network, *expects: Expect) -> Network:
    """Give a network these expectations."""
    return replace(network, expects=expects)
