"""The agent of one network on one host: it sees to what no apply can foresee. Each duty is a file of its own.

    ip monitor ──► a line of it; the uplink changed ──┐
    1 s ─────────► a tick ────────────────────────────┼──► every duty, in the order of DUTIES
    apply, down ─► what there is to see to now ───────┘    (while that cannot be told, it is what it was)

It changes no device and no rule, no route but those by which it chooses exits, and leaves everything as it is when it
ends, but for what it announced.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from warren.daemon.contents import Contents
from warren.daemon.dialled import Dialled
from warren.daemon.duty import Duties, Duty, Event, Tell
from warren.daemon.failover import Failover
from warren.daemon.followed import Followed
from warren.daemon.knock import Knocker
from warren.daemon.knocked import Knocked
from warren.daemon.meet import Meet
from warren.daemon.pulse import EVERY
from warren.daemon.uplink import Uplink
from warren.daemon.ways_out import WaysOut
from warren.sys.errors import HostError
from warren.sys.monitor import MONITOR, is_of
from warren.sys.notify import ALIVE, READY, STOPPING, notify, status
from warren.sys.run import environment

# Knocks before endpoints, endpoints before questions: what is asked after a move leaves with the new address.
DUTIES: tuple[type[Duty], ...] = (Knocked, Knocker, Uplink, Meet, Followed, WaysOut, Failover, Contents, Dialled)

# Seconds in which the changes of one move arrive; what comes after them counts as another. A host with a table that
# never rests is not busy with this alone: from one time to the next the wait is doubled, up to EVERY.
SETTLES = 0.02


@dataclass
class Agent:
    """One run of the agent. `again` gives the duties when something was applied since it was last asked, else None."""

    duties: Duties
    tell: Tell
    again: Callable[[], Duties | None] = lambda: None

    async def run(self) -> None:
        """See to it until SIGTERM or SIGINT; HostError if it cannot be seen to here."""
        loop = asyncio.get_running_loop()
        self.moved = asyncio.Event()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        self.each = tuple(make(self.tell) for make in DUTIES)
        begun: list[Duty] = []
        tasks: list[asyncio.Task[object]] = []
        try:
            for duty in self.each:
                duty.begin(self.duties, loop.time())
                begun.append(duty)
            tasks = [
                asyncio.create_task(work) for work in (self._monitor(), self._follow(), self._beat(), ended.wait())
            ]
            self._say_watching()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            notify(STOPPING)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for duty in reversed(begun):
                duty.end()

    async def _monitor(self) -> None:
        """Listen to what changes, for as long as `ip monitor` tells."""
        process = await asyncio.create_subprocess_exec(
            *MONITOR, stdout=asyncio.subprocess.PIPE, env=environment(os.environ), stdin=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                text = line.decode(errors="replace")
                if is_of(text, self.duties.uplink):
                    self.moved.set()
                for duty in self.each:
                    duty.line(text)
            raise HostError("`ip monitor` ended, so nothing of the uplink would be noticed any more")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _follow(self) -> None:
        """Tell of each move once, when its changes have arrived."""
        loop = asyncio.get_running_loop()
        settles = SETTLES
        while True:
            await self.moved.wait()
            self.moved.clear()
            for duty in self.each:
                duty.moved(loop.time())
            await asyncio.sleep(settles)
            settles = min(2 * settles, EVERY) if self.moved.is_set() else SETTLES

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EVERY)
            self._learn(loop.time())
            for duty in self.each:
                duty.tick(loop.time())
            notify(ALIVE)

    def _learn(self, now: float) -> None:
        """After an apply see to what is there now; a file that is wrong, or a `down`, leaves things as they are."""
        try:
            found = self.again()
        except (HostError, OSError) as error:
            self._say_trouble(error)
            return
        if found is None:
            return
        former, self.duties = self.duties, found
        for duty in self.each:
            try:
                duty.learn(found, now)
            except (HostError, OSError) as error:
                self._say_trouble(error)
        if found != former:
            self._say_watching()

    def _say_trouble(self, error: Exception) -> None:
        self.tell(Event("trouble", self.duties.network, (), str(error)))

    def _say_watching(self) -> None:
        names = [name for duty in self.each for name in duty.names()]
        says = f"watching {', '.join(names)}"
        self.tell(Event("watching", self.duties.uplink, (), says))
        notify(READY, status(says))
