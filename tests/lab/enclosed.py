"""Run a part of a test inside namespaces of its own: what it returns, or raises, comes back."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

from warren.lab.enclose import enclose

T = TypeVar("T")


def enclosed(work: Callable[[], T]) -> T:
    """Do `work` in a forked process, in the lab's kind of namespaces."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        status = 70
        try:
            status = enclose(lambda: _report(work, writing))
        except BaseException:
            os.write(writing, pickle.dumps((False, traceback.format_exc())))
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said, "the enclosed part of the test ended without a word"
    fine, result = pickle.loads(said)
    assert fine, result
    return result  # type: ignore[no-any-return]


def _report(work: Callable[[], object], writing: int) -> int:
    try:
        answer: tuple[bool, object] = (True, work())
    except BaseException:
        answer = (False, traceback.format_exc())
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(answer, pipe)
    return 0
