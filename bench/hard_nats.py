"""How often hosts meet through a NAT that shows another port to each, and how soon: simulated, and with real NATs.

`RUNS` of the lab and `WORLDS` of each kind; HARD_NAT_RUNS and HARD_NAT_WORLDS in the environment say other numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

from bench.enclosed import enclosed
from bench.row import Row
from warren.lab.hard_nats import PATIENCE, hard_network, harden, time_to_meet
from warren.lab.lab import bring_up
from warren.lab.simulated import World
from warren.model.lab import Mapping, Ports
from warren.proto.internet import Link
from warren.proto.nat import Behaviour

RUNS = int(os.environ.get("HARD_NAT_RUNS", "20"))
WORLDS = int(os.environ.get("HARD_NAT_WORLDS", "500"))
_, ADDRESS, BOTH = Mapping


def rows() -> Iterator[Row]:
    """Print a share and the times for each kind of pair."""
    hard = [(Behaviour(mapping, ports=ports), Behaviour()) for mapping in (ADDRESS, BOTH) for ports in Ports]
    for how, far in hard:
        yield _row(f"{how.mapping} mapping, {how.ports} ports", simulated(how, far, WORLDS), "≥ 95 %")
    row = Behaviour(BOTH, ports=Ports.SEQUENTIAL)
    yield _row("both sides hard, ports in a row", simulated(row, row, WORLDS))
    yield _row("real NATs (masquerade fully-random)", enclosed(lambda: lab_runs(RUNS)), "≥ 95 %")


def simulated(one: Behaviour, other: Behaviour, worlds: int) -> list[float | None]:
    """Give the seconds to a direct path in so many seeded worlds: other links, another chance; None: not met."""
    taken: list[float | None] = []
    for seed in range(worlds):
        random = Random(seed)
        link = Link(random.uniform(0.005, 0.08), random.uniform(0, 0.02), random.choice((0.0, 0.0, 0.01, 0.05)))
        world = World(seed)
        a, b = (world.node(world.box(how), link=link) for how in (one, other)[:: random.choice((1, -1))])
        world.start()
        met = world.run(PATIENCE, lambda: a.direct(b) and b.direct(a))  # noqa: B023
        taken.append(world.internet.now if met else None)
    return taken


def lab_runs(times: int) -> list[float | None]:
    """Give the seconds to a direct path in so many runs in the lab, with WireGuard, nft and two servers."""
    lab = bring_up(hard_network(), None)
    harden(lab)
    return [time_to_meet(lab) for _ in range(times)]


def _row(what: str, taken: list[float | None], aim: str = "") -> Row:
    met = sorted(one for one in taken if one is not None)
    share = f"{100 * len(met) / len(taken):.1f} % of {len(taken)}"
    times = f"p50 {met[len(met) // 2]:.1f} s, p99 {met[len(met) * 99 // 100]:.1f} s" if met else ""
    return Row(what, share, times, aim=aim)
