"""One change of the host at a time: a lock on a file of the store, which dies with its holder (flock(2))."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from warren.sys.errors import HostError
from warren.sys.store import Store

PATIENCE = 30.0  # seconds; an apply of 20,000 routes takes three


class Busy(HostError):
    """Somebody else is changing this host."""


@contextmanager
def host_lock(store: Store, patience: float = PATIENCE, name: str = "lock") -> Iterator[None]:
    """Hold the host's lock; wait for it at most `patience` seconds, then raise Busy, naming the holder.

    `name` is the file's: whoever chooses numbers for a conf holds `lock.confs` first, and then this one.
    """
    store.prepare()
    path = store.path / name
    try:
        # The descriptor is closed on exec, so a daemon we start (wireguard-go) does not hold the lock for ever.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store.trouble(error, "open", path) from None
    try:
        if not _lock(descriptor, patience):
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise Busy(
                f"another warren is changing this host ({holder}); waited {patience:.0f} s for it",
                "Try again when it is done. The lock ends with that process, however it ends.",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, patience: float) -> bool:
    """Take the lock now or, in a thread that waits for the event itself, within `patience` seconds."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        if patience <= 0:
            return False
    waiting = os.dup(descriptor)  # the lock belongs to the open file, not to the descriptor
    state = threading.Lock()
    outcome = {"locked": False, "given up": False}

    def wait() -> None:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX)
            with state:
                outcome["locked"] = True
                if outcome["given up"]:
                    fcntl.flock(waiting, fcntl.LOCK_UN)
        finally:
            os.close(waiting)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(patience)
    with state:
        outcome["given up"] = not outcome["locked"]
        return outcome["locked"]
