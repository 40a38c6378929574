"""What the routers of an uplink speak by which they could open a port: asked now, and nothing opened (`netcheck`)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from warren.proto.address import Address
from warren.proto.portmap import http
from warren.proto.portmap.survey import Spoken, Survey
from warren.proto.portmap.values import SERVER, By
from warren.sys import router as routers
from warren.sys.router import PATIENCE, Router


@dataclass(frozen=True, slots=True)
class Asked:
    """One router: its address, what it speaks, and its address outside (empty if it does not say)."""

    router: str
    speaks: tuple[By, ...]
    outside: str = ""


async def ask_routers(device: str, mark: int = 0) -> tuple[Asked, ...]:
    """Ask the routers of a device, all at once, for at most some seconds; none if it leads to no router.

    `mark` is WireGuard's own, by which packets leave by the uplink under a full tunnel too; it needs CAP_NET_ADMIN.
    HostError if `ip` fails.
    """
    found = {router.ip: router for router in reversed(routers.routers(device, mark))}
    return tuple(await asyncio.gather(*(_ask(router, mark) for router in reversed(found.values()))))


async def _ask(router: Router, mark: int) -> Asked:
    loop = asyncio.get_running_loop()
    survey = Survey(Address(router.ip, 0), Address(router.source, SERVER), loop.time())
    stirred = asyncio.Event()
    with ExitStack() as open_:
        try:
            server = open_.enter_context(routers.line(router, mark))
            searcher = open_.enter_context(routers.searcher(router, mark)) if router.ip.version == 4 else server
        except OSError:  # there is no way to it at this moment
            return Asked(str(router.ip), ())

        def read(at: socket.socket) -> None:
            for data, source in routers.taken(at, survey.nobody):
                survey.receive(data, source)
            stirred.set()

        for each in {server, searcher}:
            loop.add_reader(each, read, each)
            open_.callback(loop.remove_reader, each)
        while not survey.done:
            for data, to in survey.to_send(loop.time()):
                routers.send(server if to.port == SERVER else searcher, router, data, to)
            for one in survey.exchanges():
                answer = await asyncio.to_thread(
                    routers.exchange, router, mark, one.to, one.data, http.LARGEST, http.complete, PATIENCE
                )
                survey.answered(answer)
            stirred.clear()
            if not survey.done:
                try:
                    await asyncio.wait_for(stirred.wait(), max(0.0, survey.next_timer() - loop.time()))
                except TimeoutError:
                    continue
    return _as_told(router, survey.spoken)


def _as_told(router: Router, spoken: Spoken) -> Asked:
    speaks = tuple(by for by in By if by in spoken.protocols)
    return Asked(str(router.ip), speaks, str(spoken.outside) if spoken.outside is not None else "")
