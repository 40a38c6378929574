"""What runs beside the tunnels in a network whose hosts find each other: rendezvous servers, and agents on the hosts.

They are the very ones of `warren rendezvous` and `warren agent`, in processes of their own. The servers stand on the
internet, each at its address; what an agent or a server tells is a line of a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from warren.lab.keys import PLACE
from warren.lab.spaces import Spaces
from warren.lab.topology import INTERNET, host_space
from warren.lab.works import memory
from warren.model.host import Host
from warren.model.lock import Lock
from warren.model.network import Network

if TYPE_CHECKING:
    from warren.daemon.meeting import Meeting


def server_name(number: int) -> str:
    """Name a server of the file, by its place in the list."""
    return f"rendezvous.{number}"


def told_by(name: str) -> Path:
    """Say where an agent or a server of the lab writes what it tells."""
    return PLACE / name / "told"


class Daemons:
    """The servers and agents of one lab."""

    def __init__(self, network: Network, lock: Lock, spaces: Spaces) -> None:
        self.network, self.lock, self.spaces = network, lock, spaces
        self.running: dict[str, int] = {}  # process by name

    def start(self) -> None:
        """Start every server, and an agent on every host that finds others by them, knocks, or is knocked at."""
        for number, _ in enumerate(self.network.rendezvous):
            self.serve(number)
        for host in self.network.hosts:
            if any(self._need_agents(host, other) for other in self.network.hosts if other is not host):
                self.attend(host.name)

    def _need_agents(self, one: Host, other: Host) -> bool:
        """Say whether the tunnel of two hosts comes up only with agents: they have to meet, or to knock."""
        knocks = any(host.knock is not None for host in (one, other))
        return knocks or self.network.meet(one.name, other.name)

    def serve(self, number: int) -> None:
        """Start a server."""
        from warren.daemon.kept import Sqlite
        from warren.daemon.rendezvous import Server
        from warren.daemon.served import settings_of

        name = server_name(number)
        file = self.network.rendezvous[number].private_key

        def work(tell: Callable[[object], None]) -> None:
            store = Sqlite(str(PLACE / name / "kept.sqlite"))
            asyncio.run(Server(settings_of(self.network, file, None), store, tell).run())

        self._start(name, INTERNET, work)

    def attend(self, host: str, among: Collection[str] = ()) -> None:
        """Start the agent of a host; `among`: it is to find these hosts only."""
        from warren.daemon.agent import Agent
        from warren.daemon.duties import after_each_apply, duties_here
        from warren.daemon.duty import Duties
        from warren.sys.machine import Machine
        from warren.sys.store import Store

        def work(tell: Callable[[object], None]) -> None:
            machine = Machine(Store(memory(host)))

            def read() -> Duties:
                duties = duties_here(self.network, self.lock, host, machine)
                return replace(duties, meetings=tuple(_among(one, among) for one in duties.meetings))

            asyncio.run(Agent(read(), tell, after_each_apply(read, self.network.name, machine)).run())

        self._start(host, host_space(host), work)

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """End a server or an agent, and give its status as waitpid(2) does."""
        number = self.running.pop(name)
        os.kill(number, how)
        return os.waitpid(number, 0)[1]

    def _start(self, name: str, space: str, work: Callable[[Callable[[object], None]], None]) -> None:
        told = told_by(name)
        told.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        told.touch()

        def tell(event: object) -> None:
            line = {"at": time.monotonic(), **asdict(event)}  # type: ignore[call-overload]
            with told.open("a") as file:
                file.write(json.dumps(line) + "\n")

        def run() -> int:
            try:
                work(tell)
            except BaseException as error:
                told.write_text(told.read_text() + "".join(traceback.format_exception(error)))
                return 1
            return 0

        self.running[name] = self.spaces.fork(space, run)


def _among(meeting: Meeting, names: Collection[str]) -> Meeting:
    return replace(meeting, peers=tuple(peer for peer in meeting.peers if not names or peer.name in names))
