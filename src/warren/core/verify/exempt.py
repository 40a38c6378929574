"""Countries and lists: what they exempt leaves at home, whatever becomes of the exit, and only while nft says so."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.sets import exempts
from warren.core.verify.expects import Breaker
from warren.core.verify.leaks import probe_from
from warren.core.verify.verdict import Kind, Verdict, prediction
from warren.core.walk import Fault, FirewallGone, HostDown, Probe, TunnelDown, Walker
from warren.model.network import Network, Way
from warren.model.place import PlaceKind
from warren.model.prefix import Family


def judge_exempted(network: Network, walker: Walker, breaker: Breaker) -> Iterator[Verdict]:
    """Judge an exempted destination of every portal that has some, in every family that it claims."""
    for way in network.ways:
        if way.portal.by_marks and way.rank == 0:
            for family in way.portal.families:
                probe = probe_from(network, walker, way, family, exempt=True)
                leads_out = exempts(network, way.portal, family) and family in _ways_out(walker, way)
                if probe is not None and leads_out:
                    yield _judge(way, family, probe, walker, breaker)


def _ways_out(walker: Walker, way: Way) -> tuple[Family, ...]:
    """The families that the entry has a way out for by itself; where there is none, exempting leads nowhere."""
    view = walker.view(way.hops[0])
    return tuple(
        family
        for family in view.families
        if any(
            route.prefix.prefixlen == 0 and route.prefix.version == family and route.device == view.uplink
            for route in view.surroundings.routes
        )
    )


def _judge(way: Way, family: Family, probe: Probe, walker: Walker, breaker: Breaker) -> Verdict:
    home, portal = way.hops[0], way.portal
    claim = f"portal {portal.source} → {portal.exit} leaves {probe.destination} at home"
    expected = f"leaves at {home}, through the exit without nft"
    whole = walker.walk(probe)
    if whole.exit != home or whole.reply is None or not whole.reply.arrived:
        says = "a country or list exempts it, and it does not leave at home and come back"
        return Verdict(Kind.EXEMPT, claim, False, expected, prediction(whole), says, portal.at, family, (), whole)
    broken: list[tuple[Fault, set[str]]] = [(HostDown(host), {home}) for host in way.hops[1:]]
    broken += [(TunnelDown(home, way.hops[1]), {home})]
    if portal.source.kind is not PlaceKind.MAC:  # without nft nobody knows a MAC: the portal's own verdict says so
        broken += [(FirewallGone(home), {"", *portal.exits})]
    for fault, allowed in broken:
        trace = breaker.walker(fault).walk(probe)
        back = trace.reply is not None and trace.reply.arrived
        if trace.exit not in allowed or (allowed == {home} and not back):
            told = prediction(trace)
            return Verdict(Kind.EXEMPT, claim, False, expected, told, told, portal.at, family, (str(fault),), trace)
    return Verdict(Kind.EXEMPT, claim, True, expected, prediction(whole), "", portal.at, family, (), whole)
