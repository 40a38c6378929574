"""The guard of an apply that waits to be confirmed: at the deadline, go back unless somebody said yes.

Run as `python -m warren.sys.guard TOKEN OWNER SECONDS [FD]` by confirm.py; with FD it leaves its parent, and writes its
process number there once it stands by. It tries again when it fails: an operator may be locked out until it succeeds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from warren.sys.apply import roll_back
from warren.sys.errors import HostError
from warren.sys.machine import Machine

ATTEMPTS = 20
BETWEEN = 3.0  # seconds between two attempts


def main(arguments: list[str]) -> int:
    """Wait, then roll back; 0 when the window is closed, 1 when it could not be."""
    token, owner, seconds = arguments[0], arguments[1], float(arguments[2])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    deadline = time.monotonic() + seconds
    if len(arguments) > 3:
        _leave(int(arguments[3]))
    time.sleep(max(0.0, deadline - time.monotonic()))
    for _ in range(ATTEMPTS):
        try:
            applied = roll_back(owner, Machine(), token=token)
        except HostError as error:
            print(f"{owner}: could not go back yet: {error}", file=sys.stderr, flush=True)
            time.sleep(BETWEEN)
        else:
            if applied.items:
                print(f"{owner}: not confirmed in time; took back {len(applied.items)} changes", flush=True)
            return 0
    return 1


def _leave(ready: int) -> None:
    """Become a child of init, so that nobody who waits for our parent waits for us, and say that we stand by."""
    if os.fork():
        os._exit(0)
    os.write(ready, str(os.getpid()).encode())
    os.close(ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
