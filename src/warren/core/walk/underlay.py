"""What lies between uplinks: NAT boxes and the internet, as the World places them.

A *segment* is the wire above a node: the internet (""), or the inside of a NAT box. A packet goes to whoever on
its segment has the destination, else up through the box, else it is on the internet, which answers on any
address.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.core.walk.conntrack import Connections
from warren.core.walk.gate import End
from warren.core.walk.natbox import NatState
from warren.core.walk.packet import Packet, to_address
from warren.model.prefix import Family, covers
from warren.model.trace import Disposition, Ended, Filtered, Header, Hop, HopKind, Mapped, Mtu, Step
from warren.model.world import Attachment, HostNode, NatNode, World

INTERNET = "internet"


@dataclass(slots=True)
class Memory:
    """What hosts and NAT boxes remember of the packets so far."""

    hosts: dict[str, Connections] = field(default_factory=dict)
    nats: dict[str, NatState] = field(default_factory=dict)

    def host(self, name: str) -> Connections:
        """Give a host's connection table."""
        return self.hosts.setdefault(name, Connections())

    def nat(self, node: NatNode) -> NatState:
        """Give a box's mappings."""
        known = self.nats.get(node.box.name)
        if known is None:
            known = self.nats[node.box.name] = NatState(node.box)
        return known


@dataclass(frozen=True, slots=True)
class AtHost:
    """The packet reached a host's uplink."""

    name: str


@dataclass(frozen=True, slots=True)
class OnInternet:
    """The packet is on the internet, where nobody of ours has its destination."""


class Underlay:
    """The world's wires, indexed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._owners: dict[tuple[str, int, int], HostNode | NatNode] = {}
        self._routed: list[tuple[str, Attachment, HostNode | NatNode]] = []
        nodes: tuple[HostNode | NatNode, ...] = (*world.machines, *world.nats)
        for node in nodes:
            where = node.attachment
            for address in where.addresses:
                self._owners[where.upstream, address.version, int(address.ip)] = node
            if where.routed or where.on_link:
                self._routed.append((where.upstream, where, node))

    def carry(self, packet: Packet, start: str, memory: Memory, hops: list[Hop]) -> AtHost | OnInternet | End:
        """Carry a packet from a segment to where it ends up, telling the boxes on the way in `hops`."""
        segment = start
        crossed: set[str] = set()
        while True:
            node = self._owner(segment, packet)
            if isinstance(node, HostNode):
                end = _fit(packet, node.attachment.mtu, node.name, hops)
                return end or AtHost(node.name)
            if isinstance(node, NatNode):
                end = self._inward(node, packet, memory, hops)
                if end is not None:
                    return end
                segment = node.box.name
                continue
            if segment == "":
                return OnInternet()
            box = self.world.nat_by_name[segment]
            if box.box.name in crossed or any(packet.destination == int(inner.ip) for inner in box.inner):
                says = f"{box.box.name} knows nobody with {to_address(packet.destination, packet.family)}"
                return _end(hops, box.box.name, packet.header(), [], Disposition.LOST, says)
            crossed.add(box.box.name)
            end = self._outward(box, packet, memory, hops)
            if end is not None:
                return end
            segment = box.attachment.upstream

    def _owner(self, segment: str, packet: Packet) -> HostNode | NatNode | None:
        node = self._owners.get((segment, packet.family, packet.destination))
        if node is not None or not self._routed:
            return node
        destination = to_address(packet.destination, packet.family)
        for where, attachment, routed in self._routed:
            if where == segment and any(
                covers(prefix, destination) for prefix in (*attachment.routed, *attachment.on_link)
            ):
                return routed
        return None

    def _outward(self, node: NatNode, packet: Packet, memory: Memory, hops: list[Hop]) -> End | None:
        name = node.box.name
        before = packet.header()
        outside = node.attachment.address(packet.family)
        if outside is None:
            return _end(hops, name, before, [], Disposition.NO_ROUTE, f"{name} has no {packet.family.word}")
        own = packet.family is Family.IPV4 and packet.destination == int(outside)
        if own and not node.box.hairpin:
            return _end(hops, name, before, [], Disposition.NAT_FILTERED, f"{name} does no hairpinning")
        says = memory.nat(node).outward(packet, int(outside))
        step: Step = Mapped(before, packet.header(), says) if packet.family is Family.IPV4 else Filtered(True, says)
        hops.append(Hop(name, HopKind.NAT, "inside", "outside", before, (step,)))
        return _fit(packet, node.attachment.mtu, name, hops)

    def _inward(self, node: NatNode, packet: Packet, memory: Memory, hops: list[Hop]) -> End | None:
        name = node.box.name
        end = _fit(packet, node.attachment.mtu, name, hops)
        if end is not None:
            return end
        before = packet.header()
        passed, says = memory.nat(node).inward(packet)
        steps: list[Step] = [Filtered(passed, says)]
        if not passed:
            return _end(hops, name, before, steps, Disposition.NAT_FILTERED, f"{name} {says}")
        if packet.family is Family.IPV4:
            steps.append(Mapped(before, packet.header(), "sends it to who made the mapping"))
        hops.append(Hop(name, HopKind.NAT, "outside", "inside", before, tuple(steps)))
        return None


def _end(hops: list[Hop], node: str, header: Header, steps: list[Step], disposition: Disposition, says: str) -> End:
    hops.append(Hop(node, HopKind.NAT, "inside", "", header, (*steps, Ended(disposition, says))))
    return End(disposition, says)


def _fit(packet: Packet, mtu: int, node: str, hops: list[Hop]) -> End | None:
    """Hold a packet against the MTU of the link above a node; IPv4 without DF is cut in pieces."""
    packet.carries = min(packet.carries, mtu)
    if packet.size <= mtu:
        return None
    cut = packet.family is Family.IPV4 and not packet.df
    link = f"the link of {node}"
    steps: list[Step] = [Mtu(link, mtu, packet.size, cut, "cut in pieces" if cut else "")]
    if cut:
        hops.append(Hop(INTERNET, HopKind.INTERNET, "", "", packet.header(), tuple(steps)))
        return None
    says = f"{packet.size} bytes do not fit {link} ({mtu})"
    return _end(hops, INTERNET, packet.header(), steps, Disposition.MTU_EXCEEDED, says)
