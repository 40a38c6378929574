"""What `warren netcheck` finds out, behind every kind of NAT there is; and what servers answer to whom."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proto.parts import addresses, mutated
from warren.model.lab import Mapping, Ports
from warren.proto import asking, packet
from warren.proto.address import Address
from warren.proto.asking import ALL, ASKS, Answers, question, read
from warren.proto.check import GIVES_UP, TURNS, Asked, Check, Checked, Filtering, Hairpin
from warren.proto.checked import Kind, Report, Tried, Version, findings
from warren.proto.internet import Internet, Link, Realm
from warren.proto.nat import Behaviour
from warren.proto.noise import KeyPair, NoiseError
from warren.proto.packet import Ask, Told
from warren.proto.refusal import Refusal
from warren.proto.shown import Shown

KEY, OTHER = KeyPair.of(b"k" * 32), KeyPair.of(b"o" * 32)
HERE, PLACE = Address.of("198.51.100.7", 4000), Address.of("203.0.113.1", 51819)
PORTS = 4000, 4001
EI, APD = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT


class Ground:
    """Servers on the internet, and one host that checks its way out to them."""

    def __init__(self, box: Behaviour | None, servers: int = 2, loss: float = 0.0, seed: int = 1) -> None:
        self.random = Random(seed)
        self.internet = Internet(self.random)
        self.places = [self.serve(number + 1) for number in range(servers)]
        realm: Realm | None = None
        if box is not None:
            realm = self.internet.realm(box, ip_address("198.51.100.1"))
        own = ip_address("192.0.2.9" if box is None or not box.translates else "192.168.1.2")
        self.host = self.internet.host(realm or self.internet.root, own, link=Link(0.02, loss=loss))
        self.own = [Address(own, port) for port in PORTS]

    def serve(self, number: int) -> Address:
        host = self.internet.host(self.internet.root, ip_address(f"203.0.113.{number}"))
        answers = Answers(KEY, self.random.randbytes)

        def heard(data: bytes, source: Address, port: int, now: float) -> None:
            ask = packet.parse(data)
            assert isinstance(ask, Ask) and port == 51819
            told = answers.answer(ask, source, now)
            assert isinstance(told, Told)
            assert len(packet.write(told)) <= len(data)
            host.send(packet.write(told), source, 50123 if ask.elsewhere else port)

        host.heard = heard
        return Address(host.ips[0], 51819)

    def check(self) -> Checked:
        machine = Check([(place, KEY.public) for place in self.places], self.own, self.random.randbytes, 0.0)

        def pump() -> None:
            for by, data, to in machine.to_send(self.internet.now):
                self.host.send(data, to, PORTS[by])
            due = machine.next_timer()
            if due != float("inf"):
                self.internet.at(due, pump)

        def heard(data: bytes, source: Address, port: int, now: float) -> None:
            machine.receive(PORTS.index(port), data, source, now)
            pump()

        self.host.heard = heard
        pump()
        assert self.internet.run(lambda: machine.over, 2 * GIVES_UP + TURNS)
        return machine.found()


@pytest.mark.parametrize(
    ("mapping", "filtering", "ports", "hairpin"), [*product(Mapping, Mapping, Ports, (False, True))]
)
def test_every_kind_of_nat_is_told(mapping: Mapping, filtering: Mapping, ports: Ports, hairpin: bool) -> None:
    found = Ground(Behaviour(mapping, filtering, ports, hairpin=hairpin)).check()

    assert found.shown is (Shown.SAME if mapping is EI else Shown.EACH)
    assert found.filtering is (Filtering.STRICT if filtering is APD else Filtering.LOOSE)
    assert all(one.rtt and 0.05 < one.rtt < 0.07 and one.observed for one in found.servers)
    if ports is Ports.PRESERVING and mapping is EI:
        assert found.kept
    if mapping is EI:
        assert found.hairpin is (Hairpin.YES if hairpin else Hairpin.NO)
    else:
        assert found.hairpin in (Hairpin.UNKNOWN, Hairpin.YES)


def test_a_host_on_the_internet() -> None:
    found = Ground(None).check()
    assert (found.shown, found.kept, found.filtering) == (Shown.NO_NAT, True, Filtering.LOOSE)
    assert found.hairpin is Hairpin.NEEDLESS


def test_a_firewall_without_a_nat() -> None:
    found = Ground(Behaviour(translates=False)).check()
    assert (found.shown, found.filtering, found.hairpin) == (Shown.NO_NAT, Filtering.STRICT, Hairpin.NEEDLESS)


def test_one_server_cannot_tell_how_a_nat_maps() -> None:
    found = Ground(Behaviour(), servers=1).check()
    assert (found.shown, found.filtering) == (Shown.UNKNOWN, Filtering.STRICT)


def test_where_udp_is_blocked_nothing_is_claimed() -> None:
    found = Ground(Behaviour(blocks_udp=True)).check()
    assert found.shown is Shown.UNKNOWN and found.kept is None
    assert (found.filtering, found.hairpin) == (Filtering.UNKNOWN, Hairpin.UNKNOWN)
    assert all(one == Asked(one.place) for one in found.servers)


@pytest.mark.parametrize("seed", range(30))
def test_packets_may_be_lost(seed: int) -> None:
    """Each question is put four times: a tenth lost each way makes no NAT look stricter than it is."""
    found = Ground(Behaviour(EI, EI, hairpin=True), loss=0.1, seed=seed).check()
    assert found.shown in (Shown.SAME, Shown.UNKNOWN)
    assert found.filtering is Filtering.LOOSE


def test_a_server_that_lies_has_nothing_sent_to_everybody() -> None:
    """It is told where this host is seen; eight small packets go there, and none to a whole network."""
    machine = Check([(PLACE, KEY.public)], [HERE, HERE], Random(1).randbytes, 0.0)
    answers, nowhere = Answers(KEY, lambda size: b"n" * size), Address.of("255.255.255.255", 9)
    now, sent = 0.0, set()
    while not machine.over and now < 20:
        for by, data, to in machine.to_send(now):
            sent.add(to)
            ask = packet.parse(data)
            assert isinstance(ask, Ask)
            if not ask.elsewhere:
                told = answers.answer(ask, nowhere, now)
                assert isinstance(told, Told)
                machine.receive(by, packet.write(told), PLACE, now)
        now = max(now + 0.01, min(machine.next_timer(), now + 1))
    assert machine.over and sent == {PLACE} and machine.found().hairpin is Hairpin.UNKNOWN


# --- what a server answers ----------------------------------------------------------------------------------


@given(addresses, st.integers(0, 2**64 - 1))
def test_what_is_told_can_be_read(source: Address, number: int) -> None:
    ask = question(KEY.public, number)
    told = Answers(KEY, lambda size: b"n" * size).answer(ask, source, 1.0)
    assert isinstance(told, Told) and told.number == number
    assert len(packet.write(told)) <= len(packet.write(ask))
    where = read(told, ask, KEY.public)
    assert where.observed == source and where.proof
    for wrong in (question(KEY.public, number ^ 1), question(KEY.public, number, where.proof)):
        with pytest.raises(NoiseError):
            read(told, wrong, KEY.public)


def test_who_does_not_know_the_server_gets_nothing() -> None:
    answers = Answers(KEY, lambda size: b"n" * size)
    assert answers.answer(question(OTHER.public, 1), HERE, 1.0) is Refusal.MAC


def test_an_answer_from_elsewhere_needs_the_proof_of_that_very_address() -> None:
    answers = Answers(KEY, lambda size: b"n" * size)
    plain = question(KEY.public, 1)
    told = answers.answer(plain, HERE, 1.0)
    assert isinstance(told, Told)
    proof = read(told, plain, KEY.public).proof
    assert isinstance(answers.answer(question(KEY.public, 2, proof), HERE, 1.0), Told)
    assert answers.answer(question(KEY.public, 2, proof), PLACE, 1.0) is Refusal.FORGED
    assert answers.answer(question(KEY.public, 2, proof ^ 2), HERE, 1.0) is Refusal.FORGED


def test_a_source_and_all_sources_together_get_so_many_answers() -> None:
    answers = Answers(KEY, lambda size: b"n" * size)
    ask = question(KEY.public, 1)
    got = [answers.answer(ask, HERE, 1.0) for _ in range(ASKS + 5)]
    assert [isinstance(one, Told) for one in got] == [True] * ASKS + [False] * 5
    many = [answers.answer(ask, Address.of(f"198.18.{n // 250}.{n % 250}", 1), 1.0) for n in range(ALL)]
    assert sum(isinstance(one, Told) for one in many) == ALL - ASKS
    assert isinstance(answers.answer(ask, HERE, 2.0), Told)
    assert asking.SOURCES == 1024


# --- what is found, in words --------------------------------------------------------------------------------

SERVERS = (Tried("rv1:51819", PLACE, KEY.public), Tried("rv2:51819", Address.of("203.0.113.2", 51819), KEY.public))


def report(*servers: Asked, how: Shown = Shown.SAME, tcp: bool | None = None) -> Report:
    checked = Checked(servers, how, True, Filtering.STRICT, Hairpin.NO)
    ip = ip_address("192.168.1.2")
    return Report((Version(4, ip, SERVERS[: len(servers)], checked, tcp), Version(6, None)), (), True)


SILENT = [Asked(one.place) for one in SERVERS]
FINE = [Asked(one.place, HERE, 0.02) for one in SERVERS]


@pytest.mark.parametrize(
    ("given", "kinds", "says"),
    [
        (report(*FINE), [], ""),
        (report(*SILENT, tcp=True), [Kind.BLOCKED], "UDP is blocked here over IPv4: machines that answer by TCP"),
        (report(*SILENT, tcp=False), [Kind.NO_ANSWER], "no server by UDP"),
        (
            report(*(Asked(one.place, trouble="nobody listens there, says 203.0.113.1") for one in SERVERS)),
            [Kind.NO_SERVER],
            "nobody listens at UDP port 51819",
        ),
        (
            report(Asked(PLACE, trouble="forbidden, says 192.168.1.1"), SILENT[1]),
            [Kind.BLOCKED],
            "what is sent to servers is forbidden, says 192.168.1.1",
        ),
        (report(FINE[0], SILENT[1], how=Shown.UNKNOWN), [Kind.SILENT, Kind.ONE_SERVER], "rv2:51819 does not answer"),
        (report(*FINE, how=Shown.EACH), [Kind.PORT_FOR_EACH], "another port to each"),
        (Report((Version(4, None), Version(6, None))), [Kind.NO_WAY_OUT], "no way out"),
        (Report((Version(4, HERE.ip), Version(6, None)), ("rv1:51819",)), [Kind.NO_NAME], "rv1 stands for no address"),
    ],
)
def test_findings(given: Report, kinds: list[Kind], says: str) -> None:
    found = findings(given)
    assert [one.kind for one in found] == kinds
    assert says in "\n".join(one.says for one in found)
    assert all(one.remedy for one in found)
    assert given.ok is any(one.reached for one in given.versions)


@given(st.binary(max_size=120) | addresses.flatmap(lambda one: mutated(told_to(one))))
def test_whatever_comes_changes_nothing(data: bytes) -> None:
    """Forged, mutated or of another question: it is not taken, and nothing breaks."""
    machine = Check([(PLACE, KEY.public)], [HERE, HERE], lambda size: b"d" * size, 0.0)
    assert len(machine.to_send(0.0)) == 1
    machine.receive(0, data, PLACE, 0.1)
    found = machine.found()
    if data != told_to(HERE):
        assert found.servers[0].observed is None or read_by_us(data)


def told_to(source: Address) -> bytes:
    """What the server answers to the question that is waited for."""
    number = int.from_bytes(b"d" * 8)
    told = Answers(KEY, lambda size: b"n" * size).answer(question(KEY.public, number), source, 1.0)
    assert isinstance(told, Told)
    return packet.write(told)


def read_by_us(data: bytes) -> bool:
    """Say whether it is an authentic answer after all: a mutation may leave it as it was."""
    told = packet.parse(data)
    assert isinstance(told, Told)
    return read(told, question(KEY.public, told.number), KEY.public).proof != 0
