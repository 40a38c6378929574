"""Whether systemd can run things for us: it runs, and a unit of its would act where we do."""

from __future__ import annotations

import os

from warren.sys.run import find_program


def runs_units_here() -> bool:
    """Say whether a unit of the system's would act where we do: systemd runs, and not in another namespace."""
    if not os.path.isdir("/run/systemd/system") or find_program("systemd-run") is None:
        return False
    try:
        return os.readlink("/proc/thread-self/ns/net") == os.readlink("/proc/1/ns/net")
    except OSError:
        return False
