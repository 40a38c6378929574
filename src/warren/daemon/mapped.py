"""The router is asked to open WireGuard's port, so that others reach it whom its NAT would not let in.

    routers of the uplink ──► a Mapper each, with its sockets ──► candidates ──► servers ──► peers

A port is held for as long as WireGuard listens at it. An agent that ends leaves it to run out, for paths lead by it;
only one without an end is taken back.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from collections.abc import Callable

from warren.daemon.meeting import Say
from warren.proto.address import Address, Candidate, Origin
from warren.proto.portmap import http
from warren.proto.portmap.control import Exchange
from warren.proto.portmap.mapper import Mapper, Mapping
from warren.proto.portmap.pcp import NONCE
from warren.proto.portmap.values import SERVER
from warren.sys import router as routers
from warren.sys.errors import HostError
from warren.sys.router import PATIENCE, Router
from warren.sys.udp import ports_in_use

LOOKS = 10.0  # seconds between two looks at whether WireGuard still listens there
HASTE = 1.0  # seconds for the last exchange over TCP, while everything waits


class Mapped:
    """The ports that routers opened for one port of WireGuard's; `changed` is called when they are others."""

    def __init__(self, port: int, mark: int, secret: bytes, say: Say, changed: Callable[[], None]) -> None:
        """`secret` makes what we say to routers ours alone."""
        self._port, self._mark, self._secret = port, mark, secret
        self._say, self._changed = say, changed
        self._lines: dict[Router, _Line] = {}
        self._listeners: list[socket.socket] = []
        self._wanted = self._device = ""
        self._there = True
        self._looks_at = float("-inf")

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """What routers opened."""
        return tuple(held for each in self._lines.values() if (held := each.mapper.mapping) is not None)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The places at which others reach this host by what routers opened."""
        places = dict.fromkeys(mapping.external for mapping in self.mappings if mapping.external != mapping.internal)
        return tuple(Candidate(Origin.MAPPED, place) for place in places)

    def ask(self, device: str, now: float) -> None:
        """Ask the routers of a device from now on, in the place of others; of none, if it is empty."""
        self._wanted, self._there = device, self._port in ports_in_use()
        wanted = bool(device) and self._there
        try:
            found = routers.routers(device, self._mark) if wanted else ()
        except HostError as error:
            return self._say("trouble", device, str(error))
        for gone in [router for router in self._lines if router not in found]:
            self._lines.pop(gone).close(take_back=not wanted)
        if (device if found else "") != self._device:
            self._device = device if found else ""
            self._listen(self._device)
        for router in found:
            if router not in self._lines:
                try:
                    self._lines[router] = self._line(router, now)
                except OSError as error:  # it went away this moment; the next move tells
                    self._say("trouble", device, f"the router {router.ip} cannot be asked: {error.strerror or error}")
        return None

    def moved(self, now: float) -> None:
        """The uplink has changed: see whether routers are the same, and know of us."""
        self.ask(self._wanted, now)
        for each in self._lines.values():
            each.mapper.moved(now)
            each.pump()

    def tick(self, now: float) -> None:
        """See now and then whether WireGuard is still there, for there is no event of that."""
        if now >= self._looks_at:
            self._looks_at = now + LOOKS
            if self._there != (self._port in ports_in_use()):
                self.ask(self._wanted, now)

    def close(self) -> None:
        """Be done with it."""
        self._listen("")
        there = self._port in ports_in_use()
        for each in self._lines.values():
            each.close(take_back=not there)
        self._lines.clear()

    def _line(self, router: Router, now: float) -> _Line:
        client = Address(router.source, self._port)
        said = router.ip.packed + client.ip.packed + client.port.to_bytes(2)
        nonce = hashlib.blake2s(said, key=self._secret, digest_size=NONCE, person=b"wrn pcp").digest()
        mapper = Mapper(Address(router.ip, 0), client, nonce, random.random, now)
        return _Line(router, self._mark, mapper, self._tell)

    def _tell(self, router: Router, says: str) -> None:
        self._say("mapped", router.device, f"the router {router.ip} {says}")
        self._changed()

    def _listen(self, device: str) -> None:
        """Hear routers of a device say that they began anew; of none, if it is empty."""
        loop = asyncio.get_running_loop()
        for each in self._listeners:
            loop.remove_reader(each)
            each.close()
        found = (routers.listener(device, family) for family in (4, 6)) if device else ()
        self._listeners = [each for each in found if each is not None]
        for each in self._listeners:
            loop.add_reader(each, self._heard, each)

    def _heard(self, listener: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in routers.taken(listener, lambda: None):
            for each in self._lines.values():
                if source.ip == each.router.ip:
                    each.mapper.receive(data, source, now)
                    each.pump()


class _Line:
    """One router: its mapper, and the sockets towards it."""

    def __init__(self, router: Router, mark: int, mapper: Mapper, tell: Callable[[Router, str], None]) -> None:
        """Begin to ask; OSError if it cannot be reached. `tell` hears of each change."""
        self.router, self.mapper = router, mapper
        self._mark, self._tell = mark, tell
        self._loop = asyncio.get_running_loop()
        self._server = routers.line(router, mark)
        self._sockets = [self._server]
        self._searcher: socket.socket | None = None
        self._told: tuple[object, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop.add_reader(self._server, self._read, self._server)
        self.pump()

    def pump(self) -> None:
        """Send what is to be sent, tell what is different, and come back when something is due."""
        if self._closed:
            return
        for data, to in self.mapper.to_send(self._loop.time()):
            by = self._server if to.port == SERVER else self._search()
            if by is not None:
                routers.send(by, self.router, data, to)
        for one in self.mapper.exchanges():
            task = self._loop.create_task(self._exchange(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._note()
        if self._timer is not None:
            self._timer.cancel()
        due = self.mapper.next_timer()
        self._timer = self._loop.call_at(due, self.pump) if due != float("inf") else None

    def close(self, take_back: bool) -> None:
        """Be done with it; `take_back`: nobody is to come by that port any more."""
        if take_back or self.mapper.endless:
            said = self.mapper.farewell()
            if isinstance(said, Exchange):
                self._ask(said, HASTE)
            elif said is not None:
                routers.send(self._server, self.router, said, Address(self.router.ip, SERVER))
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()

    def _read(self, at: socket.socket) -> None:
        now = self._loop.time()
        for data, source in routers.taken(at, lambda: self.mapper.nobody(now)):
            self.mapper.receive(data, source, now)
        self.pump()

    def _search(self) -> socket.socket | None:
        """Give the socket for UPnP's search, which few routers need."""
        if self._searcher is None:
            try:
                self._searcher = routers.searcher(self.router, self._mark)
            except OSError:  # no way: nobody answers
                return None
            self._sockets.append(self._searcher)
            self._loop.add_reader(self._searcher, self._read, self._searcher)
        return self._searcher

    async def _exchange(self, one: Exchange) -> None:
        data = await asyncio.to_thread(self._ask, one, PATIENCE)
        if not self._closed:
            self.mapper.answered(one.number, data, self._loop.time())
            self.pump()

    def _ask(self, one: Exchange, seconds: float) -> bytes | None:
        return routers.exchange(self.router, self._mark, one.to, one.data, http.LARGEST, http.complete, seconds)

    def _note(self) -> None:
        """Tell what the router opened, or, once it was asked by all protocols, why it does not."""
        held, declined = self.mapper.mapping, self.mapper.declined
        if held is not None:
            what: tuple[object, ...] = (held,)
            says = f"leads {held.external} to port {held.internal.port} here ({held.by})"
            if held.external == held.internal:
                says = f"lets others in to {held.external} ({held.by})"
            if held.inside:
                says += "; it is itself behind a NAT, so only who is behind that one can come by it"
        elif self.mapper.resting:
            what = tuple(declined.items())
            says = "opens no port: " + ", ".join(f"{by}: {why}" for by, why in declined.items())
        elif self._told and self._told[0] is not None:
            what, says = (None,), "leads nothing here any more"
        else:
            return
        if what != self._told:
            self._told = what
            self._tell(self.router, says)
