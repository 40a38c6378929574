"""Agents in simulated worlds: every pair is connected at once, directly where theory allows, and stays so."""

from __future__ import annotations

from itertools import combinations, product
from random import Random

import pytest

from warren.lab.simulated import Node, World
from warren.model.lab import Mapping, Ports
from warren.proto import message
from warren.proto.address import Address
from warren.proto.internet import Link
from warren.proto.message import Agree, Grant, Introduce, Pong, Probe, Switch
from warren.proto.nat import Behaviour
from warren.proto.pair import Pair
from warren.proto.path import Path
from warren.proto.states import TABLE, Input, State
from warren.proto.theory import meets, meets_by_many_ports

KINDS = [Behaviour(*kind, ports=Ports.RANDOM) for kind in product(Mapping, Mapping)]
CONE = Behaviour()
HARD = Behaviour(Mapping.ADDRESS_AND_PORT_DEPENDENT, ports=Ports.RANDOM)


def pair(one: Behaviour, other: Behaviour, seed: int = 1, link: Link | None = None) -> tuple[World, Node, Node]:
    world = World(seed)
    a, b = (world.node(world.box(how), link=link) for how in (one, other))
    world.start()
    return world, a, b


def both_direct(a: Node, b: Node) -> bool:
    return a.direct(b) and b.direct(a)


def meet(world: World, a: Node, b: Node, within: float) -> bool:
    return world.run(within, lambda: both_direct(a, b))


def connected(a: Node, b: Node) -> bool:
    return State.SEEKING not in (a.state(b), b.state(a)) and State.ABSENT not in (a.state(b), b.state(a))


def test_all_81_pairs_are_connected_at_once_and_direct_where_theory_says() -> None:
    wrong = []
    for one, other in product(KINDS, KINDS):
        world, a, b = pair(one, other)
        world.run(1.0)
        soon, direct = connected(a, b), meet(world, a, b, 8.0)
        if not soon or (direct != meets(one, other) and not (direct and meets_by_many_ports(one, other))):
            wrong.append((one, other, soon, direct))

    assert not wrong


@pytest.mark.parametrize("far", [CONE, HARD])
def test_a_port_that_is_kept_for_one_peer_finds_it_beside_the_port_for_all(far: Behaviour) -> None:
    """As the entry of a portal does: its exit knows it by that port alone."""
    world = World()
    a, b, c = (world.node(world.box(how)) for how in (CONE, far, CONE))
    kept = world.keep(a, b)
    world.start()
    direct = far is CONE

    assert world.run(8.0, lambda: connected(kept, b) and both_direct(a, c))
    assert not direct or meet(world, kept, b, 8.0)
    assert b.key.public not in a.agent.paths and list(kept.agent.paths) == [b.key.public]
    use = b.endpoints[a.key.public]
    kept.talk(b)
    b.talk(kept)
    a.talk(c)
    c.talk(a)
    assert world.run(5.0, lambda: a.key.public in b.got and b.key.public in kept.got and c.key.public in a.got)
    assert not direct or (use.endpoint is not None and use.endpoint.port != c.endpoints[a.key.public].endpoint.port)  # type: ignore[union-attr]

    kept.alive = False  # the device is another one: the port for all is not told of anything
    kept = world.keep(a, b)
    world.nodes.remove(kept)
    since = len(a.log)
    kept.start()
    b.got.clear()
    kept.talk(b)
    assert world.run(8.0, lambda: connected(kept, b) and a.key.public in b.got)
    assert len(a.log) == since


def test_a_host_that_was_busy_when_a_pair_was_offered_goes_direct_soon_after() -> None:
    """As one that starts with a hundred peers, each of which WireGuard has to be told of."""
    world, a, b = pair(CONE, CONE)
    one, other = (a, b) if a.key.public < b.key.public else (b, a)
    assert world.run(3.0, lambda: bool(one.agent.paths[other.key.public].pairs.answers))
    other.alive = False
    world.run(4.5)
    other.alive = True
    other.pump()

    assert meet(world, a, b, 10.0)


