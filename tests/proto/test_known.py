"""What the agent says of its paths: where each peer is, and why it is not elsewhere."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from warren.lab.simulated import PORT, Node, World
from warren.model.lab import Mapping, Ports
from warren.proto.address import Address, Candidate, Origin
from warren.proto.known import Known, KnownPeer, known_of
from warren.proto.nat import Behaviour
from warren.proto.shown import Seen, Shown, shown
from warren.proto.states import State
from warren.proto.tried import MOST, UNSURE, Fate, Trials, fate_of

EI, APD = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT
HOME, FIRM = Behaviour(EI, APD), Behaviour(APD, APD, Ports.RANDOM)
HERE, THERE = Address.of("198.51.100.7", 51820), Address.of("203.0.113.9", 4000)


def known(node: Node, world: World) -> Known:
    names = {one.key.public: (one.key.public.hex(), f"node{n}") for n, one in enumerate(world.nodes) if one is not node}
    return known_of(node.agent, names, PORT, world.internet.now)


def peer(node: Node, other: Node, world: World) -> KnownPeer:
    return next(one for one in known(node, world).peers if one.key == other.key.public.hex())


def test_a_direct_path_and_what_was_tried_beside_it() -> None:
    world = World()
    a, b = world.node(world.box(HOME)), world.node(world.box(HOME))
    world.start()
    assert world.run(20, lambda: a.direct(b) and b.direct(a))
    world.run(3)

    one = peer(a, b, world)
    fates = {place.origin: place for place in one.places}
    assert one.state is State.DIRECT and one.rtt and one.rtt < 0.2
    assert one.relay is not None and one.relay.answers and one.relay.rtt
    assert fates[Origin.OBSERVED].fate is Fate.USED and fates[Origin.OBSERVED].place == one.endpoint
    assert fates[Origin.HOST].fate is Fate.SILENT and fates[Origin.HOST].asked >= UNSURE
    nat = known(a, world).nat
    assert [(each.version, each.shown) for each in nat] == [(4, Shown.SAME)]


def test_who_is_relayed_knows_why() -> None:
    world = World()
    a, c = world.node(world.box(FIRM)), world.node(world.box(FIRM))
    world.start()
    assert world.run(20, lambda: a.state(c) is State.RELAYED)
    world.run(8)

    one = peer(a, c, world)
    assert one.relay is not None and one.endpoint == one.relay.place and one.rtt is None
    assert {place.fate for place in one.places} == {Fate.SILENT}
    assert [each.shown for each in known(c, world).nat] == [Shown.EACH]
    assert all(server.up for server in known(c, world).servers)


def test_a_path_that_was_lost_says_so() -> None:
    world = World()
    a, b = world.node(world.box(HOME)), world.node(world.box(HOME))
    world.start()
    assert world.run(20, lambda: a.direct(b) and b.direct(a))
    used = peer(a, b, world).endpoint
    a.talk(b)
    b.alive = False
    assert world.run(20, lambda: not a.direct(b))

    one = peer(a, b, world)
    assert next(place.fate for place in one.places if place.place == used) is Fate.LOST


@pytest.mark.parametrize(
    ("did", "fate"),
    [
        ("", Fate.SILENT),
        ("unsent", Fate.UNSENT),
        ("strayed", Fate.ELSEWHERE),
        ("answered", Fate.ANSWERS),
        ("answered failed", Fate.DECLINED),
        ("answered silent", Fate.FADED),
        ("failed", Fate.DECLINED),
        ("failed used", Fate.SILENT),
    ],
)
def test_each_fate(did: str, fate: Fate) -> None:
    trials = Trials()
    trials.asked(HERE)
    for word in did.split():
        match word:
            case "unsent":
                trials.unsent(HERE)
            case "strayed":
                trials.strayed(HERE)
            case "answered":
                trials.answered(HERE, 0.02)
            case "failed":
                trials.failed(HERE, Fate.DECLINED)
            case "used":
                trials.used(HERE)
            case "silent":
                for _ in range(UNSURE):
                    trials.asked(HERE)
    assert fate_of(trials.of(HERE), used=False, direct=False) is fate
    assert fate_of(trials.of(HERE), used=True, direct=True) is Fate.USED


def test_what_is_remembered_of_places_has_an_end() -> None:
    trials = Trials()
    for port in range(1, 3 * MOST):
        trials.asked(Address.of("198.51.100.1", port))
    trials.unsent(HERE)  # of nobody
    assert len(list(trials)) == MOST


def test_how_a_host_is_shown() -> None:
    other = Address.of("203.0.113.10", 4000)
    own = {ip_address("192.168.1.2")}
    assert shown([], own, 51820) is Shown.UNKNOWN
    assert shown([Seen(THERE, HERE)], own, 51820) is Shown.UNKNOWN
    assert shown([Seen(THERE, HERE), Seen(THERE, HERE)], own, 51820) is Shown.UNKNOWN
    assert shown([Seen(THERE, HERE), Seen(other, HERE)], own, 51820) is Shown.SAME
    assert shown([Seen(THERE, HERE), Seen(other, other)], own, 51820) is Shown.EACH
    assert shown([Seen(THERE, HERE)], {HERE.ip}, HERE.port) is Shown.NO_NAT
    assert shown([Seen(THERE, HERE)], {HERE.ip}, 1) is Shown.UNKNOWN


def test_a_probe_that_cannot_be_sent_is_noted() -> None:
    world = World()
    a, b = world.node(), world.node()
    world.start()
    nowhere = Candidate(Origin.HOST, Address.of("10.9.9.9", PORT))
    b.agent.offer((nowhere,), world.internet.now)
    world.run(1)
    a.agent.unsent(nowhere.address)
    trial = next(trial for place, trial in a.agent.paths[b.key.public].pairs.trials if place == nowhere.address)
    assert trial.unsent == 1
