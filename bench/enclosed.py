"""Work in namespaces of its own, whose result comes back."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

from warren.lab.enclose import enclose

T = TypeVar("T")


def enclosed(work: Callable[[], T]) -> T:
    """Do `work` in a lab's namespaces, which are gone afterwards."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)

        def report() -> int:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(work(), pipe)
            return 0

        os._exit(enclose(report))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    result: T = pickle.loads(said)
    return result
