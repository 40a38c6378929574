"""No leak: with any one thing broken, what a portal takes leaves by its exit's uplink or not at all.

A fault changes nothing for a packet that never meets what is broken, so for each portal only what its own
packets meet is broken: the hosts, tunnels and devices on its way, and its entry's firewall and tables. What goes to
a prefix of the network itself leaves by a tunnel or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from warren.core.compile.portals import identity
from warren.core.domains import Names, as_asked
from warren.core.sets import Exempted, exempted
from warren.core.verify.expects import Breaker
from warren.core.verify.verdict import Kind, Verdict, all_of, prediction
from warren.core.walk import (
    Chosen,
    DefaultHijacked,
    DeviceGone,
    Fault,
    FirewallGone,
    HostDown,
    Probe,
    RulesGone,
    TableFlushed,
    TunnelDown,
    Walker,
    probes_of,
    spot_of,
)
from warren.core.walk.course import OnLan
from warren.core.walk.packet import to_address
from warren.core.walk.places import PING, STRANGER
from warren.model.lock import Lock
from warren.model.network import Network, Way
from warren.model.place import PlaceKind
from warren.model.portal import IfDown
from warren.model.prefix import Address, Family, covers
from warren.model.state import Action
from warren.model.trace import Disposition, HopKind, RuleHit, Trace


def judge_leaks(network: Network, walker: Walker, breaker: Breaker) -> Iterator[Verdict]:
    """Judge every portal in every family it claims, whole and with each fault; one verdict for each of its exits."""
    for way in network.ways:
        for family in way.portal.families:
            probe = probe_from(network, walker, way, family)
            if probe is not None:
                yield _judge(way, family, probe, walker, breaker)


def probe_from(network: Network, walker: Walker, way: Way, family: Family, *, exempt: bool = False) -> Probe | None:
    """A packet from the portal's source to a stranger that it takes, or that is exempted."""
    source = way.portal.source
    start = spot_of(walker.scene.world, source)
    if isinstance(start, OnLan) and start.client.address(family) is None:
        return None
    if source.kind is PlaceKind.PREFIX and source.prefix is not None and source.prefix.version != family:
        return None
    to = stranger(network, way, family, walker.scene.world.names, exempt=exempt)
    own = source.prefix[1] if way.portal.delegated and source.prefix is not None else None
    return None if to is None else Probe(start, to, own, size=PING[family])


def stranger(network: Network, way: Way, family: Family, names: Names = (), *, exempt: bool = False) -> Address | None:
    """An address of the internet that a portal takes, or that is exempted by a set; None if there is none.

    All `names` were asked for by then.
    """
    return next(strangers(network, way, family, names, exempt=exempt), None)


def strangers(
    network: Network, way: Way | None, family: Family, names: Names = (), *, exempt: bool = False
) -> Iterator[Address]:
    """Addresses of the internet that a portal takes, or that are exempted by a set; without a portal, just any."""
    network = as_asked(network, names)
    known = {address for _, addresses in names for address in addresses}
    exceptions = [prefix for prefix in way.portal.exceptions if prefix.version == family] if way is not None else []
    near = [*network.overlay, *(prefix for host in network.hosts for lan in host.lans for prefix in lan.prefixes)]
    held = exempted(network, way.portal, family) if way is not None else Exempted((), family)
    spans = (held if exempt else held.rest()).spans
    shift = family.bits - 8
    offered: set[Address] = set()
    candidates = chain(
        (STRANGER[family],),
        (to_address((first << shift) + 1, family) for first in range(1, 224)),
        (to_address(first, family) for first, _ in spans),
        (to_address((first << shift) + number, family) for number in range(2, 40) for first in range(1, 224)),
        (to_address(first + number, family) for first, last in spans for number in range(1, min(40, last - first + 1))),
    )
    for candidate in candidates:
        if candidate in offered or not (candidate.is_global or candidate in known):
            continue
        if held.holds(candidate) is exempt and not any(covers(prefix, candidate) for prefix in (*exceptions, *near)):
            offered.add(candidate)
            yield candidate


