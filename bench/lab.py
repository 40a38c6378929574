"""The lab's start: from nothing to a network in which packets cross; hosts, clients, NATs and apply included."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.networks import file_of
from bench.row import Row
from warren.core.load import load
from warren.lab.control import start

# hosts, how many of them can be dialled, what that is, and the aim in seconds
SIZES = ((10, 10, "full mesh", 10), (30, 30, "full mesh", 30), (100, 1, "through a hub, each behind a NAT", 20))
ASKED = 10  # paths that must then be open


def rows() -> Iterator[Row]:
    """Measure `warren lab up`, and how long a first question on each of some paths takes afterwards."""
    for hosts, public, what, aim in SIZES:
        loaded = load(file_of(hosts, public, ASKED), None, "big.yaml")
        assert loaded.network is not None, loaded.text()
        begun = time.perf_counter()
        with start(loaded.network, loaded.lock) as session:
            up = time.perf_counter() - begun
            open_paths = sum(told["line"]["holds"] for told in session.ask("test") if "line" in told)
            asked = time.perf_counter() - begun - up
        yield Row(f"lab up, {hosts} hosts, {what}", f"{up:.1f} s", aim=f"< {aim} s")
        yield Row(f"  then {ASKED} paths asked, those open", f"{asked:.1f} s, {open_paths}")
