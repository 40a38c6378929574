"""Conntrack of one host: flows by both of their tuples, with their marks and address translations.

As nf_conntrack does it: a flow is born with its original tuple and the inverse of it; source or destination
NAT alters the reply tuple only, and every later packet is rewritten to the inverse of the other direction's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.core.walk.packet import Packet, Tuple, invert


@dataclass(slots=True)
class Flow:
    """One connection. `snat`/`dnat` are conntrack's status bits, `sealed` the hooks whose NAT is settled."""

    original: Tuple
    reply: Tuple
    mark: int = 0
    answered: bool = False
    snat: bool = False
    dnat: bool = False
    sealed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Connections:
    """The connection table of one host."""

    _flows: dict[Tuple, Flow] = field(default_factory=dict)

    def track(self, packet: Packet) -> Flow:
        """Find the packet's flow, or begin one; sets the packet's flow and direction."""
        here = packet.tuple()
        flow = self._flows.get(here)
        if flow is None:
            flow = Flow(here, invert(here))
            self._flows[flow.original] = self._flows[flow.reply] = flow
        packet.flow = flow
        packet.replying = here == flow.reply and here != flow.original
        if packet.replying:
            flow.answered = True
        return flow

    def translate_source(self, flow: Flow, address: int) -> None:
        """Give the flow a new source; the port is kept unless another flow's reply already has it."""
        family, source, _, proto, sport, dport = flow.reply
        wanted = (family, source, address, proto, sport, dport)
        while (other := self._flows.get(wanted)) is not None and other is not flow:
            dport = dport + 1 if dport < 65535 else 1024
            wanted = (family, source, address, proto, sport, dport)
        self._rekey(flow, wanted)
        flow.snat = (flow.reply[2], flow.reply[5]) != (flow.original[1], flow.original[4])

    def translate_destination(self, flow: Flow, address: int, port: int = 0) -> None:
        """Give the flow a new destination, and a new port unless it is 0."""
        family, _, destination, proto, sport, dport = flow.reply
        self._rekey(flow, (family, address, destination, proto, port or sport, dport))
        flow.dnat = flow.reply[1] != flow.original[2] or flow.reply[4] != flow.original[5]

    def _rekey(self, flow: Flow, reply: Tuple) -> None:
        if flow.reply != flow.original and self._flows.get(flow.reply) is flow:
            del self._flows[flow.reply]
        flow.reply = reply
        self._flows[reply] = flow


def rewrite_destination(packet: Packet) -> bool:
    """Rewrite the destination as the flow's NAT says (prerouting and output); say whether it changed."""
    flow = packet.flow
    if flow is None or not (flow.snat if packet.replying else flow.dnat):
        return False
    _, _, address, _, _, port = invert(flow.original if packet.replying else flow.reply)
    changed = (packet.destination, packet.dport) != (address, port)
    packet.destination, packet.dport = address, port
    return changed


def rewrite_source(packet: Packet) -> bool:
    """Rewrite the source as the flow's NAT says (input and postrouting); say whether it changed."""
    flow = packet.flow
    if flow is None or not (flow.dnat if packet.replying else flow.snat):
        return False
    _, address, _, _, port, _ = invert(flow.original if packet.replying else flow.reply)
    changed = (packet.source, packet.sport) != (address, port)
    packet.source, packet.sport = address, port
    return changed
