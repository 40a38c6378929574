"""Ports beside WireGuard's own: probes from many of them, and the one that got through, which is WireGuard's then.

    Agent.apart ──► raw packets from those ports           what comes to them ──► Agent
    Agent.bound ──► the live maps of its port: WireGuard's packets for that peer leave from that port

What the maps hold goes on when the agent ends, as every path does. A new run leaves it alone until it has either found
the peer anew or stopped looking for the old path.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from warren.core.compile.meeting import OUTLIVES, bound, home
from warren.daemon.meeting import Meeting, Say
from warren.model.many_ports import FIRST_PORT, LAST_PORT
from warren.proto.address import Address
from warren.sys.errors import HostError
from warren.sys.peers import lead
from warren.sys.wgport import Port

SETTLES = 10.0  # seconds after which nothing goes by the paths of an earlier run any more
REFRESHES = OUTLIVES / 3

Hear = Callable[[bytes, Address, int], None]  # what came, from where, at which port


class Aside:
    """The ports of one WireGuard device beside its own."""

    def __init__(self, meeting: Meeting, port: Port, hear: Hear, say: Say) -> None:
        self._meeting, self._port, self._hear, self._say = meeting, port, hear, say
        self._reader: socket.socket | None = None
        self._bound: dict[Address, int] | None = None
        self._since = self._tried = asyncio.get_running_loop().time()

    def send(self, apart: Iterable[tuple[bytes, Address, int]]) -> None:
        """Send these, each from its port; from the first on it is heard what comes to them."""
        for data, to, port in apart:
            if self._reader is None:
                self._reader = self._port.hear(FIRST_PORT, LAST_PORT)
                asyncio.get_running_loop().add_reader(self._reader, self._read)
            self._port.send(data, to, port)

    def bind(self, ports: dict[Address, int], now: float) -> None:
        """Have WireGuard's packets to these places leave from these ports, and theirs come to it."""
        if self._bound is None and not ports and now - self._since < SETTLES:
            return
        if ports == self._bound and not (ports and now - self._tried >= REFRESHES):
            return
        self._bound, self._tried = dict(ports), now
        own = self._meeting.port
        try:
            maps = (bound(own).name, ports), (home(own).name, dict.fromkeys(ports, own))
            lead(self._meeting.table, maps)
        except HostError as error:  # taken down meanwhile
            self._say("trouble", self._meeting.device, str(error))

    def close(self) -> None:
        """Hear nothing any more; what WireGuard uses stays."""
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader)
            self._reader.close()

    def _read(self) -> None:
        assert self._reader is not None
        for data, source, port in self._port.taken_at(self._reader):
            self._hear(data, source, port)
