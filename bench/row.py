"""One line of the benchmark table, and how times and sizes are taken."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, its figure, the same of a peer if there is one, and what the project aims for."""

    what: str
    figure: str
    peer: str = ""
    ratio: str = ""
    aim: str = ""


def seconds(action: Callable[[], object], times: int = 3) -> float:
    """Give the median wall time of an action, in seconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def peak_mebibytes() -> float:
    """Give this process's highest resident size so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
