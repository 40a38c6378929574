"""Conntrack: directions, and what NAT does to each of them."""

from __future__ import annotations

from warren.core.walk.conntrack import Connections, rewrite_destination, rewrite_source
from warren.core.walk.packet import Packet
from warren.model.prefix import Family

CLIENT, SERVER, OURS = 1, 2, 3


def packet(proto: str = "udp", sport: int = 40000, dport: int = 53) -> Packet:
    return Packet(Family.IPV4, CLIENT, SERVER, proto, sport, dport)


def test_the_answer_is_the_same_flow_the_other_way() -> None:
    connections = Connections()
    there = packet()
    back = there.answer()
    flow = connections.track(there)

    assert connections.track(back) is flow
    assert (there.replying, back.replying, flow.answered) == (False, True, True)


def test_source_nat_is_undone_on_the_way_back() -> None:
    connections = Connections()
    there = packet()
    flow = connections.track(there)
    connections.translate_source(flow, OURS)

    assert rewrite_source(there) and there.source == OURS
    back = there.answer()
    connections.track(back)
    assert back.replying and rewrite_destination(back)
    assert (back.source, back.destination, back.dport) == (SERVER, CLIENT, 40000)


def test_destination_nat_is_undone_on_the_way_back() -> None:
    connections = Connections()
    there = packet()
    flow = connections.track(there)
    connections.translate_destination(flow, OURS, 5353)

    assert rewrite_destination(there) and (there.destination, there.dport) == (OURS, 5353)
    back = there.answer()
    connections.track(back)
    assert rewrite_source(back) and (back.source, back.sport) == (SERVER, 53)


def test_two_flows_never_share_a_reply() -> None:
    """The second gets another port, as masquerading gives it one."""
    connections = Connections()
    one, other = packet(), Packet(Family.IPV4, CLIENT + 10, SERVER, "udp", 40000, 53)
    for each in (one, other):
        connections.translate_source(connections.track(each), OURS)
        rewrite_source(each)

    assert (one.source, other.source) == (OURS, OURS) and one.sport != other.sport


def test_an_echo_is_known_by_its_identifier() -> None:
    connections = Connections()
    there = packet("icmp", 77, 0)
    connections.translate_source(connections.track(there), OURS)
    rewrite_source(there)
    back = there.answer()
    connections.track(back)

    assert back.replying and rewrite_destination(back) and (back.destination, back.dport) == (CLIENT, 77)
