"""Pairs of kinds in simulated worlds: the same machines as in production, on a clock of their own, by the hundred.

Each run has its own delays (5 to 60 ms one way, a tenth as much jitter) and loses one packet in a hundred.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random

from warren.lab.matrix.kinds import Kind, Pairing
from warren.lab.simulated import PORT, Node, World
from warren.proto.internet import Link, Realm

SOON, JITTER, LOSS = (0.005, 0.06), 0.1, 0.01
EVERY = 0.02  # seconds between packets until the first has been answered
PATIENCE = 30.0  # seconds in which those that can must have met
LINGERS = 8.0  # seconds that those that cannot have for it, so that it would be seen if they could


@dataclass(frozen=True, slots=True)
class Met:
    """How one run ended: seconds to the first byte both ways, and to a direct path; None: it never was."""

    first: float | None
    direct: float | None


def run(pairing: Pairing, seed: int, lingers: float = LINGERS) -> Met:
    """Have the two meet in a world of their own."""
    random = Random(f"{pairing.name} {seed}")
    world = World(seed)
    one, other = stand(world, pairing, random)
    world.start()
    wanted = PATIENCE if pairing.direct else lingers if pairing.connects else 3.0
    first: list[float] = []
    direct: list[float] = []
    got = ((one, other), (other, one))

    def seen() -> bool:
        now = world.internet.now
        if not first and all(peer.key.public in node.got for node, peer in got):
            first.append(now)
        if not direct and one.direct(other) and other.direct(one):
            direct.append(now)
        return bool(first and direct)

    for node, peer in got:
        _speak(node, peer)
    world.run(wanted, seen)
    return Met(first[0] if first else None, direct[0] if direct else None)


def stand(world: World, pairing: Pairing, random: Random) -> tuple[Node, Node]:
    """Put a host of each kind into a world."""
    shared: list[Realm] = []
    nodes = []
    for number, kind in enumerate((pairing.one, pairing.other)):
        realm: Realm | None = None
        for depth, behaviour in enumerate(kind.stand.boxes):
            if depth < pairing.shared:
                if depth == len(shared):
                    shared.append(world.box(behaviour, realm))
                realm = shared[depth]
            else:
                realm = world.box(behaviour, realm)
        nodes.append(world.node(realm, *_addresses(kind, number), link=_link(random)))
    return nodes[0], nodes[1]


def _addresses(kind: Kind, number: int) -> tuple[str, ...]:
    four = f"192.168.1.{number + 2}" if kind.nats else f"192.0.2.{number + 2}"
    return (four, f"2001:db8:{number + 2}::2") if kind.ipv6 else (four,)


def _link(random: Random) -> Link:
    latency = random.uniform(*SOON)
    return Link(latency, JITTER * latency, LOSS)


def _speak(node: Node, peer: Node) -> None:
    """Send until the peer has been heard: what WireGuard does while somebody waits for an answer."""
    use = node.endpoints.get(peer.key.public)
    if use and use.endpoint:
        node.host.send(b"\x04" + node.key.public, use.endpoint, PORT)
    if not (peer.key.public in node.got and node.key.public in peer.got):
        node.internet.at(node.internet.now + EVERY, lambda: _speak(node, peer))


def run_all(pairs: Iterable[Pairing], runs: int, workers: int = 0) -> Iterator[tuple[Pairing, list[Met]]]:
    """Give each pair with its runs, in order, as they are done; on all processors, or on `workers` of them."""
    jobs = [(pairing, runs) for pairing in pairs]
    with get_context("fork").Pool(workers or os.cpu_count() or 1) as pool:
        yield from zip((pairing for pairing, _ in jobs), pool.imap(_runs, jobs), strict=True)


def _runs(job: tuple[Pairing, int]) -> list[Met]:
    pairing, runs = job
    return [run(pairing, seed) for seed in range(runs)]