def test_idle_peers_cost_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a packet a second for each two, and no path is looked at but the one that it is of."""
    world = World()
    nodes = [world.node(world.box(CONE)) for _ in range(12)]
    world.start()
    assert world.run(8.0, lambda: all(both_direct(*pair) for pair in combinations(nodes, 2)))
    world.run(90.0)
    looked, sent, ask = [0], [0], Path.next_timer

    def counted(path: Path) -> float:
        looked[0] += 1
        return ask(path)

    def taken(data: bytes, source: Address, now: float, port: int = 0) -> None:
        sent[0] += 1
        receive(data, source, now, port)

    receive = nodes[0].agent.receive
    monkeypatch.setattr(Path, "next_timer", counted)
    monkeypatch.setattr(nodes[0].agent, "receive", taken)
    world.run(60.0)

    assert sent[0] < 60 * 11 / 2 and looked[0] < 12 * 3 * sent[0]


def test_the_time_to_a_direct_path() -> None:
    """Half of all pairs of endpoint-independent NATs are direct within a second, 99 of 100 within five."""
    times = []
    for seed in range(100):
        random = Random(seed)
        link = Link(latency=random.uniform(0.005, 0.06), jitter=0.01, loss=0.01)
        how = [Behaviour(filtering=random.choice(list(Mapping)), ports=random.choice(list(Ports))) for _ in range(2)]
        world, a, b = pair(how[0], how[1], seed, link)
        assert meet(world, a, b, 30.0)
        times.append(world.internet.now)
    times.sort()

    assert times[50] < 1.0 and times[98] < 5.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_mapping_is_told_by_two_servers(kind: Behaviour) -> None:
    world, a, _ = pair(kind, CONE)
    world.run(5.0)

    independent = kind.mapping is Mapping.ENDPOINT_INDEPENDENT
    assert (a.agent.mapping is Mapping.ENDPOINT_INDEPENDENT) == independent


def test_data_flows_both_ways_and_leaves_the_relay() -> None:
    world, a, b = pair(CONE, CONE)
    a.talk(b)
    b.talk(a)
    assert world.run(5.0, lambda: both_direct(a, b))
    world.run(1.0)
    carried = world.servers[0].carried
    world.run(60.0)

    assert world.servers[0].carried == carried
    assert all(one.gaps[other.key.public] < 0.5 for one, other in ((a, b), (b, a)))


def test_a_silent_pair_is_left_within_five_seconds_and_taken_again() -> None:
    world, a, b = pair(CONE, CONE)
    a.talk(b)
    b.talk(a)
    assert world.run(5.0, lambda: both_direct(a, b))
    world.run(20.0)
    assert a.host.realm.box
    a.host.realm.box.forget()  # the NAT was switched off and on: what the peer sends to is gone
    a.gaps.clear()
    b.gaps.clear()
    cut = world.internet.now
    a.host.realm.box.behaviour = Behaviour(ports=Ports.RANDOM)

    assert world.run(5.5, lambda: not a.direct(b) and not b.direct(a) and connected(a, b))
    assert world.run(60.0, lambda: both_direct(a, b) and world.internet.now > cut + 6)
    world.run(5.0)
    assert all(one.gaps[other.key.public] < 6.0 for one, other in ((a, b), (b, a)))


def test_all_servers_may_die_and_paths_live() -> None:
    world, a, b = pair(CONE, CONE)
    a.talk(b)
    b.talk(a)
    assert world.run(5.0, lambda: both_direct(a, b))
    for server in world.servers:
        server.alive = False
    a.gaps.clear()
    b.gaps.clear()
    world.run(300.0)

    assert both_direct(a, b) and max(a.gaps[b.key.public], b.gaps[a.key.public]) < 0.5
    for server in world.servers:
        server.start()
    world.run(120.0)
    assert both_direct(a, b) and max(a.gaps[b.key.public], b.gaps[a.key.public]) < 0.5


def test_a_relay_that_dies_is_replaced_by_another_servers() -> None:
    world = World(relays=2)
    a, b = (world.node(world.box(HARD)) for _ in range(2))
    world.start()
    a.talk(b)
    b.talk(a)
    world.run(5.0)
    used = {world_.endpoint.ip for world_ in (a.endpoints[b.key.public], b.endpoints[a.key.public]) if world_.endpoint}
    assert len(used) == 1
    next(server for server in world.servers if server.place.ip in used).alive = False
    world.run(60.0)

    assert all(world.internet.now - one.got[other.key.public] < 0.5 for one, other in ((a, b), (b, a)))
    assert used.isdisjoint(
        use.endpoint.ip for use in (a.endpoints[b.key.public], b.endpoints[a.key.public]) if use.endpoint
    )


def test_one_server_without_relays_is_enough_where_a_direct_path_exists() -> None:
    world = World(servers=1, relays=0)
    a, b = (world.node(world.box(CONE)) for _ in range(2))
    world.start()

    assert world.run(5.0, lambda: both_direct(a, b))


def test_an_agent_that_starts_anew_is_met_again() -> None:
    world, a, b = pair(CONE, CONE)
    a.talk(b)
    b.talk(a)
    assert world.run(5.0, lambda: both_direct(a, b))
    a.alive = False
    world.run(3.0)
    a.start()

    assert world.run(10.0, lambda: both_direct(a, b) and len(b.log) > 2)
    world.run(5.0)
    assert world.internet.now - a.got[b.key.public] < 0.5


def test_a_host_that_moves_is_found_again() -> None:
    world, a, b = pair(CONE, CONE)
    a.talk(b)
    b.talk(a)
    assert world.run(5.0, lambda: both_direct(a, b))
    world.internet.move(b.host, world.box(CONE), *b.host.ips)
    b.agent.moved(world.internet.now)
    b.pump()
    a.gaps.clear()
    b.gaps.clear()

    world.run(20.0)
    assert both_direct(a, b)
    assert all(one.gaps[other.key.public] < 6.0 for one, other in ((a, b), (b, a)))


def test_two_hosts_of_one_lan_meet_there() -> None:
    world = World()
    home = world.box(CONE)
    a, b = (world.node(home) for _ in range(2))
    world.start()
    assert world.run(5.0, lambda: both_direct(a, b))

    assert a.endpoints[b.key.public].endpoint == Address(b.host.ips[0], 51820)


def test_a_stranger_at_the_peers_lan_address_is_not_taken_for_it() -> None:
    world = World()
    homes = [world.box(CONE) for _ in range(2)]
    a, b = (world.node(home, "192.168.1.7" if n else "192.168.1.2") for n, home in enumerate(homes))
    stranger = world.node(homes[0], "192.168.1.7")
    world.start()
    assert world.run(5.0, lambda: both_direct(a, b) and both_direct(a, stranger))

    assert a.endpoints[stranger.key.public].endpoint == Address(stranger.host.ips[0], 51820)
    assert a.endpoints[b.key.public].endpoint != Address(b.host.ips[0], 51820)


def test_ipv6_is_taken_where_nats_are_hard() -> None:
    world = World()
    a, b = (world.node(world.box(HARD), f"192.168.1.{n}", f"2001:db8:{n}::2") for n in (1, 2))
    world.start()

    assert world.run(5.0, lambda: both_direct(a, b))
    use = a.endpoints[b.key.public].endpoint
    assert use and use.ip.version == 6


# --- random worlds --------------------------------------------------------------------------------------------


def draw_world(seed: int) -> tuple[World, list[tuple[Node, Behaviour | None]]]:
    """Three hosts: on the internet, behind a NAT of any kind, or behind two."""
    world = World(seed)
    random = Random(seed)
    placed: list[tuple[Node, Behaviour | None]] = []
    for _ in range(3):
        link = Link(random.uniform(0.001, 0.08), random.uniform(0, 0.03), random.choice((0.0, 0.0, 0.02, 0.1)))
        how = random.choice(KINDS)
        match random.randrange(0, 4):
            case 0:
                placed.append((world.node(link=link), None))
            case 1:
                carrier = world.box(how)
                home = world.box(Behaviour(filtering=random.choice(list(Mapping))), carrier)
                inner = home.box.behaviour if home.box else how
                placed.append((world.node(home, link=link), chained(how, inner)))
            case _:
                placed.append((world.node(world.box(how), link=link), how))
    world.start()
    return world, placed


def chained(outer: Behaviour, inner: Behaviour) -> Behaviour:
    """What a NAT behind a NAT looks like at worst: as strict as the stricter of the two, each in its own way."""
    order = list(Mapping)
    return Behaviour(
        max(outer.mapping, inner.mapping, key=order.index), max(outer.filtering, inner.filtering, key=order.index)
    )


OPEN = Behaviour(filtering=Mapping.ENDPOINT_INDEPENDENT)


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_in_random_worlds_every_pair_is_connected(first: int) -> None:
    """Direct where theory says so; through a relay in any case."""
    wrong = []
    for seed in range(first, first + 25):
        world, placed = draw_world(seed)
        pairs = list(combinations(placed, 2))
        expected = [(a, b) for (a, one), (b, other) in pairs if meets(one or OPEN, other or OPEN)]
        soon = world.run(10.0, lambda: all(connected(a, b) for (a, _), (b, _) in pairs))  # noqa: B023
        direct = world.run(90.0, lambda: all(both_direct(a, b) for a, b in expected))  # noqa: B023
        hopeless = [(a, b) for (a, one), (b, other) in pairs if not meets_by_many_ports(one or OPEN, other or OPEN)]
        single = [node for node, _ in placed if not (node.host.realm.outer and node.host.realm.outer.box)]
        over = [
            (a, b)
            for a, b in combinations(single, 2)
            if both_direct(a, b) and (a, b) in hopeless and (a, b) not in expected
        ]
        if not soon or not direct or over:
            wrong.append((seed, soon, direct, len(over)))

    assert not wrong


# --- any bytes ------------------------------------------------------------------------------------------------


def test_whatever_comes_agents_go_on() -> None:
    """Mutated real packets from anywhere: refused in words, nothing grows, the path stays as it was."""
    world, a, b = pair(CONE, CONE)
    heard: list[tuple[bytes, Address]] = []
    take = a.host.heard

    def record(data: bytes, source: Address, port: int, now: float) -> None:
        heard.append((data, source))
        take(data, source, port, now)

    a.host.heard = record
    assert meet(world, a, b, 5.0)
    world.run(60.0)
    random = Random(5)
    use = a.endpoints[b.key.public]
    for n in range(3000):
        data, source = random.choice(heard)
        changed = bytearray(data)
        for _ in range(random.randrange(0, 4)):
            changed[random.randrange(0, len(changed))] = random.randrange(0, 256)
        cut = random.randrange(0, len(data)) if n % 3 == 0 else len(data)
        somewhere = source if n % 2 else Address(source.ip, random.randrange(1, 65536))
        a.agent.receive(bytes(changed[:cut]), somewhere, world.internet.now)
    path = a.agent.paths[b.key.public]

    assert a.agent.refused.total() > 2900 and a.agent.events() == []
    assert len(path.pairs.places) < 5 and len(path.to_send(world.internet.now)) < 5
    world.run(30.0)
    assert both_direct(a, b) and a.endpoints[b.key.public] == use


def test_what_a_peer_or_a_server_says_may_still_be_nonsense() -> None:
    """Authentic, and at the edge of what its fields can hold: no exception, and nothing is sent where nobody is."""
    world, a, b = pair(CONE, CONE)
    assert meet(world, a, b, 5.0)
    path, theirs = a.agent.paths[b.key.public], b.agent.paths[a.key.public]
    assert theirs.pair
    last, place = 2**32 - 1, Address.of("224.0.0.1", 9)
    source = path.use.endpoint
    assert source
    for said in (Probe(last), Switch(last, 1, place, place), Agree(last), Pong(place), Switch(last, 0, place, place)):
        sealed = theirs.pair.seal(message.write(said, last))
        world.run(4.0)
        path.receive(sealed, source, world.internet.now)
        a.pump()
    path.lend(Grant(b.key.public, place, 1, bytes(32), last), bytes(32), world.internet.now)
    sent = path.to_send(world.internet.now)
    world.run(120.0)

    assert place not in {to for _, to in sent} and connected(a, b)


# --- the table ------------------------------------------------------------------------------------------------


def test_every_state_is_reached_and_left_and_every_input_leads_somewhere() -> None:
    assert {state for state, _ in TABLE} == set(State) == set(TABLE.values())
    assert {happened for _, happened in TABLE} == set(Input)


def test_the_peer_is_heard_by_the_relay_before_anybody_shakes_hands() -> None:
    """A handshake that begins while the other is not there yet is lost, and begun again only after 5 seconds."""
    world, a, b = pair(HARD, HARD)

    def heard() -> bool:
        return all(one.agent.paths[other.key.public].use.heard for one, other in ((a, b), (b, a)))

    assert world.run(2.0, heard)
    world.run(20)
    assert a.state(b) is b.state(a) is State.RELAYED  # the relay's own place is never taken for a direct one


def test_a_relay_that_carries_something_is_missed_sooner() -> None:
    world = World(3, servers=2, relays=2)
    a, b = world.node(world.box(HARD)), world.node(world.box(HARD))
    world.start()
    a.talk(b)
    b.talk(a)
    world.run(10)
    used = a.agent.paths[b.key.public].use.endpoint
    assert used is not None
    next(one for one in world.servers if one.place.ip == used.ip).alive = False
    began = world.internet.now

    assert world.run(30, lambda: a.agent.paths[b.key.public].use.endpoint not in (None, used))
    assert world.internet.now - began < 10


def test_servers_and_peers_can_change_while_it_runs() -> None:
    world, a, b = pair(CONE, CONE)
    assert meet(world, a, b, 5)
    path = a.agent.paths[b.key.public]

    a.agent.link([b.key.public, b"x" * 32])
    a.agent.serve_by([(world.servers[0].place, world.servers[0].key.public)], world.internet.now)
    world.run(30)

    assert a.agent.paths[b.key.public] is path and a.direct(b)
    assert a.agent.up == (world.servers[0].place,)
    a.agent.link([])
    assert a.agent.paths == {}


def test_a_relay_that_was_given_back_is_taken_again() -> None:
    """Its counters go on rising, or the relay would take the hellos for old ones that somebody repeats."""
    world, a, b = pair(HARD, HARD)
    assert world.run(2.0, lambda: connected(a, b))
    world.run(240.0)
    path = a.agent.paths[b.key.public]
    first = path.relay
    assert first is not None

    path._borrow(first.granted, first.server, world.internet.now)
    a.pump()

    assert path.relay is not first
    assert world.run(2.0, lambda: path.relay is not None and path.relay.answers)


def test_a_server_that_is_behind_does_not_part_two_hosts_that_start_together() -> None:
    """One server tells of the peer's new run, another of the last one first: the new one counts, with its counters."""
    world, a, b = pair(CONE, CONE)
    path, epoch = a.agent.paths[b.key.public], b.agent._epoch
    server = world.servers[0].key.public

    def introduce(run: int) -> None:
        a.agent._pushed(Introduce(b.key.public, run, 0, ()), server, world.internet.now)

    for run in (epoch, epoch ^ 1, epoch):
        introduce(run)
    assert path.pair is not None
    assert path.pair.tag_in == Pair(a.key, a.agent._epoch, b.key.public, epoch).tag_in

    assert meet(world, a, b, 5.0)
    for run in (epoch ^ 2, epoch):
        introduce(run)
    assert path.pair.tag_in == Pair(a.key, a.agent._epoch, b.key.public, epoch).tag_in
    assert meet(world, a, b, 90.0)
