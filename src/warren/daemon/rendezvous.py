"""The rendezvous server: an event loop around `proto.rendezvous`, which decides everything, and the relays it lends.

    one UDP port ──► Rendezvous ──► answers, pushes          two ports of each pair ──► Carrier ──► the other port
                        └─ Opened, Closed ──────────────────────────────────────────────┘
                                                                          Lanes ──► the kernel, where it may

It needs no privilege and changes nothing of its machine but, with CAP_NET_ADMIN, for a table of nft's that goes with
it. When it ends, what it has lent is kept; a server that is started anew carries on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from warren.daemon.asked import Asked
from warren.daemon.carrier import Carrier
from warren.daemon.kept import Memory
from warren.daemon.lanes import Lanes, lanes_of
from warren.daemon.metrics import as_text, serve
from warren.daemon.settings import Settings
from warren.daemon.tally import Tally, tally
from warren.proto.address import Address
from warren.proto.lend import Lender, Lent
from warren.proto.member import ALL, Member
from warren.proto.rendezvous import Came, Closed, Left, Opened, Rendezvous
from warren.sys import datagram
from warren.sys.notify import ALIVE, READY, STOPPING, notify, status

if TYPE_CHECKING:
    from warren.daemon.natpunch import Natpunch

KEEPS = 10.0  # seconds between two looks at what has to be kept
SOON = 0.5  # seconds until what was lent is kept: its two hosts have shown by then where they are


@dataclass(frozen=True, slots=True)
class Event:
    """What the server has to tell: `kind` is serving, came, left, lent, ended or trouble; `says` is for people."""

    kind: str
    hosts: tuple[str, ...]
    address: str
    says: str


class Server:
    """One run of a server."""

    def __init__(
        self, settings: Settings, store: Memory, tell: Callable[[Event], None], beside: Natpunch | None = None
    ) -> None:
        self._settings, self._store, self._tell, self._beside = settings, store, tell, beside
        lender = Lender(_one_of_each(settings.places), settings.relay, os.urandom) if settings.relay else None
        self._lender = lender
        self._machine = Rendezvous(settings.key, settings.links, os.urandom, lender)
        self._asked = Asked(settings.key, os.urandom)
        self._carrier = Carrier(self._say_trouble, self._stir)
        self._lanes: Lanes | None = None
        self._sockets: list[socket.socket] = []
        self._here: set[Member] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._keeps: asyncio.TimerHandle | None = None
        self._count: Counter[str] = Counter()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; HostError if the port or the metrics' address cannot be had."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        where, metrics = self._settings.places[0], self._settings.metrics
        self._sockets = datagram.bind_here(tuple(place.ip for place in self._settings.places), where.port)
        keeping: asyncio.Task[None] | None = None
        gives = await serve(str(metrics.ip), metrics.port, self.metrics) if metrics else None
        try:
            for each in self._sockets:
                loop.add_reader(each, self._read, each)
            relays = ""
            if self._settings.relay:
                self._lanes, who = lanes_of(self._settings, self._carrier.ways, self._say_trouble)
                relays = f", lending relays at ports {self._relays()}, carried by {who}"
            keeping = asyncio.create_task(self._lanes.run()) if self._lanes is not None else None
            self._take_up()
            says = f"serving {self._hosts(self._settings.links)} hosts at {where}{relays}"
            self._say("serving", (), str(where), says)
            if self._beside is not None:
                self._beside.begin()
            notify(READY, status(says))
            self._pump()
            while not ended.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), KEEPS)
                self._keep()
                if keeping is not None and keeping.done():
                    keeping.result()
                notify(ALIVE)
        finally:
            notify(STOPPING)
            if gives is not None:
                gives.close()
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            for each in self._sockets:
                loop.remove_reader(each)
                each.close()
            if self._beside is not None:
                self._beside.end()
            self._carrier.close_all()
            if self._keeps is not None:
                self._keeps.cancel()
            self._store.close()

    # --- in and out ---------------------------------------------------------------------------------------

    def _read(self, at: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in datagram.taken(at):
            self._count["in"] += 1
            if not self._asked.take(data, source, at, now):
                self._machine.receive(data, source, now)
        self._pump()

    def _pump(self) -> None:
        """Send what is to be sent, tell what happened, and come back when something is due."""
        loop = asyncio.get_running_loop()
        for data, to in self._machine.to_send(loop.time()):
            by = next((one for one in self._sockets if (one.family == socket.AF_INET) == (to.ip.version == 4)), None)
            self._count["out"] += by is not None and datagram.send(by, data, to)
        self._note()
        if self._timer is not None:
            self._timer.cancel()
        due = self._machine.next_timer()
        self._timer = loop.call_at(due, self._pump) if due is not None else None

    def _note(self) -> None:
        for event in self._machine.events():
            match event:
                case Came():
                    self._here.add(event.who)
                    name = self._name(event.who.who)
                    self._say(
                        "came", (name,), str(event.address), f"{name} is at {event.address}{self._port(event.who)}"
                    )
                case Left():
                    self._here.discard(event.who)
                    name = self._name(event.who.who)
                    self._say("left", (name,), "", f"{name} has gone{self._port(event.who)}")
                case Opened():
                    self._open(event.lent)
                    one, other = (self._name(who) for who in event.lent.pair)
                    self._say("lent", (one, other), str(event.lent.port), f"{one} and {other} have a relay")
                case Closed():
                    self._carrier.close(event.lent)
                    one, other = (self._name(who) for who in event.lent.pair)
                    self._say("ended", (one, other), str(event.lent.port), f"{one} and {other} need no relay now")

    def _open(self, lent: Lent) -> None:
        if not self._carrier.open(lent) and self._lender is not None:
            self._lender.withdraw(lent)  # the two ask again when they notice, and get other ports
        elif self._keeps is None:
            self._keeps = asyncio.get_running_loop().call_later(SOON, self._keep)

    def _say(self, kind: str, hosts: tuple[str, ...], address: str, says: str) -> None:
        self._tell(Event(kind, hosts, address, says))

    def _name(self, who: bytes) -> str:
        return self._settings.names.get(who, who.hex()[:16])

    def _port(self, member: Member) -> str:
        """Say which port of a host it is, if that has several."""
        return f" with the port for {self._name(member.only)}" if member.only != ALL else ""

    @staticmethod
    def _hosts(members: Iterable[Member]) -> int:
        """Count hosts; one that has several ports is one."""
        return len({member.who for member in members})

    def _say_trouble(self, says: str) -> None:
        self._say("trouble", (), "", says)

    def _stir(self) -> None:
        if self._lanes is not None:
            self._lanes.stir()

    def _relays(self) -> str:
        relay = self._settings.relay
        return f"{relay.start} to {relay.stop - 1}" if relay else ""

    # --- over a restart -----------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Carry on what was lent in an earlier run, for members of the network and while it lasts."""
        if self._lender is None:
            return
        shift = asyncio.get_running_loop().time() - time.time()
        pairs = {(one.who, other.who) for one, others in self._settings.links.items() for other in others}
        for kept in self._store.load():
            one, other = kept.lent.pair
            kept.lent.ends = kept.ends + shift
            taken = (one, other) in pairs and kept.ends > time.time() and self._lender.take_up(kept.lent)
            if taken and not self._carrier.take_up(kept):
                self._lender.withdraw(kept.lent)

    def _keep(self) -> None:
        if self._keeps is not None:
            self._keeps.cancel()
            self._keeps = None
        if self._lender is not None:
            self._store.save([self._carrier.kept(lent) for lent in self._lender.lent])

    # --- what it counts -----------------------------------------------------------------------------------

    def metrics(self) -> str:
        """Write what Prometheus reads."""
        now, lanes = asyncio.get_running_loop().time(), self._lanes
        counted = Tally(
            members=self._hosts(self._settings.links),
            registered=self._hosts(self._here),
            remembered=self._machine.size,
            datagrams=self._count,
            refused=self._machine.refused + self._asked.refused,
            asked=self._asked.answered,
            carrier=self._carrier,
            lanes=len(lanes) if lanes is not None else 0,
            kernel=lanes.counted(now) if lanes is not None else {},
            kernel_pairs=lanes.of_pairs(now) if lanes is not None else {},
            name=self._name,
        )
        return as_text((*tally(counted), *(self._beside.metrics() if self._beside is not None else ())))


def _one_of_each(places: tuple[Address, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
    """Give the first address of each family, in their order."""
    by_version = {place.ip.version: place.ip for place in reversed(places)}
    return tuple(ip for place in places if (ip := place.ip) is by_version[ip.version])
