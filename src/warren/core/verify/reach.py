"""Nobody is cut off: who reaches a host by its uplink today reaches it whatever becomes of its traffic.

A portal may take the host's own traffic, and a gateway publish its very address.

The operator's ssh comes in by the uplink, and its answers leave by it: also with the tunnel, its device, its table or
nft gone. Only hosts on the internet can be asked about; behind a NAT nothing comes in unasked.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.verify.expects import Breaker
from warren.core.verify.verdict import Kind, Verdict, prediction
from warren.core.walk import DefaultHijacked, DeviceGone, Fault, FirewallGone, HostDown, Probe, TableFlushed, Walker
from warren.core.walk.course import Outside
from warren.core.walk.places import STRANGER
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.prefix import FAMILIES
from warren.model.surroundings import Surroundings
from warren.model.trace import Disposition, Trace

SSH, SSHD = 22, "sshd"


def judge_reach(network: Network, walker: Walker, breaker: Breaker) -> Iterator[Verdict]:
    """Judge each host whose own traffic a portal takes or that publishes something, whole and with each fault."""
    taken = {publish.gateway: (publish.to.host, publish.at) for publish in network.publishes}
    taken |= {
        way.hops[0]: (way.hops[1], way.portal.at) for way in network.ways if way.portal.source.kind is PlaceKind.HOST
    }
    for name, (far, at) in taken.items():
        port = _ssh_port(walker.view(name).surroundings)
        attachment = walker.scene.world.host_by_name[name].attachment
        for family in FAMILIES:
            to = attachment.address(family)
            if to is None or attachment.upstream or not port:
                continue
            probe = Probe(Outside(), to, STRANGER[family], "tcp", dport=port, size=60)
            faults, trace, problem = _first_problem(name, far, probe, walker, breaker)
            yield Verdict(
                Kind.REACH,
                f"{name} stays within its operator's reach",
                not problem,
                "who comes in by the uplink is answered by it",
                prediction(trace),
                problem,
                at,
                family,
                faults,
                trace,
            )


def _ssh_port(surroundings: Surroundings) -> int:
    """Give the port of sshd; 0 where no sshd is among what listens, and so nobody comes in by it."""
    heard = surroundings.listeners
    return next((one.port for one in heard if one.program == SSHD), 0 if heard else SSH)


def _first_problem(
    host: str, next_hop: str, probe: Probe, walker: Walker, breaker: Breaker
) -> tuple[tuple[str, ...], Trace, str]:
    whole = walker.walk(probe)
    problem = _problem(whole, host)
    if problem:
        return (), whole, problem
    for fault in _faults(host, next_hop, walker):
        trace = breaker.walker(fault).walk(probe)
        problem = _problem(trace, host)
        if problem:
            return (str(fault),), trace, problem
    return (), whole, ""


def _problem(trace: Trace, host: str) -> str:
    if not trace.arrived:
        return f"it is {prediction(trace)}"
    if trace.at != host:
        return f"it {prediction(trace)}"
    if trace.reply is None or trace.reply.disposition is not Disposition.EXITED or trace.reply.exit != host:
        return f"the answer is {prediction(trace.reply)}" if trace.reply else "there is no answer"
    return ""


def _faults(host: str, next_hop: str, walker: Walker) -> Iterator[Fault]:
    state = walker.view(host).state
    yield HostDown(next_hop)
    yield DefaultHijacked(host)
    for interface in state.interfaces:
        yield DeviceGone(host, interface.name)
    for table in sorted({route.table for route in state.routes}):
        yield TableFlushed(host, table)
    yield FirewallGone(host)
