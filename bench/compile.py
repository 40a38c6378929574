"""Reading, checking and compiling large networks: seconds and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.networks import file_of
from bench.row import Row, peak_mebibytes, seconds
from warren.core.compile import compile_host, compile_network
from warren.core.load import load
from warren.core.lockfile import allot
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.surroundings import Surroundings


def rows() -> Iterator[Row]:
    """Measure 1,000 hosts behind a hub, then one host of a full mesh of 1,000."""
    data = file_of(1000, public=1)
    start = time.perf_counter()
    network, lock = _read(data)
    checked = time.perf_counter() - start
    states = compile_network(network, lock, {})
    whole = time.perf_counter() - start
    routes = sum(len(state.routes) for state in states.values())
    yield Row("check, 1,000 hosts through a hub", f"{checked:.2f} s")
    yield Row(f"check + compile, 1,000 hosts ({routes:,} routes)", f"{whole:.2f} s", aim="< 10 s")
    yield Row("  peak memory", f"{peak_mebibytes():.0f} MiB", aim="< 1024 MiB")
    del states
    network, lock = _read(file_of(1000, public=1000))
    one = seconds(lambda: compile_host(network, lock, "h7", Surroundings()))
    yield Row("compile one host of a 1,000-host mesh, parsed", f"{one:.3f} s", aim="< 1 s")


def _read(data: bytes) -> tuple[Network, Lock]:
    loaded = load(data, None, "big.yaml")
    assert loaded.network is not None, loaded.diagnostics[:3]
    return loaded.network, allot(loaded.network, Lock())
