"""Work in namespaces of its own, whose result comes back, once or as often as it is asked for."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

from warren.lab.enclose import enclose

T = TypeVar("T")

ASK, END = b"?", b"."


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


class Kept(Generic[T]):
    """What `prepare` makes in a lab's namespaces, which stay: it is asked there each time that `ask` is called."""

    def __init__(self, prepare: Callable[[], Callable[[], T]]) -> None:
        asked, self._asking = os.pipe()
        self._told, telling = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._asking)
            os.close(self._told)

            def answer() -> int:
                ask = prepare()
                with os.fdopen(telling, "wb") as pipe:
                    while os.read(asked, 1) == ASK:
                        pickle.dump(ask(), pipe)
                        pipe.flush()
                return 0

            os._exit(enclose(answer))
        os.close(asked)
        os.close(telling)
        self._answers = os.fdopen(self._told, "rb")

    def __enter__(self) -> Kept[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(BrokenPipeError):  # it broke
            os.write(self._asking, END)  # who was forked later holds the pipe, too, so closing it says nothing
        os.close(self._asking)
        self._answers.close()
        os.waitpid(self._pid, 0)

    def ask(self) -> T:
        """Have it done once more."""
        os.write(self._asking, ASK)
        told: T = pickle.load(self._answers)
        return told
