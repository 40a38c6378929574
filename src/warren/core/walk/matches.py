"""The matches of the typed firewall as closures: each is compiled once and asked about packet after packet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping

from warren.core.render.nft_words import port_span
from warren.core.walk.fib import Key
from warren.core.walk.packet import Packet, to_address
from warren.model import firewall as fw
from warren.model.prefix import Family, Prefix, merge, span_of
from warren.model.state import RouteKind

Test = Callable[[Packet], bool]

MULTICAST_V4 = 0xE
BROADCAST_V4 = 0xFFFFFFFF
_ICMP = {"icmp": (Family.IPV4, "icmp"), "ipv6-icmp": (Family.IPV6, "icmp"), "icmpv6": (Family.IPV6, "icmp")}


class Matcher:
    """Compiles the matches of one table, whose sets they may name."""

    def __init__(self, sets: Mapping[str, fw.Set]) -> None:
        self._sets = sets

    def test(self, match: fw.Match) -> Test:
        """Compile one match."""
        match match:
            case fw.IfName(direction, names, negate):
                return _device(direction, frozenset(self._texts(names)), negate)
            case fw.Addr(field, family, values, negate):
                prefixes = self._prefixes(values) if isinstance(values, fw.SetRef) else values
                return _address(field, family, prefixes, negate)
            case fw.EtherSource(macs):
                return lambda packet: packet.mac in macs
            case fw.NfProto(family):
                return lambda packet: packet.family is family
            case fw.L4Proto(protos, negate):
                wanted = {_ICMP.get(proto) or (None, proto) for proto in protos}
                return lambda packet: (
                    ((None, packet.proto) in wanted or (packet.family, packet.proto) in wanted) is not negate
                )
            case fw.Port(proto, field, values):
                return _port(proto, field, self._ports(values) if isinstance(values, fw.SetRef) else values)
            case fw.Icmp6Type():
                return lambda packet: False  # echoes are the only ICMP that walks
            case fw.TcpSyn():
                return lambda packet: packet.proto == "tcp"  # what walks is a SYN, and the SYN-ACK that answers it
            case fw.TcpOpens():
                return lambda packet: packet.proto == "tcp" and not packet.replying
            case fw.EchoRequest(family):
                return lambda packet: packet.proto == "icmp" and packet.family is family and not packet.replying
            case fw.CtState(states, negate):
                return lambda packet: (_state(packet) in states) is not negate
            case fw.CtDirection(direction):
                replying = direction == "reply"
                return lambda packet: packet.flow is not None and packet.replying is replying
            case fw.CtStatus(status, negate):
                return lambda packet: (packet.flow is not None and bool(getattr(packet.flow, status))) is not negate
            case fw.Mark(mask, value, negate):
                return lambda packet: (packet.mark & mask == value) is not negate
            case fw.CtMark(mask, value, negate):
                return lambda packet: packet.flow is not None and (packet.flow.mark & mask == value) is not negate
            case fw.UdpBegins():
                return lambda packet: False  # the agent's own packets do not walk
            case fw.CameFrom():
                return lambda packet: False  # what is in a live set only its owner knows; at first nothing
            case fw.Unknocked(family):
                return lambda packet: packet.family is family and not packet.knocked
            case fw.HopsLeft(family, count):
                return lambda packet: packet.family is family and packet.ttl == count
            case fw.FibType(field, type_, negate):
                return lambda packet: (_address_type(packet, field) == type_) is not negate

    def _texts(self, names: tuple[str, ...] | fw.SetRef) -> tuple[str, ...]:
        if isinstance(names, fw.SetRef):
            return tuple(str(element) for element in self._sets[names.name].elements)
        return names

    def _ports(self, ref: fw.SetRef) -> tuple[tuple[int, int], ...]:
        return tuple(port_span(text) for text in self._texts(ref))

    def _prefixes(self, ref: fw.SetRef) -> tuple[Prefix, ...]:
        return tuple(element for element in self._sets[ref.name].elements if not isinstance(element, str))


def _state(packet: Packet) -> str:
    if packet.flow is None:
        return "untracked"
    return "established" if packet.replying or packet.flow.answered else "new"


def _device(direction: str, names: frozenset[str], negate: bool) -> Test:
    if direction == "iif":
        return lambda packet: (packet.iif in names) is not negate
    return lambda packet: (packet.oif in names) is not negate


def _address(field: str, family: Family, prefixes: tuple[Prefix, ...], negate: bool) -> Test:
    spans = merge(span_of(prefix) for prefix in prefixes if prefix.version == family)
    firsts = [first for first, _ in spans]
    lasts = [last for _, last in spans]

    def holds(number: int) -> bool:
        at = bisect_right(firsts, number) - 1
        return (at >= 0 and number <= lasts[at]) is not negate

    if field == "saddr":
        return lambda packet: packet.family is family and holds(packet.source)
    return lambda packet: packet.family is family and holds(packet.destination)


def _port(proto: str, field: str, values: tuple[int | tuple[int, int], ...]) -> Test:
    ranges = [(value, value) if isinstance(value, int) else value for value in values]

    def test(packet: Packet) -> bool:
        if packet.proto != proto:
            return False
        port = packet.sport if field == "sport" else packet.dport
        return any(low <= port <= high for low, high in ranges)

    return test


def _address_type(packet: Packet, field: str) -> str:
    """Say what `fib saddr|daddr type` says: IPv4 asks table local alone, IPv6 the whole way out."""
    number = packet.source if field == "saddr" else packet.destination
    fib = packet.fib
    assert fib is not None
    if packet.family is Family.IPV4:
        if number >> 28 == MULTICAST_V4:
            return "multicast"
        if number in (0, BROADCAST_V4):
            return "broadcast"
        route = fib.local_route(number)
        return str(route.kind) if route is not None else "unicast"
    if to_address(number, packet.family).is_multicast:
        return "multicast"
    other = packet.destination if field == "saddr" else packet.source
    found = fib.lookup(Key(number, other, iif="lo"))
    if found.route is None:
        return str(RouteKind.UNREACHABLE)
    return str(found.route.kind)
