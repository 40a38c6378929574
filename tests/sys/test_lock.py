"""One change of the host at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from warren.sys.lock import Busy, host_lock
from warren.sys.store import Store

HOLD = """
import sys, time
from pathlib import Path
from warren.sys.lock import host_lock
from warren.sys.store import Store
with host_lock(Store(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_in_words(tmp_path: Path) -> None:
    """It says who holds the lock."""
    process = holder(tmp_path)
    try:
        with pytest.raises(Busy, match=f"process {process.pid}"), host_lock(Store(tmp_path), patience=0.1):
            raise AssertionError("held twice")
    finally:
        process.kill()
        process.wait()


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """And goes on at once when it ends."""
    process = holder(tmp_path)
    assert process.stdin is not None
    threading.Timer(0.3, process.stdin.close).start()
    began = time.monotonic()

    with host_lock(Store(tmp_path), patience=20):
        waited = time.monotonic() - began

    process.wait()
    assert 0.2 < waited < 10


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    """The lock dies with the process."""
    process = holder(tmp_path)
    process.kill()
    process.wait()

    with host_lock(Store(tmp_path), patience=0):
        pass


def test_who_gave_up_waiting_does_not_get_it_later(tmp_path: Path) -> None:
    """The thread that waited takes the lock when it is free, and must let go at once."""
    process = holder(tmp_path)
    with pytest.raises(Busy), host_lock(Store(tmp_path), patience=0.1):
        pass
    process.kill()
    process.wait()

    with host_lock(Store(tmp_path), patience=10):
        pass
    with host_lock(Store(tmp_path), patience=10):
        pass
