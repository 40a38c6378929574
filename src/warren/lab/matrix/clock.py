"""A wall clock for agents and servers of a lab that can be put forward and back while they run.

No namespace has a wall clock of its own (time_namespaces(7) shift the clocks that nobody sets), and this machine's is
not ours to set. What is forked from this process takes its time from here; WireGuard keeps the machine's.
"""

from __future__ import annotations

import mmap
import struct
import time

_SHIFT = struct.Struct("=d")


class Clock:
    """The wall clock of this process and of all that are forked from it."""

    def __init__(self) -> None:
        self._shift = mmap.mmap(-1, _SHIFT.size)  # shared with the children
        self._true = time.time
        time.time = self.read

    def read(self) -> float:
        """Say what time it is."""
        seconds: float = _SHIFT.unpack_from(self._shift)[0]
        return self._true() + seconds

    def put(self, seconds: float) -> None:
        """Put it so far before, or after, what it should be."""
        _SHIFT.pack_into(self._shift, 0, seconds)
