"""What needs no asking beside leaks: no loop, no shadowed allowed IPs, answers by the same way, MTU that suffices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warren.core.verify.verdict import Kind, Verdict, all_of, prediction
from warren.core.walk import Walker
from warren.core.walk.tunnel import OVERHEAD
from warren.model.device import Device
from warren.model.host import Host
from warren.model.network import Network
from warren.model.prefix import Prefix, span_of, subtract
from warren.model.state import WgInterface
from warren.model.trace import Disposition, Trace

MIN_IPV6_MTU = 1280  # RFC 8200 section 5


def _machines(network: Network) -> tuple[Host | Device, ...]:
    """All that has tunnels."""
    return (*network.hosts, *network.devices)


def judge_loops(traces: Iterable[tuple[str, Trace]]) -> Iterator[Verdict]:
    """Say of all packets that were walked that none goes round in circles."""
    walked = tuple(traces)
    looped = [(claim, trace) for claim, trace in walked if _loops(trace)]
    expected = "no packet comes by the same host twice"
    if not looped:
        yield Verdict(Kind.LOOP, "no loop", True, expected, f"none in {len(walked):,} ways walked")
    for claim, trace in looped:
        yield Verdict(Kind.LOOP, claim, False, expected, prediction(trace), trace.says, trace=trace)


def _loops(trace: Trace) -> bool:
    return trace.disposition is Disposition.LOOPED or (trace.reply is not None and _loops(trace.reply))


def judge_replies(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Say of all packets that arrived as asked that the answer took the same hosts back."""
    astray = answered = 0
    for verdict in verdicts:
        trace = verdict.trace
        if trace is None or not trace.arrived or trace.reply is None or not trace.reply.arrived:
            continue
        answered += 1
        back = tuple(reversed(trace.reply.path))
        if back != trace.path:
            astray += 1
            says = f"there by {', '.join(trace.path)}, back by {', '.join(trace.reply.path)}"
            yield Verdict(
                Kind.REPLY,
                verdict.claim,
                False,
                "the answer comes back the same way",
                prediction(trace),
                says,
                verdict.at,
                verdict.family,
                verdict.faults,
                trace,
            )
    if not astray:
        yield Verdict(
            Kind.REPLY, "answers come back the same way", True, "the same hosts both ways", all_of(answered, "answer")
        )


def judge_shadows(network: Network, walker: Walker) -> Iterator[Verdict]:
    """Say of every device that each allowed IP of a peer can be reached: no other peer takes all of it."""
    shadowed = allowed = 0
    expected = "every allowed IP belongs to one peer"
    for host in _machines(network):
        for interface in walker.view(host.name).state.interfaces:
            allowed += sum(len(peer.allowed_ips) for peer in interface.peers)
            for owner, prefix, by in _shadows(interface):
                shadowed += 1
                says = f"{prefix} of {owner} is taken by {by}"
                yield Verdict(Kind.SHADOW, f"{interface.name} of {host.name}", False, expected, says, says, host.at)
    if not shadowed:
        yield Verdict(Kind.SHADOW, "no shadowed allowed IPs", True, expected, f"none of {allowed:,} prefixes")


def _shadows(interface: WgInterface) -> Iterator[tuple[str, Prefix, str]]:
    """Name each prefix of a peer that no packet can reach, and who has it."""
    owners: dict[Prefix, str] = {}
    for peer in interface.peers:
        called = peer.name or peer.public_key[:8]
        for prefix in peer.allowed_ips:
            if prefix in owners and owners[prefix] != called:
                yield owners[prefix], prefix, called
            owners[prefix] = called
    ordered = sorted(owners, key=lambda prefix: (prefix.version, *span_of(prefix)))
    inside: list[tuple[Prefix, list[Prefix]]] = []
    for prefix in sorted(ordered, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
        while inside and not _within(prefix, inside[-1][0]):
            yield from _covered(*inside.pop(), owners)
        for _, held in inside[-1:]:
            held.append(prefix)
        inside.append((prefix, []))
    while inside:
        yield from _covered(*inside.pop(), owners)


def _within(inner: Prefix, outer: Prefix) -> bool:
    return inner.version == outer.version and inner.network_address in outer and inner.prefixlen > outer.prefixlen


def _covered(prefix: Prefix, held: list[Prefix], owners: dict[Prefix, str]) -> Iterator[tuple[str, Prefix, str]]:
    """A prefix is out of reach when longer ones of others leave nothing of it."""
    others = [one for one in held if owners[one] != owners[prefix]]
    if others and not subtract([span_of(prefix)], [span_of(one) for one in others]):
        yield owners[prefix], prefix, ", ".join(dict.fromkeys(owners[one] for one in others))


def judge_mtu(network: Network, walker: Walker) -> Iterator[Verdict]:
    """Say of every tunnel that its largest packet, wrapped, fits the way uncut, and that IPv6 has its 1280 bytes."""
    short = tunnels = 0
    expected = "the largest packet of a tunnel fits the way to its peer"
    for host in _machines(network):
        view = walker.view(host.name)
        for device in view.devices.values():
            if device.wireguard is None:
                continue
            claim = f"{device.name} of {host.name}"
            if device.mtu < MIN_IPV6_MTU and any(address.version == 6 for address in device.addresses):
                short += 1
                says = f"its MTU of {device.mtu} is less than IPv6 needs ({MIN_IPV6_MTU})"
                yield Verdict(Kind.MTU, claim, False, expected, says, f"{says}; {_for_ipv6(host)}", host.at)
            for peer in device.wireguard.peers:
                tunnels += 1
                link = walker.tunnels.link(view, device, peer, False, 0)
                needed = device.mtu + OVERHEAD[link.family]
                if link.end is None and link.carries < needed:
                    short += 1
                    says = f"packets to {link.far} of {needed} bytes meet an MTU of {link.carries}"
                    remedy = _smaller(host.name, link.far, link.carries - OVERHEAD[link.family], walker)
                    yield Verdict(Kind.MTU, claim, False, expected, says, f"{says}; {remedy}", host.at)
    if not short:
        yield Verdict(Kind.MTU, "MTU suffices", True, expected, all_of(tunnels, "tunnel end"))


def _for_ipv6(host: Host | Device) -> str:
    if host.mtu is not None and host.mtu < MIN_IPV6_MTU:
        return f"write `mtu: {MIN_IPV6_MTU}` or more at {host.name}, or none"
    return "give its uplink a larger one, or the overlay no IPv6"


def _smaller(host: str, far: str, room: int, walker: Walker) -> str:
    """Say who of the two is to get which `mtu:`: a device, which has one tunnel, or the host with the narrower link."""
    for device in walker.scene.world.devices:
        if device.name in (host, far):
            return f"write `mtu: {room}` at {device.name}"
    links = {name: walker.scene.world.host_by_name[name].attachment.mtu for name in (far, host)}
    return f"write `mtu: {room}` at {min(links, key=links.__getitem__)}"
