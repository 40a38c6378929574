"""A portal's exit is dead: new flows take the next one, and those of the dead one are ended.

addresses behind each exit are asked through its tunnel ─► daemon/exits.py judges ─► a route, a set; flows forgotten

What was chosen is in the kernel and nowhere else: an agent that begins goes on from there, and one that ends leaves it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass, field

from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.exits import BACK, Exits
from warren.model.choice import DIRECT, Choice
from warren.model.prefix import Family
from warren.sys import echo, exits
from warren.sys.errors import HostError
from warren.sys.flows import forget_marked, make_speak

Line = tuple[str, Family]  # a device, and the family that is asked about through it


@dataclass
class _Watched:
    """A choice, the machine that judges it, and which address of its health answered last through each exit."""

    choice: Choice
    judge: Exits
    answered: dict[int, int] = field(default_factory=dict)
    silent: bool = False  # no exit answers, and that was told


class Failover(Duty):
    """Asks through every exit that there is a choice of, and chooses."""

    back = BACK  # seconds; the lab has less patience

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._watched: list[_Watched] = []
        self._sockets: dict[Line, tuple[socket.socket, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stirred = False

    def learn(self, duties: Duties, now: float) -> None:
        """Watch the choices that there are now. One that was there before is judged on, and stays as it was decided."""
        self._table = duties.table
        known = {one.choice: one for one in self._watched}
        self._watched = [known.get(choice) or self._begin(choice) for choice in duties.choices]
        self._open()
        for one in self._watched:
            self._assert(one)
        if self._watched and self._sockets:
            self._wake()

    def names(self) -> tuple[str, ...]:
        """Give the exits that are asked through, and for which family."""
        found = (f"{exit_.host} ({one.choice.family.word})" for one in self._watched for exit_ in one.choice.exits)
        return tuple(dict.fromkeys(found))

    def line(self, text: str) -> None:
        """Note that somebody has altered a table of ours."""
        if not self._stirred and "table 77" in text:
            self._stirred = True

    def tick(self, now: float) -> None:
        """Have what was chosen be so, if somebody altered a table."""
        if self._stirred:
            self._stirred = False
            for one in self._watched:
                self._assert(one)

    def end(self) -> None:
        """Stop asking; what was chosen stays."""
        if self._timer is not None:
            self._timer.cancel()
        self._close()

    # --- asking ------------------------------------------------------------------------------------------

    def _begin(self, choice: Choice) -> _Watched:
        try:
            rank = exits.in_use(choice, self._table)
        except HostError:  # told when it is asserted
            rank = 0
        return _Watched(choice, Exits(len(choice.exits), rank, direct=bool(choice.direct), back=self.back))

    def _open(self) -> None:
        """Open a socket on each device that is there; one that was made anew does not hear by its old one."""
        self._close()
        wanted = {(exit_.device, one.choice.family) for one in self._watched for exit_ in one.choice.exits}
        for line in sorted(wanted):
            try:
                each = echo.open_echo(*line)
            except HostError as error:  # the kernel takes the next exit by itself; an apply makes the device anew
                self.say("trouble", line[0], str(error))
                continue
            # Numbers differ, or conntrack would take all for one flow.
            self._sockets[line] = each, int.from_bytes(os.urandom(2))
            asyncio.get_running_loop().add_reader(each, self._hear, line)

    def _close(self) -> None:
        for each, _ in self._sockets.values():
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        self._sockets = {}

    def _wake(self) -> None:
        """Judge, ask whom it is time to ask, and come back when it is time again."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        ended = [(one, rank) for one in self._watched for rank in self._judge(one, now)]
        for one, rank in ended:  # when all have chosen: who begins anew does not begin with a dead one
            self._end_flows(one.choice, rank)
        for one in self._watched:
            for rank in one.judge.due(now):
                self._ask(one, rank, now)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._watched:
            self._timer = loop.call_later(min(one.judge.wait(now) for one in self._watched), self._wake)

    def _ask(self, one: _Watched, rank: int, now: float) -> None:
        """Ask the address that answered last; when in doubt all of them."""
        each, number = self._sockets.get((one.choice.exits[rank].device, one.choice.family), (None, 0))
        if each is None:  # its device is away
            return
        last = one.answered.get(rank)
        doubt = last is None or one.judge.in_doubt(rank, now)
        for address in one.choice.health if doubt else (one.choice.health[last or 0],):
            echo.ask(each, address, number)

    def _hear(self, line: Line) -> None:
        each, number = self._sockets[line]
        now = asyncio.get_running_loop().time()
        heard = echo.answers(each, number)
        for one in self._watched:
            if one.choice.family is not line[1]:
                continue
            for at, address in enumerate(one.choice.health):
                for rank, exit_ in enumerate(one.choice.exits):
                    if exit_.device == line[0] and str(address) in heard:
                        one.judge.heard(rank, now)
                        one.answered[rank] = at

    # --- choosing ----------------------------------------------------------------------------------------

    def _judge(self, one: _Watched, now: float) -> tuple[int, ...]:
        """Have what is decided be so; give those whose flows are to be ended."""
        before = one.judge.in_use
        judged = one.judge.judge(now)
        try:
            if judged.in_use != before:
                self._stirred = True  # a tick looks whether it is so
                exits.use(one.choice, judged.in_use, self._table)
                self._say_chosen(one.choice, before, judged.in_use)
        except HostError as error:
            self.say("trouble", one.choice.portal, str(error))
        if judged.answered is one.silent:
            one.silent = not judged.answered
            self._say_silent(one)
        return judged.ended

    def _assert(self, one: _Watched) -> None:
        """Have the kernel agree with what was decided: an apply may have made things anew."""
        try:
            if exits.in_use(one.choice, self._table) != one.judge.in_use:
                exits.use(one.choice, one.judge.in_use, self._table)
        except HostError as error:
            self.say("trouble", one.choice.portal, str(error))

    def _end_flows(self, choice: Choice, rank: int) -> None:
        exit_ = choice.exits[rank]
        ended = 0
        try:
            for source in choice.sources:
                count, flows = forget_marked(choice.family, source, exit_.mark)
                make_speak(flows)
                ended += count
        except (HostError, OSError) as error:
            self.say("trouble", choice.portal, str(error))
        if ended:
            self.say(
                "ended", choice.portal, f"{ended} {choice.family.word} flows by {exit_.host}, which is dead, ended"
            )

    def _say_silent(self, one: _Watched) -> None:
        """Tell when no exit answers any more, and when one does again."""
        hosts, rank = [each.host for each in one.choice.exits], one.judge.in_use
        if one.silent:
            stays = "leaves directly" if rank == DIRECT else f"stays with {hosts[rank]}"
            self.say("silent", one.choice.portal, f"no exit answers: {one.choice.family.word} {stays}")
        else:
            self.say("answers", one.choice.portal, f"{' or '.join(hosts)} answers again for {one.choice.family.word}")

    def _say_chosen(self, choice: Choice, before: int, now: int) -> None:
        was, is_ = (f"by {choice.exits[at].host}" if at != DIRECT else "directly" for at in (before, now))
        self.say("chosen", choice.portal, f"{choice.family.word} leaves {is_} from now on, and no longer {was}")
