"""Proving a network: 1,000 expectations on 50 hosts, five of them public, joined by 235 tunnels."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.networks import file_of
from bench.row import Row
from warren.core.load import load
from warren.core.lockfile import allot
from warren.core.verify import verify
from warren.core.walk.stage import stage
from warren.model.lock import Lock

HOSTS, PUBLIC, EXPECTS, PORTALS = 50, 5, 1000, 20


def rows() -> Iterator[Row]:
    """Measure `verify` from the parsed network: compile, walk every expectation and all that needs no asking."""
    network = load(file_of(HOSTS, PUBLIC, EXPECTS, PORTALS), None, "big.yaml").network
    assert network is not None
    lock = allot(network, Lock())
    start = time.perf_counter()
    scene = stage(network, lock)
    verdicts = verify(network, lock, scene.states, scene.surroundings, scene.world)
    taken = time.perf_counter() - start
    tunnels = sum(len(i.peers) for state in scene.states.values() for i in state.interfaces) // 2
    held = sum(verdict.holds for verdict in verdicts)
    what = f"verify {EXPECTS:,} expectations, {HOSTS} hosts, {tunnels} tunnels"
    yield Row(what, f"{taken:.2f} s", aim="< 5 s")
    yield Row("  claims judged, those that hold", f"{len(verdicts):,}, {held:,}")
