"""Work in another network namespace without leaving this process (setns(2), network_namespaces(7)).

A thread can have a namespace of its own: what it reads below /proc/sys/net, and every program it starts, is of that
namespace, while the rest of the process stays where it was. So one process can look after many hosts of a lab.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from warren.sys.errors import HostError

_T = TypeVar("_T")
CLONE_FS, CLONE_NEWNS, CLONE_NEWNET = 0x200, 0x20000, 0x40000000


def call_in(net: Path, function: Callable[[], _T], mounts: Path | None = None) -> _T:
    """Call a function in a network namespace, and in a mount namespace too if one is given; wait for its result.

    The paths are those of /proc/PID/ns/net and /proc/PID/ns/mnt, or of what `ip netns add` makes. What the function
    raises is raised here. HostError when the namespace cannot be entered.
    """
    results: list[_T] = []
    troubles: list[BaseException] = []

    def inside() -> None:
        try:
            _enter(net, CLONE_NEWNET)
            if mounts is not None:
                _unshare_fs()
                _enter(mounts, CLONE_NEWNS)
            results.append(function())
        except BaseException as trouble:
            troubles.append(trouble)

    thread = threading.Thread(target=inside, name=f"in {net}")
    thread.start()
    thread.join()
    if troubles:
        raise troubles[0]
    return results[0]


def _enter(path: Path, kind: int) -> None:
    import ctypes

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, kind) != 0:
            raise HostError(f"cannot enter the namespace {path}: {os.strerror(ctypes.get_errno()).lower()}")
    finally:
        os.close(descriptor)


def _unshare_fs() -> None:
    """Give the thread a root and working directory of its own, without which it may not change mounts."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_FS) != 0:
        raise HostError(f"cannot leave the process's mounts: {os.strerror(ctypes.get_errno()).lower()}")
