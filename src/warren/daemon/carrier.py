"""The relay's sockets: two ports for each pair, open while it is lent. What comes to one leaves by the other.

Where the kernel forwards (lanes.py), only hellos come here, and what it leaves to us. Else every packet passes through
this process, which is slower. No pair takes it all: what is beyond PACKETS a second of one side is dropped.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from warren.daemon.kept import Kept
from warren.model.prefix import Address as IP
from warren.proto.lend import Lent
from warren.proto.limit import Bucket
from warren.proto.refusal import Refusal
from warren.proto.relay import Joined, Relay
from warren.sys import datagram
from warren.sys.errors import HostError

BURST, PACKETS = 4000, 8000.0  # of one side at once, and each second
SILENT = 60.0  # seconds without a hello, of which one comes every 15, after which a host has no lane any more


@dataclass(frozen=True, slots=True)
class Way:
    """One way between two hosts that are there: at which of our addresses (None: any), until when (loop's time)."""

    joined: Joined
    pair: tuple[bytes, bytes]
    here: IP | None
    there: IP | None
    until: float


class Carrier:
    """The relays that a server has lent, with their sockets. `moved` is called when a hello has changed a way."""

    def __init__(self, tell: Callable[[str], None], moved: Callable[[], None] = lambda: None) -> None:
        self._tell, self._moved = tell, moved
        self._relay = Relay()
        self._lent: dict[int, Lent] = {}
        self._sockets: dict[tuple[int, int], socket.socket] = {}  # by port and IP version
        self._limits: dict[int, Bucket] = {}
        self._heard: dict[int, float] = {}
        self._places: dict[int, object] = {}
        self.packets: Counter[str] = Counter()  # carried, refused, dropped, bytes
        self.by_port: Counter[tuple[int, str]] = Counter()  # packets and bytes that came to a port and were carried

    def __len__(self) -> int:
        return len(self._relay) // 2

    def open(self, lent: Lent) -> bool:
        """Carry a pair from now on, or with another secret; False if somebody else has one of its ports."""
        loop = asyncio.get_running_loop()
        for port in map(lent.port_of, lent.pair):
            if port in self._limits:
                continue
            try:
                made = datagram.bind_here(lent.ips, port)
            except HostError as error:
                self._tell(f"{error.says}: it is not lent any more")
                self.close(lent)
                return False
            self._limits[port] = Bucket(BURST, PACKETS, loop.time())
            for each in made:
                self._sockets[port, 4 if each.family == socket.AF_INET else 6] = each
                loop.add_reader(each, self._carry, each, port)
        self._relay.open(lent)
        self._lent.update(dict.fromkeys(map(lent.port_of, lent.pair), lent))
        return True

    def close(self, lent: Lent) -> None:
        """Carry a pair no more."""
        self._relay.close(lent)
        for port in map(lent.port_of, lent.pair):
            self._shut(port)
        self._moved()

    def close_all(self) -> None:
        """Be done with all of it."""
        for port in list(self._limits):
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

    def ways(self) -> Iterator[Way]:
        """Give each way between two hosts of one family that have both said lately where they are."""
        for joined in self._relay.joined():
            version = joined.source.ip.version
            here, there = (self._sockets.get((port, version)) for port in (joined.port, joined.other))
            heard = [self._heard.get(port) for port in (joined.port, joined.other)]
            if joined.target.ip.version == version and here and there and heard[0] and heard[1]:
                until = min(heard[0], heard[1]) + SILENT
                yield Way(joined, self._lent[joined.port].pair, _bound(here), _bound(there), until)

    @property
    def pairs(self) -> dict[tuple[bytes, bytes], tuple[int, int]]:
        """Give the two ports of each pair."""
        return {lent.pair: (lent.port, lent.port + 1) for lent in self._lent.values()}

    def _shut(self, port: int) -> None:
        for held in (self._sockets.pop((port, version), None) for version in (4, 6)):
            if held is not None:
                asyncio.get_running_loop().remove_reader(held)
                held.close()
        for known in (self._limits, self._heard, self._lent, self._places):
            known.pop(port, None)
        for what in ("packets", "bytes"):
            self.by_port.pop((port, what), None)

    def _carry(self, at: socket.socket, port: int) -> None:
        now, limit = asyncio.get_running_loop().time(), self._limits[port]
        for data, source in datagram.taken(at):
            if not limit.take(now):
                self.packets["dropped"] += 1
                continue
            sent = self._relay.receive(data, source, port)
            if isinstance(sent, Refusal):
                self.packets["refused"] += 1
                continue
            data, to, by = sent
            if by == port:
                self._greeted(port, source, now)
            out = self._sockets.get((by, to.ip.version))
            if out is not None and datagram.send(out, data, to) and by != port:
                self.packets["carried"] += 1
                self.packets["bytes"] += len(data)
                self.by_port[port, "packets"] += 1
                self.by_port[port, "bytes"] += len(data)

    def _greeted(self, port: int, source: object, now: float) -> None:
        """A host has shown where it is: its lane goes on, or has to be made or moved."""
        late = now - self._heard.get(port, float("-inf")) > SILENT
        self._heard[port] = now
        if late or self._places.get(port) != source:
            self._places[port] = source
            self._moved()


def _bound(at: socket.socket) -> IP | None:
    own = ip_address(at.getsockname()[0])
    return None if own.is_unspecified else own
