"""Set a network up to be walked through, without any machine: its world, and what each host is and meets there."""

from __future__ import annotations

from collections.abc import Mapping

from warren.core.compile import compile_network
from warren.core.walk.scene import Scene
from warren.core.world import place_world, surroundings_of
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import Surroundings


def stage(
    network: Network,
    lock: Lock,
    observed: Mapping[str, Surroundings] | None = None,
    states: Mapping[str, HostState] | None = None,
) -> Scene:
    """Compile every host for the world that the file's `lab:` places it in.

    For hosts in `observed` their real surroundings stand in; for those in `states` what they are, not should be.
    """
    world = place_world(network, lock)
    surroundings = {host.name: surroundings_of(world, network, host.name) for host in network.hosts}
    surroundings.update(observed or {})
    return Scene({**compile_network(network, lock, surroundings), **(states or {})}, surroundings, world)
