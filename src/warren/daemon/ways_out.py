"""LANs with a delegated prefix are told whether there is a way out by the tunnel that they depend on.

each second ─► far ends asked through their tunnels ─► silent for 5 s: no way out is announced, until they answer
"""

from __future__ import annotations

import asyncio
import os
import socket

from warren.core.compile.delegates import ANNOUNCER, ROUTER_LIFETIME, without_a_way_out
from warren.core.delegates import Watched
from warren.core.render.programs import files_of
from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.pulse import Pulse
from warren.sys import echo, services
from warren.sys.advertise import advertise
from warren.sys.errors import HostError


class WaysOut(Duty):
    """Asks the far ends, and has the announcer say what is so."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._number = int.from_bytes(os.urandom(2))
        self._sockets: dict[str, socket.socket] = {}

    def begin(self, duties: Duties, now: float) -> None:
        """Start asking."""
        self._duties = duties
        self._pulse = Pulse((one.peer for one in duties.watched), now)
        self._open()
        self._ask()

    def learn(self, duties: Duties, now: float) -> None:
        """Ask those that LANs depend on now; a device that was made anew does not hear by its old socket."""
        self._duties = duties
        self._pulse.watch((one.peer for one in duties.watched), now)
        self._open()

    def names(self) -> tuple[str, ...]:
        """Give the peers that are asked."""
        return tuple(one.peer for one in self._duties.watched)

    def moved(self, now: float) -> None:
        """Have a packet leave with the new address at once."""
        self._ask()

    def tick(self, now: float) -> None:
        """Judge by what was heard, and ask again."""
        self._judge(now)
        self._ask()

    def end(self) -> None:
        """Nobody judges from here on: what LANs are told is what holds without an agent."""
        self._close()
        if self._pulse.down:
            self._announce(frozenset())

    def _open(self) -> None:
        opened: dict[str, socket.socket] = {}
        try:
            for one in self._duties.watched:
                opened[one.peer] = echo.open_echo(one.device)
        except HostError:
            for each in opened.values():
                each.close()
            raise
        self._close()
        self._sockets = opened
        for one in self._duties.watched:
            asyncio.get_running_loop().add_reader(opened[one.peer], self._hear, one)

    def _close(self) -> None:
        for each in self._sockets.values():
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self._sockets = {}

    def _ask(self) -> None:
        for one in self._duties.watched:
            if one.peer in self._sockets:  # not while its device is away
                echo.ask(self._sockets[one.peer], one.address, self._number)

    def _hear(self, one: Watched) -> None:
        now = asyncio.get_running_loop().time()
        if str(one.address) in echo.answers(self._sockets[one.peer], self._number):
            self._pulse.heard(one.peer, now)
            if one.peer in self._pulse.down:
                self._judge(now)

    def _judge(self, now: float) -> None:
        fell, rose = self._pulse.changed(now)
        for peer in fell:
            lans = self._lans(peer)
            self.say("silent", peer, f"silent: {', '.join(lans)} told that there is no way out", lans)
        for peer in rose:
            lans = self._lans(peer)
            self.say("answers", peer, f"answers again: {', '.join(lans)} told that there is a way out", lans)
        self._announce(self._pulse.down)

    def _lans(self, peer: str) -> tuple[str, ...]:
        return tuple(lan for one in self._duties.watched if one.peer == peer for lan in one.lans)

    def _announce(self, down: frozenset[str]) -> None:
        """Have the announcer say what is so, if it says something else: an apply may have started it anew."""
        ways: dict[str, bool] = {}
        for one in self._duties.watched:
            for lan in one.lans:
                ways[lan] = ways.get(lan, False) or one.peer not in down
        wanted = without_a_way_out(self._duties.live, [lan for lan, way in ways.items() if not way])
        files = files_of(ANNOUNCER, self._duties.network, self._duties.directory)
        if not wanted or services.read(files.live) in (wanted, None):
            return
        try:
            services.rewrite(files.live, wanted)
            for lan, way in ways.items():
                advertise(lan, ROUTER_LIFETIME if way else 0)
            services.start_anew(files)
        except (HostError, OSError) as error:  # taken down meanwhile
            self.say("trouble", self._duties.network, str(error))
