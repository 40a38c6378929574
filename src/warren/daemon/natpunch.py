"""natpunch-go's server: a port at which its clients, and `warren punch`, find each other; alone, or beside our own.

UDP port, IPv4 ──► Server ──► answers        it needs no privilege, and remembers nothing over a restart:
                      └─ Came, Left           clients greet anew within seconds
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable

from warren.daemon.metrics import Metric, as_text, serve
from warren.daemon.natpunch_settings import Settings
from warren.daemon.rendezvous import Event
from warren.model.key import encode_key
from warren.proto.address import Address
from warren.proto.limit import Bucket
from warren.proto.natpunch.packet import OLDER_PORT
from warren.proto.natpunch.server import Came, Left, Older, Server
from warren.sys import datagram
from warren.sys.errors import HostError

OLDER_AGAIN = 3600.0  # seconds until somebody who speaks the older protocol is told of again
LINES, LINE_RATE = 200, 2.0  # lines of the log at once, and each second
OLDER = (
    "asks in the older protocol, of the example nat-hole-punching, which is not spoken here: it has no keys, and "
    "anybody can claim to be any peer. natpunch-go's client and `warren punch` are served"
)


class Natpunch:
    """One run of it. `begin` and `end` are called within an event loop."""

    def __init__(self, settings: Settings, tell: Callable[[Event], None]) -> None:
        self._settings, self._tell = settings, tell
        self._machine = Server(settings.key, os.urandom, settings.links)
        self._sockets: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._count: Counter[str] = Counter()
        self._older_since = float("-inf")
        self._lines, self._untold = Bucket(LINES, LINE_RATE, 0.0), 0

    def begin(self) -> None:
        """Open the port; HostError if it cannot be had."""
        ips = tuple(place.ip for place in self._settings.places)
        where = self._settings.places[0]
        made = datagram.bind_here(ips, where.port)
        self._sockets = [one for one in made if one.family == socket.AF_INET]
        for each in made:
            if each not in self._sockets:
                each.close()
        if not self._sockets:
            raise HostError(f"{where} is no address of this machine", "natpunch-go's protocol needs one of IPv4.")
        for each in self._sockets:
            asyncio.get_running_loop().add_reader(each, self._read, each)
        links = self._settings.links
        whom = f"{len(links)} keys" if links is not None else "everybody"
        key = encode_key(self._settings.key.public)
        self._say("serving", "", where, f"serving natpunch-go's clients at {where}: {whom}; the server's key is {key}")
        if where.port == OLDER_PORT:
            self._say("trouble", "", where, f"who asks port {OLDER_PORT} often {OLDER}")

    def end(self) -> None:
        """Close it."""
        if self._timer is not None:
            self._timer.cancel()
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self._sockets = []

    # --- in and out ---------------------------------------------------------------------------------------

    def _read(self, at: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in datagram.taken(at):
            self._count["in"] += 1
            self._machine.receive(data, source, now)
            for answer, to in self._machine.to_send(now):  # from the address that was asked, or a client ignores it
                self._count["out"] += datagram.send(at, answer, to)
        self._note()

    def _note(self) -> None:
        """Tell what happened, and come back when something is due."""
        loop = asyncio.get_running_loop()
        self._machine.to_send(loop.time())
        for event in self._machine.events():
            match event:
                case Came(who, address):
                    self._say("came", who, address, f"{self._name(who)} is at {address}")
                case Left(who):
                    self._say("left", who, None, f"{self._name(who)} has gone")
                case Older(source):
                    self._older(source, loop.time())
        if self._timer is not None:
            self._timer.cancel()
        due = self._machine.next_timer()
        self._timer = loop.call_at(due, self._note) if due is not None else None

    def _older(self, source: Address, now: float) -> None:
        if now - self._older_since >= OLDER_AGAIN:
            self._older_since = now
            self._say("trouble", "", source, f"{source} {OLDER}")

    def _say(self, kind: str, who: bytes | str, address: Address | None, says: str) -> None:
        """Tell it, but of comings and goings not so many that strangers could fill a disk with them."""
        if not self._lines.take(asyncio.get_running_loop().time()):
            self._untold += 1
            return
        more, self._untold = (f" ({self._untold} lines left out before)" if self._untold else ""), 0
        hosts = (self._name(who),) if isinstance(who, bytes) else ()
        self._tell(Event(kind, hosts, str(address) if address else "", says + more))

    def _name(self, who: bytes) -> str:
        return self._settings.names.get(who) or encode_key(who)

    # --- what it counts -----------------------------------------------------------------------------------

    def metrics(self) -> list[Metric]:
        """Give what Prometheus reads."""
        machine = self._machine
        return [
            ("warren_natpunch_clients", "gauge", "Clients whose place is known.", [("", len(machine))]),
            ("warren_natpunch_remembered", "gauge", "Clients, sessions and sources held.", [("", machine.size)]),
            (
                "warren_natpunch_datagrams_total",
                "counter",
                "Datagrams at natpunch-go's port.",
                [(f'{{direction="{way}"}}', self._count[way]) for way in ("in", "out")],
            ),
            (
                "warren_natpunch_asked_total",
                "counter",
                "Questions for a peer.",
                [(f'{{answer="{what}"}}', machine.answered[what]) for what in ("found", "unknown")],
            ),
            (
                "warren_natpunch_refused_total",
                "counter",
                "Datagrams that were answered with silence.",
                [(f'{{reason="{why}"}}', count) for why, count in sorted(machine.refused.items())],
            ),
        ]


async def serve_alone(natpunch: Natpunch, metrics: Address | None) -> None:
    """Serve natpunch-go's clients and nobody else, until SIGTERM or SIGINT; HostError if an address cannot be had."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    gives = await serve(str(metrics.ip), metrics.port, lambda: as_text(natpunch.metrics())) if metrics else None
    try:
        natpunch.begin()
        await ended.wait()
    finally:
        natpunch.end()
        if gives is not None:
            gives.close()
