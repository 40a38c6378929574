"""NATs that show another port to each are passed by many ports: nearly always, within bounds, and back again."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from random import Random

import pytest

from warren.lab.simulated import Node, World
from warren.model.lab import Mapping, Ports
from warren.proto import message
from warren.proto.address import Address, Candidate, Origin
from warren.proto.birthday import AGAIN, KEPT, LASTS, PHASES, RATE, SPACED, Phase, Turn
from warren.proto.internet import Link
from warren.proto.look import Look
from warren.proto.message import Guess
from warren.proto.nat import Behaviour
from warren.proto.noise import KeyPair
from warren.proto.packet import Welcome
from warren.proto.refusal import Refusal
from warren.proto.states import State

INDEPENDENT, ADDRESS, BOTH = Mapping
EASY = Behaviour()
HARD = Behaviour(BOTH, ports=Ports.RANDOM)
OWN = Behaviour(BOTH, ports=Ports.PRESERVING)
ROW = Behaviour(BOTH, ports=Ports.SEQUENTIAL)


def pair(one: Behaviour, other: Behaviour, seed: int = 1, link: Link | None = None) -> tuple[World, Node, Node]:
    world = World(seed)
    a, b = (world.node(world.box(how), link=link) for how in (one, other))
    world.start()
    return world, a, b


def meet(world: World, a: Node, b: Node, within: float = 60.0) -> bool:
    return world.run(within, lambda: a.direct(b) and b.direct(a))


def attempts(a: Node, b: Node) -> int:
    return a.agent.paths[b.key.public].birthday.attempts


def sent_by(node: Node, to: Callable[[Address], bool]) -> list[float]:
    """Note when a host sends to such places from now on."""
    times: list[float] = []
    send = node.host.send

    def noted(data: bytes, place: Address, port: int) -> None:
        if to(place):
            times.append(node.internet.now)
        send(data, place, port)

    node.host.send = noted  # type: ignore[method-assign]
    return times


# --- that they meet -------------------------------------------------------------------------------------------


def test_one_hard_side_is_met_nearly_always() -> None:
    """The mark is 95 of 100; `./dev bench hard_nats` tries thousands."""
    missed = []
    for seed in range(40):
        random = Random(seed)
        link = Link(random.uniform(0.005, 0.08), random.uniform(0, 0.02), random.choice((0.0, 0.0, 0.02)))
        kinds = [Behaviour(random.choice((ADDRESS, BOTH)), ports=random.choice(list(Ports))), EASY]
        random.shuffle(kinds)
        world, a, b = pair(kinds[0], kinds[1], seed, link)
        if not meet(world, a, b, 40.0):
            missed.append(seed)

    assert len(missed) <= 2


@pytest.mark.parametrize(("one", "other"), [(ROW, ROW), (ROW, Behaviour(ADDRESS, ports=Ports.SEQUENTIAL)), (OWN, OWN)])
def test_two_whose_ports_can_be_foretold_are_met(one: Behaviour, other: Behaviour) -> None:
    """Also while others behind the same NATs open flows of their own, and the two rows move on unequally."""
    for seed in range(3):
        world = World(seed)
        boxes = [world.box(how) for how in (one, other)]
        a, b = (world.node(box) for box in boxes)
        strangers = [world.internet.host(box, ip_address("192.168.1.99")) for box in boxes]
        world.start()
        for n in range(60):
            for stranger, every in zip(strangers, (0.1, 0.13), strict=True):
                to = Address.of("203.0.113.1", 2000 + n)
                world.internet.at(n * every, lambda s=stranger, to=to: s.send(b"x", to, 5000))  # type: ignore[misc]

        assert meet(world, a, b, 30.0)


@pytest.mark.parametrize("other", [HARD, ROW, OWN])
def test_of_two_hard_sides_without_order_both_stay_on_the_relay(other: Behaviour) -> None:
    world, a, b = pair(HARD, other)

    assert not meet(world, a, b, 120.0)
    assert a.state(b) is b.state(a) is State.RELAYED
    assert attempts(a, b) == attempts(b, a) == 1


def test_nothing_is_tried_where_ordinary_probes_do() -> None:
    for one, other in ((EASY, EASY), (HARD, Behaviour(filtering=ADDRESS))):
        world, a, b = pair(one, other)
        world.run(60.0)

        assert a.direct(b) and attempts(a, b) == attempts(b, a) == 0 and not a.agent.bound


# --- what WireGuard sends by it -------------------------------------------------------------------------------


def test_data_goes_over_without_a_gap_and_back_within_five_seconds() -> None:
    world, a, b = pair(HARD, EASY)
    a.talk(b)
    b.talk(a)
    assert meet(world, a, b)
    world.run(1.0)
    (place, port), carried = next(iter(a.agent.bound.items())), world.servers[0].carried
    assert a.endpoints[b.key.public].endpoint == place and port != 51820 and not b.agent.bound
    world.run(100.0)
    assert world.servers[0].carried == carried
    assert all(one.gaps[other.key.public] < 0.5 for one, other in ((a, b), (b, a)))

    assert a.host.realm.box
    a.host.realm.box.forget()
    cut = world.internet.now

    assert world.run(5.5, lambda: State.DIRECT not in (a.state(b), b.state(a)))
    assert not a.agent.bound
    assert world.run(60.0, lambda: a.direct(b) and b.direct(a)) and world.internet.now - cut > 5
    assert all(one.gaps[other.key.public] < 6.0 for one, other in ((a, b), (b, a)))


def test_a_host_that_moves_to_an_easy_nat_is_met_by_its_own_port() -> None:
    world, a, b = pair(HARD, EASY)
    assert meet(world, a, b) and a.agent.bound
    world.internet.move(a.host, world.box(EASY), *a.host.ips)
    a.agent.moved(world.internet.now)
    a.pump()
    world.run(8.0)

    assert meet(world, a, b) and not a.agent.bound


# --- within bounds --------------------------------------------------------------------------------------------


def test_an_attempt_is_bounded_and_not_made_again_for_minutes() -> None:
    """What the hard side sends is lost here, so none succeeds."""
    world, a, b = pair(HARD, EASY)
    outside = a.host.realm.box._ip if a.host.realm.box else None
    a.agent.apart = list  # type: ignore[method-assign, assignment]
    times = sent_by(b, lambda place: place.ip == outside)
    world.run(AGAIN)

    many = [at for at in times if sum(abs(at - other) < 0.5 for other in times) > 20]
    assert RATE * LASTS * 0.9 <= len(many) <= RATE * LASTS + 10
    assert max(sum(at <= other < at + 1 for other in times) for at in times) <= RATE * 1.1
    assert max(many) - min(many) <= LASTS + 1 and attempts(a, b) == 1
    world.run(AGAIN + 60)
    assert attempts(a, b) == 2

    before = world.internet.now
    b.agent.moved(before)
    a.agent.moved(before)
    for node in (a, b):
        node.pump()
    assert world.run(SPACED + 10, lambda: attempts(a, b) == 3)


def test_a_peer_directs_nothing_at_others() -> None:
    """It says where it is seen; only where servers have seen it anything is tried."""
    world, a, b = pair(HARD, EASY)
    world.run(2.0)
    victim = Address.of("192.0.2.200", 53)
    hard, easy = (b, a) if b.key.public < a.key.public else (a, b)  # who asks
    asks = hard.agent.paths[easy.key.public]
    assert asks.controls and asks.relay and asks.pair
    times = sent_by(easy, lambda place: place.ip == victim.ip)
    told = easy.agent.paths[hard.key.public]
    for number, seen in ((5, victim), (6, Address.of("224.0.0.1", 9))):
        sealed = asks.pair.seal(message.write(Guess(number, 2, 1, seen), 0))
        world.run(SPACED + 1)
        told.receive(sealed, told.relay.place, world.internet.now)  # type: ignore[union-attr]
        easy.pump()
        world.run(5.0)

    assert not times


def test_what_comes_by_another_way_than_the_relay_begins_nothing() -> None:
    world, a, b = pair(EASY, EASY)
    assert meet(world, a, b)
    path, theirs = a.agent.paths[b.key.public], b.agent.paths[a.key.public]
    assert theirs.pair and path.use.endpoint
    sealed = theirs.pair.seal(message.write(Guess(1, 2, 0, Address.of("198.51.100.1", 9)), 0))

    assert path.receive(sealed, path.use.endpoint, world.internet.now) is Refusal.UNEXPECTED
    assert path.birthday.phase is Phase.RESTS


def test_a_server_says_itself_where_a_host_was_seen() -> None:
    world, a, b = pair(EASY, EASY)
    a.agent.offer((Candidate(Origin.OBSERVED, Address.of("192.0.2.200", 53)),), 0.0)
    world.run(10.0)
    told = b.agent.paths[a.key.public].candidates

    assert {one.address.ip for one in told if one.origin is Origin.OBSERVED} == {ip_address("198.51.100.1")}


# --- what a NAT gives next ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "step"), [(ROW, 1), (HARD, 0), (OWN, KEPT)])
def test_a_row_is_seen(how: Behaviour, step: int) -> None:
    world, a, b = pair(how, how)
    world.run(0.5)
    said: list[Guess] = []
    for one, other in ((a, b), (b, a)):
        birthday = one.agent.paths[other.key.public].birthday
        take = birthday.asked

        def noted(guess: Guess, ready: bool, now: float, take: Callable[[Guess, bool, float], None] = take) -> None:
            said.append(guess)
            take(guess, ready, now)

        birthday.asked = noted  # type: ignore[method-assign]
    world.run(6.0)

    assert [guess.step for guess in said] == [step, step]


def test_a_look_believes_the_server_alone() -> None:
    random = Random(1)
    look = Look(KeyPair.of(random.randbytes(32)), random.randbytes)
    server = Address.of("203.0.113.1", 51819)
    greetings = look.begin(server, KeyPair.of(random.randbytes(32)).public, 0.0)

    assert len({port for _, _, port in greetings}) == 3 and look.begin(server, b"", 0.5) == []
    assert look.receive(Welcome(1, 2, bytes(67)), server) is Refusal.UNKNOWN
    index = int.from_bytes(greetings[0][0][8:12])
    assert look.receive(Welcome(1, index, bytes(67)), Address.of("203.0.113.9", 1)) is Refusal.UNKNOWN
    assert look.receive(Welcome(1, index, bytes(67)), server) is Refusal.FORGED
    assert look.take(BOTH) is None


# --- the table ------------------------------------------------------------------------------------------------


def test_every_phase_is_reached_and_left_and_every_turn_leads_somewhere() -> None:
    assert {phase for phase, _ in PHASES} == set(Phase) == set(PHASES.values())
    assert {turn for _, turn in PHASES} == set(Turn)
