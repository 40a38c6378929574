"""Hosts that find each other: how soon they meet, what dead paths cost, what agents and servers take.

The peer is natpunch-go, whose clients ask a server for every peer again and again; its figures are computed from its
protocol: a question of 93 bytes and an answer of 31 for each peer, asked one after the other, then a pause of 2 s, a
handshake of 109 and 53 bytes every 5 minutes, and 28 bytes of headers for each packet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from bench.crowd import MANY, Load, measure
from bench.enclosed import enclosed
from bench.fuzz import resident_kibibytes
from bench.row import Row
from warren.lab.matrix.faults import KINDS as FAULT_KINDS
from warren.lab.matrix.faults import play_all
from warren.lab.matrix.field import Field
from warren.lab.matrix.kinds import HOME, KINDS, Pairing
from warren.lab.matrix.report import times_of
from warren.lab.matrix.simulate import Met, run
from warren.lab.simulated import World
from warren.model.lab import Mapping
from warren.proto.address import Address, Candidate, Origin
from warren.proto.lend import Lender
from warren.proto.member import by_one_port
from warren.proto.nat import Behaviour
from warren.proto.noise import KeyPair
from warren.proto.rendezvous import Rendezvous
from warren.proto.visit import Visit

MEETINGS, WORLDS, CUTS = 12, 400, 3
MEMBERS, LINKS, BEATS = 2000, 10, 5
HEADERS = 28  # IPv4 and UDP
NETWORK = 200  # hosts
PAUSE, TRIP = 2.0, 0.02  # of natpunch-go between two rounds, and until a server answers


def rows() -> Iterator[Row]:
    """Measure in the lab, in simulated worlds, and at the server's machine alone."""
    yield from _meetings()
    yield from _agent(enclosed(measure))
    yield from _server()
    yield from _hours()


# --- how soon -------------------------------------------------------------------------------------------------------


def _meetings() -> Iterator[Row]:
    met = enclosed(_meet)
    times = times_of(met, len(met))
    assert times.first and times.direct
    yield Row(f"two behind home routers, {MEETINGS} times in the lab:", "")
    yield Row("  first byte both ways: p50 / slowest", f"{times.first[0]:.2f}/{times.first[1]:.2f} s", aim="≤ 1 s")
    yield Row("  directly: p50 / slowest", f"{times.direct[0]:.2f}/{times.direct[1]:.2f} s", aim="< 1 s, < 5 s")
    independent = [kind for kind in KINDS if kind.nats and all(_is_independent(kind.stand.boxes[n]) for n in (0, -1))]
    random = Random(4)
    drawn = [Pairing(*random.sample(independent, 2)) for _ in range(WORLDS)]
    times = times_of([run(pairing, seed) for seed, pairing in enumerate(drawn)], WORLDS)
    assert times.direct
    shown = f"{times.direct[0]:.2f}/{times.direct[1]:.2f} s"
    yield Row(f"  endpoint-independent, {WORLDS} worlds, directly: p50 / p99", shown, aim="< 1 s, < 5 s")
    silences = enclosed(lambda: [one.silence for one in play_all(Field(FAULT_KINDS), ("path cut",), CUTS)])
    yield Row("a dead path: the relay carries after", f"{max(silences):.1f} s", aim="≤ 5 s")


def _is_independent(box: Behaviour) -> bool:
    return box.mapping is Mapping.ENDPOINT_INDEPENDENT and not box.blocks_udp


def _meet() -> list[Met]:
    field = Field((HOME,))
    pairs = [Pairing(HOME, HOME)]
    return [tried.met for _ in range(MEETINGS) for batch in field.meet_all(pairs) for tried in batch]


# --- what it takes --------------------------------------------------------------------------------------------------


def _agent(load: Load) -> Iterator[Row]:
    yield Row(
        f"an agent with {MANY} idle peers ({load.direct} direct): memory", f"{load.mebibytes:.0f} MiB", aim="< 60"
    )
    yield Row("  processor time, its `wg` and `nft` included", f"{load.percent:.2f} %", aim="< 1 %")
    yield Row(
        f"  each of its two servers, with {MANY + 1} hosts: processor time of a host's hour", f"{load.server:.2f} s"
    )


@dataclass
class _Bench:
    """A server's machine and its members, back to back: only the server's time counts."""

    server: Rendezvous
    visits: dict[Address, Visit]
    now: float = 0.0
    seconds: float = 0.0
    messages: int = 0

    def beat(self) -> None:
        """Let everybody say what is due, and the server answer until nothing is left."""
        said = [(data, at) for at, visit in self.visits.items() for data in visit.to_send(self.now)]
        while said:
            began = time.process_time()
            for data, at in said:
                self.server.receive(data, at, self.now)
            answers = self.server.to_send(self.now)
            self.server.events()
            self.seconds += time.process_time() - began
            self.messages += len(said) + len(answers)
            self._take(answers)
            said = [(data, at) for at, visit in self.visits.items() for data in visit.to_send(self.now)]

    def _take(self, answers: list[tuple[bytes, Address]]) -> None:
        from warren.proto import packet
        from warren.proto.refusal import Refusal

        for data, to in answers:
            taken = packet.parse(data)
            if not isinstance(taken, Refusal):
                self.visits[to].receive(taken, self.now)


