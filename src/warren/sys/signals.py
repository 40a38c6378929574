"""Signals while a host is being changed: nobody dies halfway."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(Exception):
    """A signal asked us to stop."""


@contextmanager
def noted(*, deaf: bool = False) -> Iterator[threading.Event]:
    """Note SIGINT and SIGTERM instead of dying halfway, and outlive the terminal (SIGHUP); `deaf`: outlive all.

    The event is looked at between two commands. Only the main thread gets signals; the lab's threads do without.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        fatal = not deaf and number is not signal.SIGHUP
        before[number] = signal.signal(number, (lambda *_: stopped.set()) if fatal else (lambda *_: None))
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