def _judge(way: Way, family: Family, probe: Probe, walker: Walker, breaker: Breaker) -> Verdict:
    portal = way.portal
    given: tuple[Fault, ...] = (Chosen(way.hops[0], identity(portal), family, way.rank),) if way.rank else ()
    whole = breaker.walker(*given).walk(probe)
    allowed = {"", *portal.exits}
    claim = f"portal {portal.source} → {portal.exits[way.rank]} leaks nothing"
    expected = f"leaves at {' or '.join(portal.exits)} or not at all"
    problem = _leak(whole, allowed)
    if not problem and way.rank and whole.exit != portal.exits[way.rank]:
        problem = f"it is {prediction(whole)} while {portal.exits[way.rank]} is chosen"
    if problem:
        return Verdict(Kind.LEAK, claim, False, expected, prediction(whole), problem, portal.at, family, (), whole)
    caveat = ""
    for fault in _faults(way, whole, walker):
        trace = breaker.walker(*given, fault).walk(probe)
        down = isinstance(fault, HostDown | TunnelDown | DeviceGone)
        direct = {way.hops[0]} if down and portal.if_down is IfDown.DIRECT else set()
        problem = _leak(trace, allowed | direct)
        if problem and portal.source.kind is PlaceKind.MAC and fault == FirewallGone(way.hops[0]):
            caveat = f"one device is told by its MAC, which only nft sees: without warren's table {problem}"
        elif problem:
            faults = (str(fault),)
            return Verdict(
                Kind.LEAK, claim, False, expected, prediction(trace), problem, portal.at, family, faults, trace
            )
    return Verdict(Kind.LEAK, claim, True, expected, prediction(whole), caveat, portal.at, family, (), whole)


def judge_near(network: Network, lock: Lock, walker: Walker, breaker: Breaker) -> Iterator[Verdict]:
    """Say of what the file expects between its own places that it never leaves in the clear for want of a tunnel."""
    world = walker.scene.world
    claim, expected = "the network's own prefixes leave by tunnels only", "by a tunnel or not at all"
    open_ = asked = 0
    for expect in dict.fromkeys(replace(one, at=None, down=()) for one in network.expects if one.target.place):
        for family, probe in probes_of(world, lock, expect):
            whole = walker.walk(probe)
            for fault in _near_faults(whole, walker):
                trace = breaker.walker(fault).walk(probe)
                asked += 1
                if trace.exit:
                    open_ += 1
                    says = f"{expect.source_place} → {expect.target}: {_leak(trace, ())}"
                    faults = (str(fault),)
                    yield Verdict(
                        Kind.LEAK, claim, False, expected, prediction(trace), says, None, family, faults, trace
                    )
    if not open_:
        told = f"{all_of(asked, 'packet')}, with one thing broken" if asked else "no `expect` names two of its places"
        yield Verdict(Kind.LEAK, claim, True, expected, told)


def _near_faults(whole: Trace, walker: Walker) -> Iterator[Fault]:
    """What sends a packet from its first host into a tunnel, each gone once: the device, and either guard."""
    for hop in whole.hops:
        if hop.kind is HopKind.HOST:
            device = walker.view(hop.node).devices.get(hop.egress)
            if device is not None and device.wireguard is not None:
                yield DeviceGone(hop.node, hop.egress)
                yield FirewallGone(hop.node)
                yield RulesGone(hop.node)
            return


def _leak(trace: Trace, allowed: Iterable[str]) -> str:
    if trace.exit not in allowed:
        return f"it leaves by the uplink of {trace.exit}"
    if trace.disposition is Disposition.UNKNOWN:
        return trace.says
    return ""


def _faults(way: Way, whole: Trace, walker: Walker) -> Iterator[Fault]:
    """Everything that the portal's packets meet, each broken once."""
    for host in way.hops[1:]:
        yield HostDown(host)
    for one, other in zip(way.hops, way.hops[1:], strict=False):
        yield TunnelDown(one, other)
    entry = way.hops[0]
    for host in dict.fromkeys((entry, *whole.path)):
        yield FirewallGone(host)
        yield DefaultHijacked(host)
        for interface in walker.view(host).state.interfaces:
            if any(hop.node == host and hop.egress == interface.name for hop in whole.hops):
                yield DeviceGone(host, interface.name)
        yield RulesGone(host)
    own = {route.table for route in walker.view(entry).state.routes}
    for hop in whole.hops:
        if hop.kind is HopKind.HOST and hop.node == entry:
            for step in hop.steps:
                if isinstance(step, RuleHit) and step.rule.action is Action.LOOKUP and step.rule.table in own:
                    yield TableFlushed(entry, step.rule.table)
