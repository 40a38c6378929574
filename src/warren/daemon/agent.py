"""The agent of one network on one host: it sees to what no apply can foresee.

    ip monitor ──► the uplink changed ──► peers' endpoints set once more, so that packets leave with the new address
    1 s ─────────► far ends asked through the tunnels that LANs depend on ──► silent for 5 s: no way out is announced

    apply, down ─► what there is to see to is asked for anew; while that cannot be told, it is what it was

It changes no device, route or rule, and leaves everything as it is when it ends, but for what it announced.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from warren.core.compile.delegates import ANNOUNCER, ROUTER_LIFETIME, without_a_way_out
from warren.core.delegates import Watched
from warren.core.render.programs import Files, files_of
from warren.daemon.pulse import EVERY, Pulse
from warren.model.lock import FollowedLock
from warren.model.prefix import Prefix
from warren.sys import echo, services
from warren.sys.advertise import advertise
from warren.sys.errors import HostError
from warren.sys.followed import prefixes_here
from warren.sys.monitor import MONITOR, is_of
from warren.sys.renew import renew_endpoints
from warren.sys.run import environment

# Seconds in which the changes of one move arrive; what comes after them counts as another. A host with a table that
# never rests is not busy with this alone: from one time to the next the wait is doubled, up to EVERY.
SETTLES = 0.02


@dataclass(frozen=True, slots=True)
class Event:
    """What the agent has to tell: `kind` is watching, moved, silent, answers, renumbered or trouble.

    `subject` is the uplink or the peer it is about, `lans` are those that are told; `says` is for people.
    """

    kind: str
    subject: str
    lans: tuple[str, ...]
    says: str


Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Duties:
    """What there is to see to: the network, its devices here, the uplink, the tunnels that LANs depend on.

    `live` is what the announcer was started with. `followed` are devices here, with the prefix the lock has of each.
    """

    network: str
    uplink: str
    devices: tuple[str, ...]
    watched: tuple[Watched, ...]
    directory: str
    live: str = ""
    followed: tuple[FollowedLock, ...] = ()

    @property
    def files(self) -> Files:
        """Where the announcer's files lie."""
        return files_of(ANNOUNCER, self.network, self.directory)


