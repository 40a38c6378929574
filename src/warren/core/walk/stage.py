"""Set a network up to be walked through, without any machine: its world, and what each host is and meets there."""

from __future__ import annotations

from collections.abc import Mapping

from warren.core.compile import compile_devices, compile_network
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
    """Compile every host and device for the world that the file's `lab:` places it in.

    For hosts in `observed` their real surroundings stand in; for those in `states` what they are, not should be.
    """
    world = place_world(network, lock)
    surroundings = {node.name: surroundings_of(world, network, node.name) for node in world.machines}
    surroundings.update(observed or {})
    compiled = compile_network(network, lock, surroundings) | compile_devices(network, lock, surroundings)
    return Scene({**compiled, **(states or {})}, surroundings, world)
