"""Where the lock of a network file lies: beside it, by either of its names if it is a link."""

from __future__ import annotations

import os

from warren.core.lockfile import lock_name


def lock_path(file: str) -> str:
    """Name the lock file: the one beside the link if there is one, else the one beside what the link leads to.

    So a link to a file in a clone finds the clone's lock, and `warren lock` writes it there; one who keeps a lock of
    his own beside the link has his own.
    """
    beside = lock_name(file)
    if not os.path.islink(file) or os.path.lexists(beside):
        return beside
    return lock_name(os.path.realpath(file))
