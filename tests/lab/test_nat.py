"""The lab's NATs behave as RFC 4787 says: measured with real sockets from both sides.

a 100.64.0.2 ─┐
              ├─ NAT ── internet (X and Y: any two addresses of it)
b 100.64.0.3 ─┘
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

import pytest

from tests.lab.enclosed import enclosed
from warren.core.world import place_world
from warren.lab.build import build
from warren.lab.spaces import Spaces
from warren.lab.topology import INTERNET, wire
from warren.model.host import Host
from warren.model.key import PublicKey
from warren.model.lab import Lab, LabLink, Mapping, NatBox, Ports
from warren.model.network import Network
from warren.model.prefix import Family, Prefix, ip_network

pytestmark = pytest.mark.lab

X, Y = "192.0.2.10", "192.0.2.20"
X6, Y6 = "2001:db8:aaaa::1", "2001:db8:bbbb::1"
OVERLAY: tuple[Prefix, ...] = (ip_network("10.77.0.0/24"),)
HEARD, SILENT = 2.0, 0.25  # seconds: to wait for what must come, and for what must not

EI, AD, APD = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT


@dataclass
class Ground:
    """Two hosts behind one NAT."""

    spaces: Spaces
    outer: str
    a6: str

    def bind(self, space: str, address: str, port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.spaces.inside(space):
            made = socket.socket(family, socket.SOCK_DGRAM)
        if space == INTERNET:
            made.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        made.bind((address, port))
        return made


@contextmanager
def ground(box: NatBox) -> Iterator[Ground]:
    key = PublicKey("A" * 43 + "=")
    lab = Lab(nats=(box,), place=(("a", (box.name,)), ("b", (box.name,))))
    network = Network("nats", OVERLAY, (Host("a", key), Host("b", key)), lab=lab)
    world = place_world(network, None)
    outer = world.nats[0].attachment.address(Family.IPV4)
    inner6 = world.hosts[0].attachment.address(Family.IPV6)
    yield Ground(build(wire(world, network)), str(outer), str(inner6))


def heard(where: socket.socket, patience: float = HEARD) -> tuple[str, int] | None:
    """Who wrote to this socket, within that time."""
    where.settimeout(patience)
    try:
        _, who = where.recvfrom(100)
    except TimeoutError:
        return None
    return who[0], who[1]


def outer_ports(box: NatBox, port: int = 4000) -> list[int]:
    """The outer ports of one inner socket towards X:1, X:2 and Y:1."""
    with ground(box) as here:
        inside = here.bind("host.a", "0.0.0.0", port)
        seen = []
        for address, number in ((X, 1), (X, 2), (Y, 1)):
            outside = here.bind(INTERNET, address, number)
            inside.sendto(b"hello", (address, number))
            who = heard(outside)
            assert who is not None and who[0] == here.outer
            seen.append(who[1])
        return seen


@pytest.mark.parametrize("ports", list(Ports))
def test_endpoint_independent_mapping_uses_one_port_for_everybody(ports: Ports) -> None:
    one, two, three = enclosed(lambda: outer_ports(NatBox("nat", mapping=EI, ports=ports)))

    assert one == two == three
    assert (one == 4000) is (ports is Ports.PRESERVING)


@pytest.mark.parametrize("ports", list(Ports))
def test_address_dependent_mapping_uses_one_port_for_each_address(ports: Ports) -> None:
    one, two, three = enclosed(lambda: outer_ports(NatBox("nat", mapping=AD, ports=ports)))

    assert one == two != three


@pytest.mark.parametrize("ports", list(Ports))
def test_address_and_port_dependent_mapping_uses_a_port_for_each_endpoint(ports: Ports) -> None:
    seen = enclosed(lambda: outer_ports(NatBox("nat", mapping=APD, ports=ports)))

    assert len(set(seen)) == 3
    if ports is Ports.SEQUENTIAL:
        assert seen == [seen[0], seen[0] + 1, seen[0] + 2]
    if ports is Ports.PRESERVING:
        assert seen[0] == 4000, "the first keeps its port"


def who_gets_in(box: NatBox) -> dict[str, bool]:
    """Which of these reach an inner socket that has written to X:1 only."""
    with ground(box) as here:
        inside = here.bind("host.a", "0.0.0.0", 4000)
        same = here.bind(INTERNET, X, 1)
        inside.sendto(b"hello", (X, 1))
        mapped = heard(same)
        assert mapped is not None
        others = {"same": same, "other port": here.bind(INTERNET, X, 2), "other address": here.bind(INTERNET, Y, 1)}
        answer: dict[str, bool] = {}
        for who, outside in others.items():
            outside.sendto(b"may I", mapped)
            answer[who] = heard(inside, HEARD if who == "same" else SILENT) is not None
        return answer


ADMITTED = {
    EI: {"same": True, "other port": True, "other address": True},
    AD: {"same": True, "other port": True, "other address": False},
    APD: {"same": True, "other port": False, "other address": False},
}


@pytest.mark.parametrize(("mapping", "filtering"), list(product(Mapping, Mapping)))
def test_filtering_is_independent_of_mapping(mapping: Mapping, filtering: Mapping) -> None:
    assert enclosed(lambda: who_gets_in(NatBox("nat", mapping=mapping, filtering=filtering))) == ADMITTED[filtering]


@pytest.mark.parametrize("filtering", list(Mapping))
def test_ipv6_is_routed_behind_the_same_filter(filtering: Mapping) -> None:
    def measure() -> dict[str, bool]:
        with ground(NatBox("nat", filtering=filtering)) as here:
            inside = here.bind("host.a", "::", 4000)
            same = here.bind(INTERNET, X6, 1)
            inside.sendto(b"hello", (X6, 1))
            assert heard(same) == (here.a6, 4000), "no address is translated"
            others = {
                "same": same,
                "other port": here.bind(INTERNET, X6, 2),
                "other address": here.bind(INTERNET, Y6, 1),
            }
            answer: dict[str, bool] = {}
            for who, outside in others.items():
                outside.sendto(b"may I", (here.a6, 4000))
                answer[who] = heard(inside, HEARD if who == "same" else SILENT) is not None
            return answer

    assert enclosed(measure) == ADMITTED[filtering]


def test_two_inner_hosts_with_the_same_port_get_different_ones() -> None:
    def measure() -> tuple[int, int]:
        with ground(NatBox("nat")) as here:
            outside = here.bind(INTERNET, X, 1)
            seen = []
            for host in ("host.a", "host.b"):
                here.bind(host, "0.0.0.0", 51820).sendto(b"hello", (X, 1))
                who = heard(outside)
                assert who is not None
                seen.append(who[1])
            return seen[0], seen[1]

    first, second = enclosed(measure)
    assert first == 51820 != second


def test_an_answer_to_who_came_in_leaves_by_the_mapping() -> None:
    def measure() -> tuple[bool, bool]:
        with ground(NatBox("nat", filtering=EI)) as here:
            inside, x, y = (
                here.bind("host.a", "0.0.0.0", 4000),
                here.bind(INTERNET, X, 1),
                here.bind(INTERNET, Y, 1),
            )
            inside.sendto(b"hello", (X, 1))
            mapped = heard(x)
            assert mapped is not None
            y.sendto(b"may I", mapped)
            who = heard(inside)
            assert who == (Y, 1)
            inside.sendto(b"do", who)
            return heard(y) == mapped, True

    assert enclosed(measure) == (True, True)


@pytest.mark.parametrize("hairpin", [True, False])
@pytest.mark.parametrize("filtering", list(Mapping))
def test_hairpin_lets_two_inner_hosts_meet_by_their_outer_endpoints(hairpin: bool, filtering: Mapping) -> None:
    def measure() -> tuple[tuple[str, int] | None, bool]:
        with ground(NatBox("nat", hairpin=hairpin, filtering=filtering)) as here:
            a, b, x = (
                here.bind("host.a", "0.0.0.0", 4000),
                here.bind("host.b", "0.0.0.0", 4001),
                here.bind(INTERNET, X, 1),
            )
            mapped = []
            for inside in (a, b):
                inside.sendto(b"hello", (X, 1))
                who = heard(x)
                assert who is not None
                mapped.append(who)
            a.sendto(b"to b", mapped[1])
            first = heard(b, HEARD if hairpin and filtering is EI else SILENT)
            b.sendto(b"to a", mapped[0])
            return heard(a, HEARD if hairpin else SILENT), first is not None

    met, at_once = enclosed(measure)
    assert (met is not None) is hairpin
    assert at_once is (hairpin and filtering is EI), "b has written to a by now, and only then may a write to b"
    if met is not None:
        assert met[1] == 4001 and not met[0].startswith("100.64."), "REQ-9: seen with the external address"


def test_a_mapping_is_forgotten_after_its_timeout() -> None:
    def measure() -> bool:
        with ground(NatBox("nat", filtering=EI, timeout=1)) as here:
            inside, x = here.bind("host.a", "0.0.0.0", 4000), here.bind(INTERNET, X, 1)
            inside.sendto(b"hello", (X, 1))
            mapped = heard(x)
            assert mapped is not None
            stranger = here.bind(INTERNET, Y, 1)
            stranger.sendto(b"are you there", mapped)
            assert heard(inside) is not None
            for port in range(2, 100):  # each a flow of its own: what comes in keeps no mapping alive
                stranger = here.bind(INTERNET, Y, port)
                stranger.sendto(b"are you there", mapped)
                if heard(inside, SILENT) is None:
                    return port > 2
                assert heard(x, 0.05) is None
            return False

    assert enclosed(measure)


def test_nats_can_be_chained() -> None:
    def measure() -> tuple[str, str]:
        key = PublicKey("A" * 43 + "=")
        boxes = (NatBox("cgnat", mapping=APD, ports=Ports.RANDOM), NatBox("box"))
        lab = Lab(nats=boxes, place=(("a", ("cgnat", "box")),))
        network = Network("nats", OVERLAY, (Host("a", key),), lab=lab)
        world = place_world(network, None)
        spaces = build(wire(world, network))
        here = Ground(spaces, str(world.nat_by_name["cgnat"].attachment.address(Family.IPV4)), "")
        outside = here.bind(INTERNET, X, 1)
        here.bind("host.a", "0.0.0.0", 4000).sendto(b"hello", (X, 1))
        who = heard(outside)
        assert who is not None
        return who[0], here.outer

    seen, outer = enclosed(measure)
    assert seen == outer


def test_packets_are_lost_as_the_file_says() -> None:
    def measure() -> int:
        key = PublicKey("A" * 43 + "=")
        plain = Network("lossy", OVERLAY, (Host("a", key),), lab=Lab(place=(("a", ()),)))
        assert plain.lab is not None
        network = replace(plain, lab=replace(plain.lab, links=(LabLink("a", loss=30),)))
        here = Ground(build(wire(place_world(network, None), network)), "", "")
        outside, inside = here.bind(INTERNET, X, 1), here.bind("host.a", "0.0.0.0", 4000)
        count = 0
        for at in range(500):
            inside.sendto(b"hello", (X, 1))
            if at % 50 == 49:  # before the socket's buffer is full
                while heard(outside, 0.05) is not None:
                    count += 1
        return count

    assert 280 <= enclosed(measure) <= 420, "30 % of 500, give or take six standard deviations"
