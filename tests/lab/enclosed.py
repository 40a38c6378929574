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
            status = enclose(lambda: _report(work, writing), complain=lambda error: _complain(error, writing))
        except BaseException as error:
            _complain(error, writing)
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert said, f"the enclosed part of the test ended with status {status}; standard error may say more"
    fine, result = pickle.loads(said)
    assert fine, result
    return result  # type: ignore[no-any-return]


def _complain(error: BaseException, writing: int) -> None:
    os.write(writing, pickle.dumps((False, "".join(traceback.format_exception(error)))))


def _report(work: Callable[[], object], writing: int) -> int:
    try:
        answer: tuple[bool, object] = (True, work())
    except BaseException:
        answer = (False, traceback.format_exc())
    try:
        told = pickle.dumps(answer)
    except Exception:  # what it returns cannot be handed out
        told = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(told)
    return 0
