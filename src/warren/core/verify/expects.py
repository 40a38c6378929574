"""Judge every `expect` of the file in every family it applies to.

`exit`, `arrives` and `source` hold when the packet gets there *and* its answer comes back, because that is what
a person would call working; `blocked` holds when the packet reaches nobody. A `mtu: N` holds when a packet of N
bytes that must not be cut gets there and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from warren.core.geo.domains import parents
from warren.core.verify.verdict import Kind, Verdict, prediction
from warren.core.walk import Fault, Probe, Walker, faults_of, probe_of, spot_of
from warren.core.walk.course import OnHost, OnLan, Spot
from warren.core.walk.places import families_at
from warren.core.walk.resolving import resolve
from warren.model.expect import Expect
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place
from warren.model.prefix import Address, Family
from warren.model.trace import Disposition, HopKind, Trace
from warren.model.world import World


class Breaker:
    """Gives walkers with faults, each combination made once."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._broken: dict[tuple[Fault, ...], Walker] = {}

    def walker(self, *faults: Fault) -> Walker:
        """Give the walker with these faults."""
        if not faults:
            return self._walker
        known = self._broken.get(faults)
        if known is None:
            known = self._broken[faults] = self._walker.broken(*faults)
        return known


def families_of(world: World, lock: Lock, expect: Expect) -> tuple[Family, ...]:
    """Give the families an expectation applies to: those it names, or every one that both ends have."""
    if expect.families is not None:
        return expect.families
    place, target = expect.source_place, expect.target
    possible = families_at(expect)
    return tuple(family for family in possible if probe_of(world, lock, place, target, family) is not None)


def judge_expects(network: Network, lock: Lock, world: World, breaker: Breaker) -> Iterator[Verdict]:
    """Judge all expectations, in the file's order."""
    for expect in network.expects:
        if expect.resolves is not None:
            yield _judge_name(expect, breaker)
            continue
        families = families_of(world, lock, expect)
        if not families:
            says = f"{expect.source_place} and {expect.target} have no family in common"
            yield _verdict(expect, None, None, says)
        for family in families:
            verdict = judge_expect(expect, family, lock, world, breaker)
            asked = verdict.holds and not expect.blocked and _told_by_name(network, expect)
            yield replace(verdict, predicted=f"{verdict.predicted}, once it was asked for") if asked else verdict


def _told_by_name(network: Network, expect: Expect) -> bool:
    """Say whether it is by its name that a portal there knows the target: then nobody does before it was asked for."""
    above = frozenset(parents(expect.target.name))
    return any(
        not above.isdisjoint(network.named_domains(use.name))
        for portal in network.portals
        if portal.source.host == expect.source_place.host
        for use in portal.uses
    )


def _judge_name(expect: Expect, breaker: Breaker) -> Verdict:
    """Judge what becomes of a name that is asked for."""
    assert expect.resolves is not None
    found = resolve(breaker.walker(*faults_of(expect.down)), expect.source_place, expect.resolves.name)
    says = name_failure(expect, found.answered, found.exits, found.says)
    predicted = f"asked by {', '.join(found.exits)}" if found.exits else "asked of nobody outside"
    return Verdict(
        Kind.EXPECT,
        f"{expect.source_place} → {expect.target}",
        not says,
        wanted(expect),
        predicted if found.answered else f"no answer: {found.says}",
        says,
        expect.at,
        None,
        tuple(str(fault) for fault in faults_of(expect.down)),
        found.traces[-1] if found.traces else None,
    )


def name_failure(expect: Expect, answered: bool, exits: tuple[str, ...], why: str) -> str:
    """Say why what became of a name is not what was expected; empty if it is."""
    left = f"its questions leave by {', '.join(exits)}" if exits else "its questions leave by nobody"
    if expect.blocked:
        return left if exits else "it is answered" if answered else ""
    if not answered:
        return f"nobody answers: {why}"
    by = expect.resolves.by if expect.resolves is not None else ()
    return "" if set(exits) == set(by) else left


def judge_expect(expect: Expect, family: Family, lock: Lock, world: World, breaker: Breaker) -> Verdict:
    """Judge one expectation in one family."""
    probe = probe_of(world, lock, expect.source_place, expect.target, family)
    if probe is None:
        return _verdict(expect, family, None, f"one of the two ends has no {family.word} address")
    walker = breaker.walker(*faults_of(expect.down))
    trace = walker.walk(probe)
    says = failure(expect, trace, probe, lock, world)
    if not says and expect.mtu is not None:
        trace = walker.walk(replace(probe, size=expect.mtu))
        says = _undelivered(trace)
    return _verdict(expect, family, trace, says)


