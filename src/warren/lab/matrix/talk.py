"""Hosts of a lab that send to each other without end, so that what is lost meanwhile shows.

One process does it for all pairs, with sockets in every host's space: nothing that the lab does delays it. It writes
down what comes: at which end, when, and after how long.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count, pairwise
from types import TracebackType

from warren.lab.lab import Lab
from warren.lab.topology import host_space

FIRST_PORT = 9000
PAYLOAD = 150
_RECORD = struct.Struct("=Hdd")
_ports = count(FIRST_PORT)


class Talk:
    """The conversations of these pairs, `rate` packets a second each way; they end with `close`."""

    def __init__(self, lab: Lab, pairs: Iterable[tuple[str, str]], rate: float = 50) -> None:
        self._ends: list[str] = []
        self._sockets: list[socket.socket] = []
        targets: list[tuple[str, int]] = []
        for pair in pairs:
            port = next(_ports)
            for host, peer in (pair, pair[::-1]):
                with lab.spaces.inside(host_space(host)):
                    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                made.bind((_address(lab, host), port))
                made.setblocking(False)
                self._ends.append(host)
                self._sockets.append(made)
                targets.append((_address(lab, peer), port))
        self._book = os.memfd_create("talk", os.MFD_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _talk(self._sockets, targets, 1 / rate, self._book)
            finally:
                os._exit(1)
        for each in self._sockets:
            each.close()

    def __enter__(self) -> Talk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all of them."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._book)

    def got(self, host: str) -> list[tuple[float, float]]:
        """What came to a host: when, and how long it took."""
        size = os.fstat(self._book).st_size
        data = os.pread(self._book, size - size % _RECORD.size, 0)
        return [(at, took) for end, at, took in _RECORD.iter_unpack(data) if self._ends[end] == host]

    def first(self, host: str, since: float = 0.0) -> float | None:
        """When something first came to a host after a moment."""
        return next((at for at, _ in self.got(host) if at > since), None)

    def last(self, host: str) -> float:
        """When something last came to a host; 0 if nothing has."""
        got = self.got(host)
        return got[-1][0] if got else 0.0

    def gap(self, since: float, *hosts: str) -> float:
        """The longest silence since a moment, at any of these hosts; that of now counts."""
        longest = 0.0
        for host in hosts or tuple(self._ends):
            times = [since, *(at for at, _ in self.got(host) if at > since), time.monotonic()]
            longest = max(longest, *(after - before for before, after in pairwise(times)))
        return longest


def _address(lab: Lab, host: str) -> str:
    return str(next(one for one in lab.lock.by_name[host].addresses if one.version == 4))


def _talk(lines: list[socket.socket], targets: list[tuple[str, int]], every: float, book: int) -> None:
    """Send and write down, for ever; each line in its own turn, so that they are spread over the time."""
    selector = selectors.DefaultSelector()
    for end, line in enumerate(lines):
        selector.register(line, selectors.EVENT_READ, end)
    began = time.monotonic()
    due = [began + every * end / len(lines) for end in range(len(lines))]
    while True:
        now = time.monotonic()
        for end, line in enumerate(lines):
            if due[end] <= now:
                due[end] = max(due[end] + every, now)
                with suppress(OSError):  # nobody can be reached yet, or nobody listens there any more
                    line.sendto(struct.pack("d", now) + bytes(PAYLOAD), targets[end])
        for key, _ in selector.select(max(0.0, min(due) - time.monotonic())):
            for took in _taken(lines[key.data]):
                os.write(book, _RECORD.pack(key.data, time.monotonic(), took))


def _taken(line: socket.socket) -> Iterator[float]:
    """Give how long each packet took that has come."""
    while True:
        try:
            data = line.recv(2048)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # what was sent before was refused somewhere
            continue
        yield time.monotonic() - struct.unpack("d", data[:8])[0]
