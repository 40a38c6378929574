"""The relay's sockets: two for each pair, open while it is lent. What comes to one leaves by the other.

Every packet passes through this process, so it is slower than a relay of the kernel's would be. No pair takes it all:
what is beyond PACKETS a second of one side is dropped.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable

from warren.daemon.kept import Kept
from warren.proto.lend import Lent
from warren.proto.limit import Bucket
from warren.proto.refusal import Refusal
from warren.proto.relay import Relay
from warren.sys import datagram
from warren.sys.errors import HostError

BURST, PACKETS = 4000, 8000.0  # of one side at once, and each second


class Carrier:
    """The relays that a server has lent, with their sockets."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._relay = Relay()
        self._sockets: dict[int, socket.socket] = {}
        self._limits: dict[int, Bucket] = {}
        self.packets: Counter[str] = Counter()  # carried, refused, dropped, bytes

    def __len__(self) -> int:
        return len(self._relay) // 2

    def open(self, lent: Lent) -> bool:
        """Carry a pair from now on, or with another secret; False if somebody else has one of its ports."""
        loop = asyncio.get_running_loop()
        for who in lent.pair:
            place = lent.place(who)
            if place.port in self._sockets:
                continue
            try:
                made = datagram.bind_here((place.ip,), place.port)[0]
            except HostError as error:
                self._tell(f"{error.says}: it is not lent any more")
                self.close(lent)
                return False
            self._sockets[place.port] = made
            self._limits[place.port] = Bucket(BURST, PACKETS, loop.time())
            loop.add_reader(made, self._carry, place.port)
        self._relay.open(lent)
        return True

    def close(self, lent: Lent) -> None:
        """Carry a pair no more."""
        self._relay.close(lent)
        for who in lent.pair:
            self._shut(lent.place(who).port)

    def close_all(self) -> None:
        """Be done with all of it."""
        for port in list(self._sockets):
            self._shut(port)

    def kept(self, lent: Lent) -> Kept:
        """Give what has to be kept of a pair over a restart."""
        ends = lent.ends - asyncio.get_running_loop().time() + time.time()
        return Kept(lent, ends, self._relay.known(lent))

    def take_up(self, kept: Kept) -> bool:
        """Carry on what an earlier run did, if its ports can still be had."""
        if not self.open(kept.lent):
            return False
        self._relay.remember(kept.lent, kept.known)
        return True

    def _shut(self, port: int) -> None:
        held = self._sockets.pop(port, None)
        self._limits.pop(port, None)
        if held is not None:
            asyncio.get_running_loop().remove_reader(held)
            held.close()

    def _carry(self, port: int) -> None:
        now, limit = asyncio.get_running_loop().time(), self._limits[port]
        for data, source in datagram.taken(self._sockets[port]):
            if not limit.take(now):
                self.packets["dropped"] += 1
                continue
            sent = self._relay.receive(data, source, port)
            if isinstance(sent, Refusal):
                self.packets["refused"] += 1
                continue
            data, to, by = sent
            if by in self._sockets and datagram.send(self._sockets[by], data, to):
                self.packets["carried"] += 1
                self.packets["bytes"] += len(data)
