"""`warren trace --live`: the kernel's own trace of real packets on this host, in the words of the walk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren.model.expect import Target
    from warren.model.lock import Lock
    from warren.model.network import Network
    from warren.model.place import Place
    from warren.model.prefix import Address, Prefix
    from warren.model.trace import Hop
    from warren.model.world import World
    from warren.sys.machine import Machine


def follow(
    network: Network,
    lock: Lock,
    host: str,
    source: Place,
    target: Target,
    family: str | None,
    seconds: int,
    as_json: bool,
    machine: Machine | None = None,
) -> int:
    """Follow flows from a place to a target for so long, or until a packet and its answer were seen; gives a status."""
    from dataclasses import replace

    from warren.cli.live import live_scene
    from warren.cli.view import paint, show
    from warren.cli.view_json import print_json
    from warren.cli.view_trace import hop_text
    from warren.cli.view_trace_json import hop_json
    from warren.core.walk.host import HostView
    from warren.core.walk.live import Following
    from warren.model.expect import Expect
    from warren.sys.machine import Machine
    from warren.sys.nftrace import table_name, traced
    from warren.sys.prepare import choose_host

    machine = machine or Machine()
    name = choose_host(network, host, machine)
    scene = live_scene(replace(network, expects=(*network.expects, Expect(source, target))), lock, name, machine)
    view = HostView(name, scene.states[name], scene.surroundings[name], scene.world.host_by_name[name])
    daddr = _target_address(scene.world, lock, source, target, family)
    ends = _names_at(scene.world, name, target, daddr)
    saddr = _source_prefix(network, name, source, daddr)
    following = Following(view, table_name())
    hops: list[Hop] = []
    with traced(saddr, daddr) as lines:
        if not as_json:
            begins = f" from {saddr}" if saddr is not None else ""
            show(paint(f"{name}: waiting {seconds} s for packets{begins} to {daddr}", "bold"))
        until = time.monotonic() + seconds
        for line in lines:
            following.take(line)
            if line == "":
                for hop in following.finished():
                    hops.append(hop)
                    if not as_json:
                        show(hop_text(hop))
            if time.monotonic() > until or _both_ways(hops, daddr, ends):
                break
    answered = _both_ways(hops, daddr, ends)
    if as_json:
        print_json({"host": name, "answered": answered, "hops": [hop_json(hop) for hop in hops]})
    elif not hops:
        show(paint("no packet came by", "bold", "yellow"))
    elif not answered:
        show(paint("no answer came by", "bold", "yellow"))
    return 0 if answered else 1


def _target_address(world: World, lock: Lock, source: Place, target: Target, family: str | None) -> Address:
    """Give the address that packets are sent to; UsageError if it has none of the family."""
    import click

    from warren.core.walk.places import site_of, target_address
    from warren.model.place import PlaceKind
    from warren.model.prefix import FAMILIES, Family

    wanted = (Family(int(family[-1])),) if family else FAMILIES
    outside = source.kind is PlaceKind.INTERNET
    for one in wanted:
        found = target_address(world, lock, target, one, outside, site_of(source))
        if found is not None:
            return found
    raise click.UsageError(f"{target} has no {family or 'address'}")


def _source_prefix(network: Network, host: str, source: Place, to: Address) -> Prefix | None:
    """Give the sources to look for: on the place's own host its LAN's or its own; elsewhere they may be rewritten."""
    from warren.model.place import PlaceKind

    if source.host != host or source.kind in (PlaceKind.HOST, PlaceKind.INTERNET):
        return None
    if source.prefix is not None:
        return source.prefix
    prefixes = network.by_name[host].lan(source.lan).prefixes
    return next((prefix for prefix in prefixes if prefix.version == to.version), None)


def _names_at(world: World, host: str, target: Target, to: Address) -> tuple[Address, ...]:
    """Give the sources with which answers come to a host: from its own mapped LAN, with the address they have there."""
    place = target.place
    clients = (client for client in world.clients if place is not None and client.name == str(place))
    own = (address.ip for client in clients if client.host == host for address in client.addresses)
    return (to, *(address for address in own if address.version == to.version))


def _both_ways(hops: list[Hop], to: Address, ends: tuple[Address, ...]) -> bool:
    """Whether packets towards the target and packets from it were seen."""
    return any(hop.header.destination == to for hop in hops) and any(hop.header.source in ends for hop in hops)