def _server() -> Iterator[Row]:
    random = Random(7)
    statics = [KeyPair.of(random.randbytes(32)) for _ in range(MEMBERS)]
    keys = [one.public for one in statics]
    links: dict[bytes, frozenset[bytes]] = {
        key: frozenset(keys[(at + step) % MEMBERS] for step in range(-LINKS // 2, LINKS // 2 + 1) if step)
        for at, key in enumerate(keys)
    }
    own, place = KeyPair.of(random.randbytes(32)), Address.of("203.0.113.1", 51819)
    visits = {
        Address.of(f"10.{at // 250}.{at % 250}.1", 51820): Visit(static, place, own.public, at + 1, random.randbytes)
        for at, static in enumerate(statics)
    }
    for at, visit in visits.items():
        visit.offer((Candidate(Origin.HOST, at),), 0.0)
    before = resident_kibibytes()
    bench = _Bench(
        Rendezvous(
            own, by_one_port(links), random.randbytes, Lender((place.ip,), range(30000, 50000), random.randbytes)
        ),
        visits,
    )
    for _ in range(8):
        bench.beat()
        bench.now += 0.5
    held = sum(visit.up for visit in visits.values())
    grown = (resident_kibibytes() - before) / MEMBERS
    rate = bench.messages / bench.seconds
    yield Row(
        f"a server: members held, {LINKS} links each, of {MEMBERS:,}",
        f"{held:,}",
        aim=f"{grown:.1f} KiB each, the members' own side included",
    )
    yield Row("  while all of them register: messages a second and core, without sockets", f"{rate:,.0f}")
    bench.seconds, bench.messages = 0.0, 0
    for _ in range(BEATS):
        bench.now += 21.0
        bench.beat()
    rate = bench.messages / bench.seconds
    yield Row("  signs of life and their answers: messages a second and core, without sockets", f"{rate:,.0f}")
    hosts = bench.messages / bench.seconds / 2 * 20
    yield Row("  so many idle hosts keep a core busy", f"{hosts:,.0f}")


# --- an hour of a network -------------------------------------------------------------------------------------------


def _hours() -> Iterator[Row]:
    """Tell what a host costs by two networks of different size: a share of its own, and one for each peer."""
    small, large = (_hour(hosts) for hosts in (4, 8))
    each = tuple((b - a) / 4 for a, b in zip(small, large, strict=True))
    alone = tuple(a - 3 * step for a, step in zip(small, each, strict=True))
    to_server, processor, between = (one + (NETWORK - 1) * step for one, step in zip(alone, each, strict=True))
    theirs = _natpunch_hour()
    yield Row(f"an idle network of {NETWORK}, each with a path to each, a host's hour:", "")
    yield Row(
        "  bytes to and from servers (natpunch-go -c)",
        f"{to_server / 1e6:.2f} MB",
        f"{theirs / 1e6:.1f} MB",
        f"{theirs / to_server:.0f}×",
        "less",
    )
    yield Row("  a server's processor time, simulated", f"{processor:.2f} s")
    yield Row("  bytes between hosts: probes of the paths in use", f"{between / 1e6:.2f} MB")


def _hour(hosts: int, seconds: float = 1200.0) -> tuple[float, float, float]:
    """Simulate: bytes to and from two servers, the seconds that one computes, bytes between hosts; a host's hour."""
    world = World(3, servers=2, relays=2)
    nodes = [world.node(world.box(Behaviour())) for _ in range(hosts)]
    world.start()
    world.run(120.0)
    count = {"server": 0, "peer": 0}
    spent = 0.0
    places = {server.place.ip for server in world.servers}
    for node in nodes:
        send = node.host.send

        def counting(data: bytes, to: Address, port: int, send: object = send) -> None:
            count["server" if to.ip in places else "peer"] += len(data) + HEADERS
            send(data, to, port)  # type: ignore[operator]

        node.host.send = counting  # type: ignore[method-assign]
    for server in world.servers:
        answer, heard = server.host.send, server.heard

        def answering(data: bytes, to: Address, port: int, answer: object = answer) -> None:
            count["server"] += len(data) + HEADERS
            answer(data, to, port)  # type: ignore[operator]

        def timed(data: bytes, source: Address, port: int, now: float, heard: object = heard) -> None:
            nonlocal spent
            began = time.perf_counter()
            heard(data, source, port, now)  # type: ignore[operator]
            spent += time.perf_counter() - began

        server.host.send, server.host.heard = answering, timed  # type: ignore[method-assign]
    world.run(seconds)
    share = 3600.0 / seconds / hosts
    return count["server"] * share, spent * share / len(world.servers), count["peer"] * share


def _natpunch_hour() -> float:
    peers = NETWORK - 1
    rounds = 3600.0 / (PAUSE + peers * TRIP)
    questions = rounds * peers * (93 + 31 + 2 * HEADERS)
    return questions + 12 * (109 + 53 + 2 * HEADERS)
