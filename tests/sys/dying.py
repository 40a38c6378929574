"""A process that is killed between two steps of a change of a host."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.sys.boxes import Box
from warren.model.change import Command
from warren.sys.machine import Machine
from warren.sys.run import run
from warren.sys.store import Store

KILLED = -signal.SIGKILL
_left = [0]


class DyingStore(Store):
    """A store whose process is killed before it changes a file, once the count has come to nothing."""

    __slots__ = ()

    def write_text(self, text: str, *names: str) -> None:
        _count_down()
        super().write_text(text, *names)

    def remove(self, *names: str) -> None:
        _count_down()
        super().remove(*names)


def _count_down() -> None:
    _left[0] -= 1
    if _left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _act(command: Command) -> str:
    _count_down()
    return run(command)


def dying(box: Box, steps: int, change: Callable[[Machine], object]) -> int:
    """Change a box in a process that is killed after so many steps; give its exit status."""
    machine = Machine(DyingStore(box.state), act=_act, patience=10)

    def until_death() -> None:
        _left[0] = steps
        change(machine)

    return box.fork(until_death)
