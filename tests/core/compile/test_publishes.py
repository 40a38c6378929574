"""Which claim on a port wins, held against a naive twin that asks of every port who is the narrowest."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import assume, given
from hypothesis import strategies as st

from warren.core.compile.publishes import claims, clashes, flatten
from warren.model.place import Place, PlaceKind
from warren.model.publish import PortRange, Publish

MOST = 60
RANGES = st.tuples(st.integers(1, MOST), st.integers(1, MOST)).map(sorted).map(tuple)


def publish(number: int, ranges: list[tuple[int, int]], kept: list[tuple[int, int]]) -> Publish:
    to = Place(PlaceKind.PREFIX, "home", "br0", ip_network(f"192.168.16.{number}"))
    ports = tuple(PortRange("tcp", first, last) for first, last in ranges)
    return Publish("cloud", to, ports, tuple(PortRange("tcp", first, last) for first, last in kept))


PUBLISHES = st.lists(st.tuples(st.lists(RANGES, min_size=1, max_size=3), st.lists(RANGES, max_size=2)), max_size=4)


def crosses(one: PortRange, other: PortRange) -> bool:
    apart = one.last < other.first or other.last < one.first
    within = one.first <= other.first and other.last <= one.last, other.first <= one.first and one.last <= other.last
    return not apart and (all(within) or not any(within))


@given(PUBLISHES)
def test_claims_clash_when_two_are_equal_or_cross(
    asked: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    every = claims([publish(number, *one) for number, one in enumerate(asked)], "tcp")
    pairs = [(one, other) for at, one in enumerate(every) for other in every[at + 1 :]]

    assert bool(list(clashes(every))) == any(crosses(one.ports, other.ports) for one, other in pairs)


@given(PUBLISHES)
def test_the_narrowest_claim_has_the_port_unless_it_is_excepted(
    asked: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]],
) -> None:
    every = claims([publish(number, *one) for number, one in enumerate(asked)], "tcp")
    assume(not list(clashes(every)))

    given_to = {}
    for first, last, claim in flatten(every):
        for port in range(first, last + 1):
            assert port not in given_to
            given_to[port] = claim
    for port in range(MOST + 2):
        around = [claim for claim in every if claim.ports.first <= port <= claim.ports.last]
        narrowest = min(around, key=lambda claim: claim.ports.last - claim.ports.first, default=None)
        if narrowest and any(kept.first <= port <= kept.last for kept in narrowest.publish.exceptions):
            narrowest = None
        assert given_to.get(port) == narrowest