def _verdict(expect: Expect, family: Family | None, trace: Trace | None, says: str) -> Verdict:
    return Verdict(
        Kind.EXPECT,
        f"{expect.source_place} → {expect.target}",
        not says,
        wanted(expect),
        _proved(expect, trace, says) if trace is not None else "cannot be asked",
        says,
        expect.at,
        family,
        tuple(str(fault) for fault in faults_of(expect.down)),
        trace,
    )


def _proved(expect: Expect, trace: Trace, says: str) -> str:
    """Say what becomes of the packet; where that is as expected, with what was seen of all that was asked for."""
    told = [prediction(trace)]
    if not says and trace.arrived:
        if expect.path:
            told.append("by " + ", ".join(trace.path))
        if expect.source:
            told.append(f"seen as {trace.header.source}")
        if expect.mtu is not None:
            told.append(f"{trace.hops[0].header.size} bytes there and back")
    return "; ".join(told)


def wanted(expect: Expect) -> str:
    """Say in words what is expected."""
    words = []
    if expect.resolves is not None and expect.resolves.by:
        words.append(f"asked by {', '.join(expect.resolves.by)}")
    if expect.blocked:
        words.append("blocked")
    if expect.exit:
        words.append(f"exits at {expect.exit}")
    if expect.arrives is not None:
        words.append("arrives" if expect.arrives is True else f"arrives at {expect.arrives}")
    if expect.source:
        words.append(f"source {expect.source}")
    if expect.path:
        words.append("by " + ", ".join(expect.path))
    if expect.mtu is not None:
        words.append(f"{expect.mtu} bytes fit")
    return "; ".join(words) or "arrives"


def failure(expect: Expect, trace: Trace, probe: Probe, lock: Lock, world: World) -> str:
    """Say why a trace is not what was expected; empty if it is."""
    if trace.disposition is Disposition.UNKNOWN:
        return trace.says
    if expect.blocked:
        return f"it {prediction(trace)}" if trace.arrived else ""
    lost = _undelivered(trace)
    if lost:
        return lost
    if expect.exit and trace.exit != expect.exit:
        return f"it leaves by the uplink of {trace.exit}" if trace.exit else f"it {prediction(trace)} and exits nowhere"
    if isinstance(expect.arrives, Place) and not _ended_at(trace, spot_of(world, expect.arrives)):
        return f"it {prediction(trace)}"
    place = expect.target.place
    if expect.arrives is True and place is not None and not _ended_at(trace, spot_of(world, place)):
        return f"it {prediction(trace)}"
    if expect.path and trace.path != expect.path:
        return "its way is " + ", ".join(trace.path)
    return _wrong_source(expect, trace, lock, world) if expect.source else ""


def _undelivered(trace: Trace) -> str:
    if not trace.arrived or (trace.reply is not None and not trace.reply.arrived):
        return f"it is {prediction(trace)}" if not trace.arrived else f"it {prediction(trace)}"
    return ""


def _ended_at(trace: Trace, spot: Spot) -> bool:
    last = trace.hops[-1]
    if isinstance(spot, OnHost):
        return last.kind in (HopKind.HOST, HopKind.DEVICE) and last.node == spot.host
    if isinstance(spot, OnLan):
        return last.kind is HopKind.CLIENT and last.node == spot.client.name
    return trace.disposition is Disposition.EXITED


def _wrong_source(expect: Expect, trace: Trace, lock: Lock, world: World) -> str:
    seen, began = trace.header.source, trace.hops[0].header.source
    if expect.source == "kept":
        kept = seen in (began, kept_as(expect.source_place, began, world))
        return "" if kept else f"its source {began} becomes {seen}"
    return "" if seen in host_addresses(expect.source, lock, world) else f"its source is {seen}"


def kept_as(place: Place, address: Address, world: World) -> Address:
    """Give the source with which a machine's packets come out elsewhere, if nothing but its LAN's map alters them."""
    spot = spot_of(world, place)
    return spot.client.seen(address) if isinstance(spot, OnLan) else address


def host_addresses(host: str, lock: Lock, world: World) -> frozenset[Address]:
    """Give all of a host's addresses: of the overlay, its chains, its uplink, and of the NATs in front of it."""
    locked = lock.by_name[host]
    attachments = [world.host_by_name[host].attachment, *(nat.attachment for nat in world.behind(host))]
    return frozenset(
        (
            *locked.addresses,
            *(address for chain in locked.chains for address in chain.addresses),
            *(address.ip for attachment in attachments for address in attachment.addresses),
        )
    )
