"""This host as it is, in the scene that walk and verify see: the others stay as they should be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren.core.walk import Scene
    from warren.model.lock import Lock
    from warren.model.network import Network
    from warren.model.surroundings import Surroundings
    from warren.model.world import World
    from warren.sys.machine import Machine


def live_scene(network: Network, lock: Lock, host: str, machine: Machine | None = None) -> Scene:
    """Observe this host and set it among the compiled others. HostError if it cannot be read."""
    from warren.core.walk.stage import stage
    from warren.sys.machine import Machine
    from warren.sys.prepare import choose_host, prepare

    machine = machine or Machine()
    name = choose_host(network, host, machine)
    prepared = prepare(network, lock, name, machine)
    scene = stage(network, lock, {name: prepared.surroundings}, {name: prepared.observed})
    return replace(scene, world=_standing_here(scene.world, name, prepared.surroundings))


def _standing_here(world: World, host: str, surroundings: Surroundings) -> World:
    """Give the host's uplink the addresses it really has, before those the world would give it."""
    hosts = []
    for node in world.hosts:
        if node.name == host and (link := surroundings.link_by_name.get(node.uplink)) is not None:
            own = tuple(address for address in link.addresses if not address.ip.is_link_local)
            others = tuple(address for address in node.attachment.addresses if address not in own)
            node = replace(node, attachment=replace(node.attachment, addresses=own + others, mtu=link.mtu))
        hosts.append(node)
    return replace(world, hosts=tuple(hosts))