@dataclass
class Agent:
    """One run of the agent. `again` gives the duties when something was applied since it was last asked, else None."""

    duties: Duties
    tell: Tell
    again: Callable[[], Duties | None] = lambda: None
    number: int = field(default_factory=lambda: int.from_bytes(os.urandom(2)))
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    stirred: bool = False  # something happened to a device that is followed

    async def run(self) -> None:
        """See to it until SIGTERM or SIGINT; HostError if the network is not applied here."""
        loop = asyncio.get_running_loop()
        self.pulse = Pulse((one.peer for one in self.duties.watched), loop.time())
        self.moved = asyncio.Event()
        self.told = self._locked()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        self._open()
        tasks = [asyncio.create_task(work) for work in (self._monitor(), self._follow(), self._watch(), ended.wait())]
        self._say_watching()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._close()
            if self.pulse.down:  # nobody judges from here on
                self._announce(frozenset())

    # --- what there is to see to -------------------------------------------------------------------------

    def _open(self) -> None:
        """Open sockets on the devices that there are now; one that was made anew does not hear by its old one."""
        opened: dict[str, socket.socket] = {}
        try:
            for one in self.duties.watched:
                opened[one.peer] = echo.open_echo(one.device)
        except HostError:
            for each in opened.values():
                each.close()
            raise
        self._close()
        self.sockets = opened
        for one in self.duties.watched:
            asyncio.get_running_loop().add_reader(opened[one.peer], self._hear, one)

    def _close(self) -> None:
        for each in self.sockets.values():
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self.sockets = {}

    def _learn(self, now: float) -> None:
        """After an apply see to what is there now; a file that is wrong, or a `down`, leaves things as they are."""
        try:
            found = self.again()
            if found is None:
                return
            former, self.duties = self.duties, found
            self.told = self._locked()
            self.pulse.watch((one.peer for one in found.watched), now)
            self._open()
            if found != former:
                self._say_watching()
        except (HostError, OSError) as error:
            self._say("trouble", self.duties.network, str(error))

    def _locked(self) -> dict[str, Prefix]:
        return {one.device: one.prefix for one in self.duties.followed}

    # --- the uplink --------------------------------------------------------------------------------------

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
                self.stirred = self.stirred or any(is_of(text, device) for device in self.told)
            raise HostError("`ip monitor` ended, so nothing of the uplink would be noticed any more")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _compare(self) -> None:
        """Say when a device that a delegate follows has another prefix than the lock: everybody has to know it.

        Not at each line of `ip monitor`, of which there may be thousands: to look costs a program.
        """
        if not self.stirred:
            return
        self.stirred = False
        try:
            found = prefixes_here()
        except HostError as error:
            self._say("trouble", self.duties.network, str(error))
            return
        for device, prefix in found.items():
            if self.told.get(device, prefix) != prefix:
                self.told[device] = prefix
                remedy = "`warren lock FILE --host` this one, then apply here and where the LANs are"
                self._say("renumbered", device, f"has {prefix} now, and the lock something else: {remedy}")

    async def _follow(self) -> None:
        """After each move have packets leave with the address that the uplink has now, and have one leave at once."""
        settles = SETTLES
        while True:
            await self.moved.wait()
            self.moved.clear()
            try:
                count = renew_endpoints(self.duties.devices)
                self._say("moved", self.duties.uplink, f"the uplink has changed: {count} endpoints set once more")
            except HostError as error:
                self._say("trouble", self.duties.uplink, str(error))
            self._ask()
            await asyncio.sleep(settles)
            settles = min(2 * settles, EVERY) if self.moved.is_set() else SETTLES

    # --- the tunnels -------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._ask()
            await asyncio.sleep(EVERY)
            self._learn(loop.time())
            self._compare()
            self._judge(loop.time())

    def _ask(self) -> None:
        for one in self.duties.watched:
            if one.peer in self.sockets:  # not while its device is away
                echo.ask(self.sockets[one.peer], one.address, self.number)

    def _hear(self, one: Watched) -> None:
        now = asyncio.get_running_loop().time()
        if str(one.address) in echo.answers(self.sockets[one.peer], self.number):
            self.pulse.heard(one.peer, now)
            if one.peer in self.pulse.down:
                self._judge(now)

    def _judge(self, now: float) -> None:
        fell, rose = self.pulse.changed(now)
        for peer in fell:
            lans = self._lans(peer)
            self._say("silent", peer, f"silent: {', '.join(lans)} told that there is no way out", lans)
        for peer in rose:
            lans = self._lans(peer)
            self._say("answers", peer, f"answers again: {', '.join(lans)} told that there is a way out", lans)
        self._announce(self.pulse.down)

    def _lans(self, peer: str) -> tuple[str, ...]:
        return tuple(lan for one in self.duties.watched if one.peer == peer for lan in one.lans)

    def _say_watching(self) -> None:
        peers = "".join(f", {one.peer}" for one in self.duties.watched)
        self._say("watching", self.duties.uplink, f"watching the uplink{peers}")

    def _say(self, kind: str, subject: str, says: str, lans: tuple[str, ...] = ()) -> None:
        self.tell(Event(kind, subject, lans, says))

    def _announce(self, down: frozenset[str]) -> None:
        """Have the announcer say what is so, if it says something else: an apply may have started it anew."""
        ways: dict[str, bool] = {}
        for one in self.duties.watched:
            for lan in one.lans:
                ways[lan] = ways.get(lan, False) or one.peer not in down
        wanted = without_a_way_out(self.duties.live, [lan for lan, way in ways.items() if not way])
        files = self.duties.files
        if not wanted or services.read(files.live) in (wanted, None):
            return
        try:
            services.rewrite(files.live, wanted)
            for lan, way in ways.items():
                advertise(lan, ROUTER_LIFETIME if way else 0)
            services.start_anew(files)
        except (HostError, OSError) as error:  # taken down meanwhile
            self._say("trouble", self.duties.network, str(error))
