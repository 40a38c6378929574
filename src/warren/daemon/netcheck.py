"""`warren netcheck`: the loop around `proto.check`, one for each IP version, from ports of its own.

It needs no privilege. With it, its packets carry the mark of WireGuard's own: they leave by the uplink also where a
tunnel takes everything, which is what the agent's do.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from warren.daemon.asked_routers import ask_routers
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, decode_key
from warren.model.prefix import FAMILIES as BOTH
from warren.model.state import OUTER_MARK
from warren.proto.address import Address
from warren.proto.check import Check, Checked
from warren.proto.checked import Report, Router, Tried, Version
from warren.sys import datagram
from warren.sys.complaints import complaints, heed, reason
from warren.sys.endpoints import look_up_all
from warren.sys.ip import default_routes

MOST = 8  # servers of one IP version that are asked
TCP = 3.0  # seconds for a machine to answer at all
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Where a way out is looked for when there is no server of that version: root servers of DNS. Nothing is sent there.
_ELSEWHERE = {4: Address.of("198.41.0.4", 53), 6: Address.of("2001:503:ba3e::2:30", 53)}
_SO_MARK = 36

Server = tuple[Endpoint, PublicKey]


async def check(servers: Sequence[Server], waits: Callable[[float], None]) -> Report:
    """Ask servers how this host's way out is; `waits` is told now and then for how many seconds this has gone on."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = loop.run_in_executor(None, look_up_all, [endpoint for endpoint, _ in servers])
    telling = asyncio.create_task(_tell(waits, began))
    try:
        found = await asked
        places = [
            Tried(str(endpoint), Address.of(one.host.partition("%")[0], one.port), decode_key(key))
            for endpoint, key in servers
            for one in found.get(endpoint, ())
        ]
        unknown = tuple(str(endpoint) for endpoint, _ in servers if endpoint not in found)
        each = [[one for one in places if one.place.ip.version == version][:MOST] for version in FAMILIES]
        marked = _may_mark()
        routers = asyncio.create_task(_routers(OUTER_MARK if marked else 0))
        versions = await asyncio.gather(*map(_version, FAMILIES, each))
        return Report(tuple(versions), unknown, marked, await routers)
    finally:
        telling.cancel()


async def _tell(waits: Callable[[float], None], began: float) -> None:
    while True:
        await asyncio.sleep(1.0)
        waits(asyncio.get_running_loop().time() - began)


async def _routers(mark: int) -> tuple[Router, ...]:
    """Ask the routers of all ways out by which protocols they could open a port."""
    devices = {route.device: None for family in BOTH for route in default_routes(family)}
    each = await asyncio.gather(*(ask_routers(device, mark) for device in list(devices)[:MOST]))
    return tuple(
        Router(one.router, tuple(by.value for by in one.speaks), one.outside) for found in each for one in found
    )


async def _version(version: int, tried: list[Tried]) -> Version:
    targets = [one.place for one in tried] or [_ELSEWHERE[version]]
    sources = [source for place in targets if (source := _source(place)) is not None]
    if not sources or not tried:
        return Version(version, sources[0] if sources else None, tuple(tried), None)
    with suppress(OSError):
        checked = await _Ports(version, sources[0]).run(tried)
        reached = any(one.observed is not None for one in checked.servers)
        tcp = None if reached else await _tcp(tried)
        return Version(version, sources[0], tuple(tried), checked, tcp)
    return Version(version, None, tuple(tried), None)  # this kernel has no sockets of that version


class _Ports:
    """Two ports of one IP version, and the machine that they are for."""

    def __init__(self, version: int, source: IPv4Address | IPv6Address) -> None:
        self._source = source
        self._sockets = []
        for _ in range(2):
            made = datagram.bind(datagram.EVERYWHERE[0 if version == 4 else 1], 0)
            if made is None:
                raise OSError("no such sockets")
            heed(made)
            _mark(made)
            self._sockets.append(made)

    async def run(self, tried: list[Tried]) -> Checked:
        """Have it asked until nothing more can come."""
        loop = asyncio.get_running_loop()
        own = [Address(self._source, made.getsockname()[1]) for made in self._sockets]
        machine = Check([(one.place, one.key) for one in tried], own, os.urandom, loop.time())
        stirred = asyncio.Event()
        try:
            for made in self._sockets:
                loop.add_reader(made, stirred.set)
            while True:
                stirred.clear()
                for by, data, to in machine.to_send(loop.time()):
                    self._send(machine, by, data, to)
                if machine.over:
                    return machine.found()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stirred.wait(), max(0.0, machine.next_timer() - loop.time()))
                self._read(machine, loop.time())
        finally:
            for made in self._sockets:
                loop.remove_reader(made)
                made.close()

    def _send(self, machine: Check, by: int, data: bytes, to: Address) -> None:
        why = ""
        for _ in range(2):  # the error of an earlier datagram comes first, and keeps this one from being sent
            self._heed(machine, by)
            try:
                self._sockets[by].sendto(data, (str(to.ip), to.port))
                return
            except OSError as error:
                why = reason(error)
        machine.unsent(to, why)

    def _heed(self, machine: Check, by: int) -> None:
        for place, said in complaints(self._sockets[by]):
            machine.unsent(place, said)

    def _read(self, machine: Check, now: float) -> None:
        for by, made in enumerate(self._sockets):
            self._heed(machine, by)
            for data, source in datagram.taken(made):
                machine.receive(by, data, source, now)


async def _tcp(tried: list[Tried]) -> bool:
    """Say whether any of the servers' machines answers at all: by TCP, even if only that nobody listens."""
    return any(await asyncio.gather(*(_answers(one.place) for one in tried)))


async def _answers(place: Address) -> bool:
    with socket.socket(FAMILIES[place.ip.version], socket.SOCK_STREAM) as made:
        made.setblocking(False)
        _mark(made)
        try:
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(made, (str(place.ip), place.port)), TCP)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        return True


def _source(to: Address) -> IPv4Address | IPv6Address | None:
    """Say with which address a packet would leave; None if there is no way."""
    try:
        with socket.socket(FAMILIES[to.ip.version], socket.SOCK_DGRAM) as made:
            _mark(made)
            made.connect((str(to.ip), to.port))
            return Address.of(made.getsockname()[0], 1).ip
    except OSError:
        return None


def _mark(made: socket.socket) -> None:
    with suppress(PermissionError):  # an ordinary user's packets go as all others of this host
        made.setsockopt(socket.SOL_SOCKET, _SO_MARK, OUTER_MARK)


def _may_mark() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        try:
            made.setsockopt(socket.SOL_SOCKET, _SO_MARK, OUTER_MARK)
        except PermissionError:
            return False
        return True
