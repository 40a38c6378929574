"""What is published arrives, from whoever asked, and is answered by the gateway he asked: by no other and by no uplink.

One packet speaks for each publish and family, also where it names 5,000 ports: they are entries of one map.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.fabric import Fabric
from warren.core.compile.openings import Opening, openings
from warren.core.verify.expects import Breaker
from warren.core.verify.verdict import Kind, Verdict, prediction
from warren.core.walk import Fault, FirewallGone, Probe, TableFlushed, Walker
from warren.core.walk.course import Outside
from warren.core.walk.places import PING, STRANGER
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.trace import Disposition, Trace

_ANY_PORT = 40443  # of `all`; the next one where this is taken


def judge_published(network: Network, lock: Lock, walker: Walker, breaker: Breaker) -> Iterator[Verdict]:
    """Judge each publish of a gateway on the internet, whole and with what its answers go by broken."""
    fabric = Fabric(network, lock)
    for gateway in dict.fromkeys(publish.gateway for publish in network.publishes):
        found = openings(fabric, gateway)
        seen: set[tuple[int, int]] = set()
        for one in found:
            speaks_for = (id(one.publish), one.family)
            probe = None if speaks_for in seen else _probe(gateway, one, found, walker)
            if probe is not None:
                seen.add(speaks_for)
                yield _judge(gateway, one, probe, walker, breaker)


def _probe(gateway: str, one: Opening, found: tuple[Opening, ...], walker: Walker) -> Probe | None:
    """A stranger's packet for an opening; None where none can be sent: behind a NAT, or no port is left of `all`."""
    attachment = walker.scene.world.host_by_name[gateway].attachment
    to = one.to if one.routed else attachment.address(one.family)
    if to is None or attachment.upstream:
        return None
    heard = walker.view(gateway).surroundings.listeners
    taken = {(listener.proto, listener.port) for listener in heard}
    if one.proto == "icmp":
        return Probe(Outside(), to, STRANGER[one.family], size=PING[one.family])
    if one.proto:
        ports = (port for port in range(one.first, one.last + 1) if (one.proto, port) not in taken)
        port = next(ports, 0)
        return Probe(Outside(), to, STRANGER[one.family], one.proto, dport=port, size=60) if port else None
    for port in range(_ANY_PORT, 1 << 16):
        named = any(other.proto == "tcp" and other.holds("tcp", port) for other in found)
        kept = any(k.proto == "tcp" and k.first <= port <= k.last for k in one.publish.exceptions)
        if not named and not kept and ("tcp", port) not in taken:
            return Probe(Outside(), to, STRANGER[one.family], "tcp", dport=port, size=60)
    return None


def _judge(gateway: str, one: Opening, probe: Probe, walker: Walker, breaker: Breaker) -> Verdict:
    trace = walker.walk(probe)
    problem = _problem(gateway, one, trace, walker)
    faults: tuple[str, ...] = ()
    for fault in () if problem else _faults(gateway, one, walker):
        broken = breaker.walker(fault).walk(probe)
        problem = _astray(gateway, broken)
        if problem:
            trace, faults = broken, (str(fault),)
            break
    what = f"{probe.proto}/{probe.dport}" if probe.dport else probe.proto
    return Verdict(
        Kind.PUBLISHED,
        f"{what} at {gateway} reaches {one.publish.to}",
        not problem,
        f"arrives with its source {'kept' if one.kept else 'made ours'}, answered by {gateway}",
        prediction(trace),
        problem,
        one.publish.at,
        one.family,
        faults,
        trace,
    )


def _problem(gateway: str, one: Opening, trace: Trace, walker: Walker) -> str:
    if not trace.arrived:
        return trace.says if trace.disposition is Disposition.UNKNOWN else f"it is {prediction(trace)}"
    if trace.header.destination != one.inside:
        return f"it {prediction(trace)}"
    came, began = trace.header.source, trace.hops[0].header.source
    if (came == began) is not one.kept:
        return f"its source {began} becomes {came}" if one.kept else "its source is the client's own"
    if trace.reply is None or trace.reply.disposition is not Disposition.EXITED:
        return f"the answer is {prediction(trace.reply)}" if trace.reply else "there is no answer"
    return _astray(gateway, trace)


def _astray(gateway: str, trace: Trace) -> str:
    """Say that an answer leaves by another uplink than its gateway's."""
    exit_ = trace.reply.exit if trace.reply is not None else ""
    return f"the answer leaves by the uplink of {exit_}" if exit_ not in ("", gateway) else ""


def _faults(gateway: str, one: Opening, walker: Walker) -> Iterator[Fault]:
    """What keeps an answer on its way, each gone once: the gateway's own table at home, and nft at the gateway."""
    home = one.publish.to.host
    state = walker.view(home).state
    held = {each.name for each in state.interfaces if any(peer.name == gateway for peer in each.peers)}
    for table in sorted({route.table for route in state.routes if route.device in held and not route.prefix.prefixlen}):
        yield TableFlushed(home, table)
    yield FirewallGone(gateway)
