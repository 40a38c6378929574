"""Simulated NATs do what RFC 4787's words say, and hosts behind any two of them meet exactly where theory says so."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product
from random import Random

import pytest

from warren.model.lab import Mapping, Ports
from warren.proto.address import Address
from warren.proto.internet import Host, Internet, Link
from warren.proto.nat import Behaviour, Nat
from warren.proto.theory import meets

INSIDE = Address.of("192.168.1.2", 51820)
OUTSIDE = Address.of("198.51.100.1", 0)
FAR = [Address.of("203.0.113.1", 1000), Address.of("203.0.113.1", 2000), Address.of("203.0.113.2", 1000)]
INDEPENDENT, ADDRESS, BOTH = Mapping


def nat(**how: object) -> Nat:
    return Nat(Behaviour(**how), OUTSIDE, Random(1))  # type: ignore[arg-type]


# --- one box ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mapping", "same"), [(INDEPENDENT, 1), (ADDRESS, 2), (BOTH, 3)])
@pytest.mark.parametrize("ports", Ports)
def test_mapping(mapping: Mapping, same: int, ports: Ports) -> None:
    box = nat(mapping=mapping, ports=ports)
    seen = [box.out(INSIDE, far, 0) for far in FAR]

    assert None not in seen and len(set(seen)) == same
    assert [box.out(INSIDE, far, 1) for far in FAR] == seen


@pytest.mark.parametrize(("filtering", "come_in"), [(INDEPENDENT, [1, 1, 1]), (ADDRESS, [1, 1, 0]), (BOTH, [1, 0, 0])])
def test_filtering(filtering: Mapping, come_in: list[int]) -> None:
    box = nat(filtering=filtering)
    outside = box.out(INSIDE, FAR[0], 0)
    assert outside is not None

    assert [box.into(far, outside, 1) == INSIDE for far in FAR] == [bool(one) for one in come_in]
    assert box.into(FAR[0], Address(outside.ip, 9), 1) is None


def test_ports() -> None:
    others = [Address.of(f"192.168.1.{n}", 51820) for n in range(2, 40)]
    preserving, sequential, random = ([nat(ports=how).out(one, FAR[0], 0) for one in others] for how in Ports)
    numbers = [[one.port for one in ports if one] for ports in (preserving, sequential, random)]

    assert all(len(set(ports)) == len(others) for ports in numbers) or numbers[0] == [51820] * len(others)
    box = nat(ports=Ports.SEQUENTIAL)
    row = [one.port for one in (box.out(inside, FAR[0], 0) for inside in others) if one]
    assert row == list(range(row[0], row[0] + len(others)))
    box = nat(ports=Ports.PRESERVING)
    kept = [one.port for one in (box.out(inside, FAR[0], 0) for inside in others) if one]
    assert kept[0] == 51820 and len(set(kept)) == len(others)


def test_a_mapping_ends_without_packets_from_inside() -> None:
    box = nat(timeout=30.0, ports=Ports.RANDOM)
    outside = box.out(INSIDE, FAR[0], 0)
    assert outside is not None
    assert box.into(FAR[0], outside, 30) == INSIDE
    assert box.into(FAR[0], outside, 30.5) is None  # what comes from outside keeps nothing open

    again = box.out(INSIDE, FAR[0], 31)

    assert again is not None and again != outside
    assert box.into(FAR[0], outside, 31) is None


def test_a_port_that_went_to_another_stays_with_it() -> None:
    box, other = nat(timeout=30.0), Address.of("192.168.1.3", 51820)
    box.out(INSIDE, FAR[0], 0)
    assert box.out(other, FAR[0], 40) == Address(OUTSIDE.ip, 51820)
    moved = box.out(INSIDE, FAR[0], 41)

    assert moved is not None and moved.port != 51820
    assert box.into(FAR[0], Address(OUTSIDE.ip, 51820), 42) == other


def test_a_full_table_takes_no_more_until_something_ends() -> None:
    box = nat(most=10, mapping=BOTH, timeout=30.0)
    many = [Address.of("203.0.113.9", port) for port in range(1, 30)]

    assert [box.out(INSIDE, far, 0) is None for far in many] == [False] * 10 + [True] * 19
    assert box.mappings == 10
    assert box.out(INSIDE, many[20], 31) is not None and box.mappings == 1


# --- worlds -------------------------------------------------------------------------------------------------


class Talker:
    """Sends to where it is told and answers whoever speaks: punching in its barest form."""

    def __init__(self, host: Host, name: bytes) -> None:
        self.host, self.name = host, name
        self.observed: Address | None = None
        self.places: set[Address] = set()
        self.met: set[Address] = set()  # places that answered what was sent to them, from there
        host.heard = self.hear

    def hear(self, data: bytes, source: Address, port: int, now: float) -> None:
        word, _, rest = data.partition(b" ")
        if word == b"you":
            ip, number = rest.decode().rsplit(" ", 1)
            self.observed = Address.of(ip, int(number))
        elif word == b"probe":
            self.places.add(source)
            self.host.send(b"pong " + rest, source, 51820)
        elif word == b"pong" and rest.decode() == str(source):
            self.met.add(source)

    def probe(self) -> None:
        for place in tuple(self.places):
            self.host.send(b"probe " + str(place).encode(), place, 51820)


def serve(host: Host) -> None:
    def answer(data: bytes, source: Address, port: int, now: float) -> None:
        host.send(f"you {source.ip} {source.port}".encode(), source, port)

    host.heard = answer


def meeting(internet: Internet, a: Talker, b: Talker, server: Address, seconds: float = 3.0) -> bool:
    """Have both learn their outside addresses, then send to each other; says whether both met."""
    for one in (a, b):
        one.observed = None
        one.host.send(b"who am I", server, 51820)
    internet.run(lambda: bool(a.observed and b.observed), 1.0)
    for one, other in ((a, b), (b, a)):
        if other.observed:
            one.places.add(other.observed)
    for n in range(int(seconds / 0.1)):
        for one in (a, b):
            internet.at(internet.now + 0.1 * n, one.probe)
    return internet.run(lambda: bool(a.met and b.met), seconds)


def world(seed: int = 1) -> tuple[Internet, Address]:
    internet = Internet(Random(seed))
    serve(internet.host(internet.root, ip_address("203.0.113.1"), ip_address("2001:db8::1")))
    return internet, Address.of("203.0.113.1", 3478)


def behind(internet: Internet, number: int, how: Behaviour, link: Link | None = None) -> Talker:
    realm = internet.realm(how, ip_address(f"198.51.100.{number}"))
    return Talker(internet.host(realm, ip_address(f"192.168.1.{number}"), link=link), b"%d" % number)


KINDS = list(product(Mapping, Mapping))


def test_all_81_pairs_of_nats_meet_where_theory_says() -> None:
    wrong = []
    for one, other in product(KINDS, KINDS):
        internet, server = world()
        a = behind(internet, 1, Behaviour(*one, ports=Ports.RANDOM))
        b = behind(internet, 2, Behaviour(*other, ports=Ports.RANDOM))
        met = meeting(internet, a, b, server)
        if met != meets(Behaviour(*one), Behaviour(*other)):
            wrong.append((one, other, met))

    assert not wrong


def test_theory_can_be_told_by_hand() -> None:
    """The well known corners of that table."""
    cone, restricted, symmetric = (
        Behaviour(*kind) for kind in ((INDEPENDENT, INDEPENDENT), (INDEPENDENT, BOTH), (BOTH, BOTH))
    )

    assert meets(restricted, restricted) and meets(cone, symmetric)
    assert not meets(restricted, symmetric) and not meets(symmetric, symmetric)


@pytest.mark.parametrize("hairpin", [True, False])
def test_behind_one_box_the_outside_address_needs_hairpin(hairpin: bool) -> None:
    internet, server = world()
    home = internet.realm(Behaviour(hairpin=hairpin), ip_address("198.51.100.1"))
    a, b = (Talker(internet.host(home, ip_address(f"192.168.1.{n}")), b"%d" % n) for n in (2, 3))

    assert meeting(internet, a, b, server) is hairpin


def test_carriers_nat_two_homes_meet_by_its_hairpin_only() -> None:
    for hairpin in (True, False):
        internet, server = world()
        carrier = internet.realm(Behaviour(hairpin=hairpin), ip_address("198.51.100.1"))
        homes = [internet.realm(Behaviour(), ip_address(f"100.64.0.{n}"), carrier) for n in (2, 3)]
        a, b = (Talker(internet.host(home, ip_address("192.168.1.2")), b"x") for home in homes)

        assert meeting(internet, a, b, server) is hairpin


def test_ipv6_is_filtered_and_not_translated() -> None:
    internet, _ = world()
    homes = [internet.realm(Behaviour(), ip_address(f"198.51.100.{n}")) for n in (1, 2)]
    ips = [ip_address(f"2001:db8:{n}::2") for n in (1, 2)]
    a, b = (Talker(internet.host(home, ip), b"x") for home, ip in zip(homes, ips, strict=True))
    a.host.send(b"probe", Address(ips[1], 51820), 51820)
    internet.run(lambda: False, 1.0)
    assert not b.places

    assert meeting(internet, a, b, Address.of("2001:db8::1", 3478))
    assert a.observed == Address(ips[0], 51820)


def test_a_firewall_without_nat_lets_answers_in_and_nothing_else() -> None:
    internet, server = world()
    firewall = internet.realm(Behaviour(translates=False), ip_address("192.0.2.1"))
    a = Talker(internet.host(firewall, ip_address("192.0.2.7")), b"a")
    b = behind(internet, 2, Behaviour())

    b.host.send(b"probe", Address.of("192.0.2.7", 51820), 51820)
    internet.run(lambda: False, 1.0)
    assert not a.places
    assert meeting(internet, a, b, server) and a.observed == Address.of("192.0.2.7", 51820)


def test_where_udp_is_blocked_nothing_passes() -> None:
    internet, server = world()
    a, b = behind(internet, 1, Behaviour(blocks_udp=True)), behind(internet, 2, Behaviour())

    assert not meeting(internet, a, b, server) and a.observed is None


def test_the_same_lan_address_elsewhere_is_a_stranger() -> None:
    internet, _ = world()
    a, b, c = (behind(internet, n, Behaviour()) for n in (1, 2, 3))
    internet.move(c.host, a.host.realm, *b.host.ips)
    a.host.send(b"probe", Address(b.host.ips[0], 51820), 51820)
    internet.run(lambda: False, 1.0)

    assert c.places and not b.places


def test_a_host_that_moves_is_no_longer_where_it_was() -> None:
    internet, _ = world()
    lone = Talker(internet.host(internet.root, ip_address("192.0.2.7")), b"x")
    a = behind(internet, 1, Behaviour())
    internet.move(lone.host, internet.root, ip_address("192.0.2.8"))
    for place in ("192.0.2.7", "192.0.2.8"):
        a.host.send(b"probe", Address.of(place, 51820), 51820)
    internet.run(lambda: False, 1.0)

    assert internet.lost == 1 and lone.places == {Address.of("198.51.100.1", 51820)}


def test_a_box_that_restarts_maps_anew() -> None:
    internet, server = world()
    a, b = (behind(internet, n, Behaviour(ports=Ports.RANDOM)) for n in (1, 2))
    assert meeting(internet, a, b, server)
    before = a.observed
    assert a.host.realm.box
    a.host.realm.box.forget()
    for one in (a, b):
        one.places.clear()
        one.met.clear()

    assert meeting(internet, a, b, server) and a.observed != before


def test_loss_delay_and_reordering_follow_the_seed() -> None:
    def arrivals(seed: int) -> list[tuple[float, bytes]]:
        internet, _ = world(seed)
        link = Link(latency=0.02, jitter=0.05, loss=0.2)
        a = internet.host(internet.root, ip_address("192.0.2.1"), link=link)
        b = internet.host(internet.root, ip_address("192.0.2.2"), link=link)
        got: list[tuple[float, bytes]] = []
        b.heard = lambda data, source, port, now: got.append((now, data))
        for n in range(500):
            internet.at(n / 100, lambda n=n: a.send(b"%03d" % n, Address.of("192.0.2.2", 9), 9))  # type: ignore[misc]
        internet.run(lambda: False, 10.0)
        return got

    once = arrivals(7)

    assert once == arrivals(7) != arrivals(8)
    assert 260 < len(once) < 380  # 0.8² of 500
    assert [data for _, data in once] != sorted(data for _, data in once)
    assert all(0.04 <= now - int(data) / 100 <= 0.14 + 1e-9 for now, data in once)
