"""NAT boxes by RFC 4787: what mapping and filtering mean, as a table."""

from __future__ import annotations

import pytest

from warren.core.walk.natbox import NatState
from warren.core.walk.packet import Packet
from warren.model.lab import Mapping, NatBox, Ports
from warren.model.prefix import Family

INSIDE, OUTSIDE, ONE, OTHER = 0x0A000002, 0xC6336401, 0x01010101, 0x08080808
EI, AD, APD = Mapping


def packet(source: int, sport: int, to: int, dport: int) -> Packet:
    return Packet(Family.IPV4, source, to, "udp", sport, dport)


def mapped(state: NatState, to: int, dport: int) -> int:
    out = packet(INSIDE, 51820, to, dport)
    state.outward(out, OUTSIDE)
    assert out.source == OUTSIDE
    return out.sport


@pytest.mark.parametrize(
    ("mapping", "same"), [(EI, [True, True, True]), (AD, [True, True, False]), (APD, [True, False, False])], ids=str
)
def test_mapping_says_when_the_outside_port_is_the_same(mapping: Mapping, same: list[bool]) -> None:
    state = NatState(NatBox("box", mapping, ports=Ports.SEQUENTIAL))
    first = mapped(state, ONE, 1)

    assert [mapped(state, *to) == first for to in ((ONE, 1), (ONE, 2), (OTHER, 1))] == same


@pytest.mark.parametrize(
    ("filtering", "allowed"),
    [(EI, [True, True, True]), (AD, [True, True, False]), (APD, [True, False, False])],
    ids=str,
)
def test_filtering_says_who_may_answer(filtering: Mapping, allowed: list[bool]) -> None:
    state = NatState(NatBox("box", filtering=filtering))
    port = mapped(state, ONE, 1)

    answers = [packet(source, sport, OUTSIDE, port) for source, sport in ((ONE, 1), (ONE, 2), (OTHER, 1))]

    assert [state.inward(answer)[0] for answer in answers] == allowed
    assert (answers[0].destination, answers[0].dport) == (INSIDE, 51820)


def test_nobody_gets_in_before_somebody_went_out() -> None:
    passed, says = NatState(NatBox("box", filtering=EI)).inward(packet(ONE, 1, OUTSIDE, 51820))

    assert not passed and "no mapping" in says


def test_a_preserving_box_goes_round_a_port_that_is_taken() -> None:
    state = NatState(NatBox("box"))
    first, second = packet(INSIDE, 51820, ONE, 1), packet(INSIDE + 1, 51820, ONE, 1)
    state.outward(first, OUTSIDE)
    state.outward(second, OUTSIDE)

    assert (first.sport, second.sport) == (51820, 51821)


def test_ipv6_is_filtered_but_not_translated() -> None:
    state = NatState(NatBox("box"))
    out = Packet(Family.IPV6, INSIDE, ONE, "udp", 51820, 1)
    state.outward(out, OUTSIDE)

    assert (out.source, out.sport) == (INSIDE, 51820)
    assert state.inward(Packet(Family.IPV6, ONE, INSIDE, "udp", 1, 51820))[0]
    assert not state.inward(Packet(Family.IPV6, OTHER, INSIDE, "udp", 1, 51820))[0]
