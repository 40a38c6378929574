"""Real packets in walk's words: what `nft monitor trace` tells of a packet, put together to a hop.

    trace id 47cfea4a inet warren-portals prerouting packet: iif "eth2" ip saddr … ip id 13349 …
    trace id 47cfea4a inet warren-portals prerouting rule iifname "wn0" … (verdict continue)
    trace id 47cfea4a inet warren-portals prerouting policy accept meta mark 0x3e000000

The kernel tells of chains and rules only, and under a new id from hook to hook, so a packet is known by what does
not change on its way through a host: its IP id or flow label, its ports, its ICMP identifier. Which policy rule and
route it took, and which peer, is looked up in the host's rules, routes and allowed IPs as they were just observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from warren.core.walk.fib import LOOPBACK, Key
from warren.core.walk.host import HostView
from warren.core.walk.packet import to_address
from warren.core.walk.source import device_address
from warren.core.walk.told import Told, deed, read_line, reason
from warren.core.walk.tunnel import outer_size
from warren.model.prefix import Address, Family, family_of
from warren.model.trace import (
    Decrypted,
    Disposition,
    Encrypted,
    Ended,
    Firewall,
    ForeignHook,
    Header,
    Hop,
    HopKind,
    Local,
    Note,
    RouteHit,
    Sent,
    Step,
    Translated,
)


@dataclass(slots=True)
class _Passing:
    """One packet on its way through the host: all that was told of it so far."""

    told: list[Told] = field(default_factory=list)


class Following:
    """Collects lines, and gives a hop for each packet when nothing more is told of it."""

    def __init__(self, view: HostView, own_table: str) -> None:
        """Take the host as observed; `own_table` is the one that asks for the trace and is not told of."""
        self._view = view
        self._own = own_table
        self._passing: dict[tuple[object, ...], _Passing] = {}
        self._by_id: dict[str, tuple[object, ...]] = {}
        self._led: dict[tuple[object, ...], Address] = {}

    def take(self, line: str) -> None:
        """Take one line."""
        told = read_line(line)
        if told is None:
            return
        if told.header is not None:
            self._by_id[told.id] = told.key
        key = self._by_id.get(told.id)
        if key is not None:
            self._passing.setdefault(key, _Passing()).told.append(told)

    def finished(self) -> Iterator[Hop]:
        """Give the hops of all packets taken so far, in order: call it when the kernel is silent for a moment."""
        for passing in self._passing.values():
            yield self._led_back(make_hop(passing.told, self._view, self._own))
        self._passing.clear()
        self._by_id.clear()

    def _led_back(self, hop: Hop) -> Hop:
        """Give an answer the source that was asked, which nobody shows: it is put back after the last hook."""
        header = next((step.after for step in reversed(hop.steps) if isinstance(step, Translated)), hop.header)
        asked = self._led.get(_flow(header))
        sent = next((at for at, step in enumerate(hop.steps) if isinstance(step, Sent)), None)
        if asked is not None:
            if sent is None or asked == header.source:
                return hop
            undone = Translated("source", header, replace(header, source=asked), undone=True)
            return replace(hop, steps=(*hop.steps[:sent], undone, *hop.steps[sent:]))
        for step in hop.steps:
            if isinstance(step, Translated) and step.what == "destination":
                self._led[_flow(step.after, answering=True)] = step.before.destination
        return hop


def _flow(header: Header, answering: bool = False) -> tuple[object, ...]:
    """Know a packet's flow by its ends, or those of its answer; an echo's identifier is the same both ways."""
    ends = ((header.source, header.sport), (header.destination, header.dport))
    if header.proto == "icmp":
        ends = ((header.source, header.sport), (header.destination, header.sport))
    return (header.proto, *(reversed(ends) if answering else ends))


def make_hop(told: list[Told], view: HostView, own_table: str) -> Hop:
    """Put the lines of one packet together."""
    shown = [line for line in told if line.header is not None]
    first = shown[0].header
    assert first is not None
    ingress = next((line.iif for line in shown if line.iif), "")
    egress = next((line.oif for line in reversed(shown) if line.oif), "")
    steps: list[Step] = []
    if ingress:
        steps += _decrypted(view, ingress, first)
    header, mark, routed = first, 0, False
    for line in told:
        if line.header is not None:
            if _ends(line.header) != _ends(header):
                steps += _translated(header, line.header)
            header = line.header
            if line.oif and not routed:
                steps += _routed(view, header, ingress, mark, line.oif)
                routed = True
        elif line.table != own_table:
            steps += _judged(line, view)
            header, translation = _source_nat(line, header, egress, view)
            steps += translation
        mark = line.mark if line.mark >= 0 else mark
    blocked = any(isinstance(step, Ended) for step in steps)
    if blocked:
        egress = ""
    elif egress:
        steps += _left(view, egress, header)
    else:
        steps += _routed(view, header, ingress, mark, "")
        steps.append(Local(header.destination, ""))
    return Hop(view.name, HopKind.HOST, ingress, egress, first, tuple(steps))


def _ends(header: Header) -> tuple[object, ...]:
    return header.source, header.sport, header.destination, header.dport


def _translated(before: Header, after: Header) -> Iterator[Step]:
    if (before.source, before.sport) != (after.source, after.sport):
        yield Translated("source", before, after)
    if (before.destination, before.dport) != (after.destination, after.dport):
        yield Translated("destination", before, after)


def _routed(view: HostView, header: Header, ingress: str, mark: int, oif: str) -> Iterator[Step]:
    """Name the rule and the route, as walk finds them in what was observed; the kernel says where it really went."""
    family = family_of(header.source)
    proto = "ipv6-icmp" if header.proto == "icmp" and family is Family.IPV6 else header.proto
    steps: list[Step] = []
    ends = int(header.destination), int(header.source)
    key = Key(*ends, ingress or LOOPBACK, "", mark, proto, header.sport, header.dport)
    view.fibs[family].lookup(key, steps)
    yield from steps
    route = next((step.route for step in steps if isinstance(step, RouteHit)), None)
    if oif and (route is None or route.device != oif):
        yield Note(f"the kernel sends it by {oif}")


def _source_nat(line: Told, header: Header, egress: str, view: HostView) -> tuple[Header, tuple[Step, ...]]:
    """Nobody shows a packet after the last hook: what source NAT makes of it follows from the rule."""
    does = deed(line)
    if does.startswith("snat to "):
        to: Address | None = ip_address(does.removeprefix("snat to ").strip("[]"))
    elif does.startswith("snat prefix to "):
        whole = ip_network(does.removeprefix("snat prefix to "))
        to = whole[int(header.source) & int(whole.hostmask)]
    elif does == "masquerade":
        number = device_address(
            view, egress, family_of(header.source), int(header.destination), int(header.destination)
        )
        to = None if number is None else to_address(number, family_of(header.source))
    else:
        return header, ()
    if to is None or to == header.source:
        return header, ()
    after = replace(header, source=to)
    return after, (Translated("source", header, after),)


def _judged(line: Told, view: HostView) -> Iterator[Step]:
    """What a rule or a policy did; a rule that only looks or jumps is not told."""
    ours = any(table.name == line.table for table in view.state.tables)
    name = f"{line.family} {line.table} {line.chain}"
    if line.policy == "drop":
        yield ForeignHook(name, "", "drop", "its policy is drop")
        yield Ended(Disposition.BLOCKED, f"foreign chain {name}: its policy is drop")
    if not line.rule:
        return
    text, does = reason(line), deed(line)
    if does:
        yield Firewall(line.table if ours else f"{line.family} {line.table}", line.chain, text, does)
    if line.verdict == "drop" or does.startswith("reject"):
        yield Ended(Disposition.BLOCKED, f"{line.table} {line.chain}: {text}: {does}")


def _decrypted(view: HostView, ingress: str, header: Header) -> Iterator[Step]:
    device = view.devices.get(ingress)
    if device is None or device.wireguard is None:
        return
    held = device.allowed.find(family_of(header.source), int(header.source))
    if held is not None:
        yield Decrypted(ingress, held[1].name or held[1].public_key[:8], held[0])


def _left(view: HostView, egress: str, header: Header) -> Iterator[Step]:
    yield Sent(egress, header.destination)
    device = view.devices.get(egress)
    if device is None or device.wireguard is None:
        return
    held = device.allowed.find(family_of(header.destination), int(header.destination))
    if held is None:
        yield Ended(Disposition.NO_PEER, f"no peer of {egress} has {header.destination} in its allowed IPs")
        return
    allowed, peer = held
    family = Family.IPV6 if peer.endpoint is not None and ":" in peer.endpoint.host else Family.IPV4
    yield Encrypted(
        egress,
        peer.name or peer.public_key[:8],
        allowed,
        str(peer.endpoint or "wherever it was last heard from"),
        False,
        outer_size(header.size, device.mtu, family),
        device.wireguard.fwmark,
    )
