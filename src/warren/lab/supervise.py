"""The process that holds a lab: it brings it up, answers what it is asked, and takes it down by ending.

    python -m warren.lab.supervise CONTROL LISTEN CALLER      (numbers of inherited descriptors; -1: none)

It is started by `control`. The network comes pickled on standard input; what it tells goes, a JSON object a line, to
whoever asked: over CONTROL to the one who started it, over LISTEN to whoever connects later.
"""

from __future__ import annotations

import json
import pickle
import selectors
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from warren.lab.enclose import complain, enclose
from warren.sys.errors import HostError

if TYPE_CHECKING:
    from warren.lab.lab import Lab
    from warren.model.lock import Lock
    from warren.model.network import Network

Told = dict[str, Any]


def main(argv: list[str], kind: type[Supervisor] | None = None) -> int:
    """Read the network, go inside, and serve until told to end."""
    control, listen, caller = (int(word) for word in argv)
    network, lock, version = pickle.load(sys.stdin.buffer)
    asking = socket.socket(fileno=control)
    supervisor = (kind or Supervisor)(network, lock, version, listen)

    def broken(error: BaseException) -> None:
        """Tell everybody who waits for an answer; what is no sentence for people goes to the log too."""
        for caller in {asking, *supervisor.callers}:
            with suppress(OSError):  # gone, or, for who started us and left, closed
                _tell(caller, _trouble(error))
        if not isinstance(error, HostError):
            complain(error)

    try:
        return enclose(lambda: supervisor.run(asking), caller, broken)
    except HostError as error:
        _tell(asking, _trouble(error))
        return 1


class Supervisor:
    """Holds a lab and answers who asks."""

    def __init__(self, network: Network, lock: Lock | None, version: str, listen: int) -> None:
        self.network, self.lock, self.made_from, self.listen = network, lock, version, listen
        self.ended = False
        self.callers: set[socket.socket] = set()

    def bring_up(self) -> Lab:
        """Bring the lab up."""
        from warren.lab.lab import bring_up

        return bring_up(self.network, self.lock)

    def answer(self, wanted: dict[str, Any]) -> Iterator[Told]:
        """Do what is asked, and tell of it."""
        return _ANSWERS[wanted.pop("do")](self, **wanted)

    def run(self, starter: socket.socket) -> int:
        """Bring the lab up and attend to whoever asks, until told to end."""
        started = time.monotonic()
        self.lab = self.bring_up()
        if self.listen >= 0:
            self._open_door(socket.socket(fileno=self.listen))
        _tell(starter, {"up": round(time.monotonic() - started, 2)})
        self._attend(starter)
        self.lab.wait(lambda: self.ended, float("inf"))
        return 0

    def _open_door(self, door: socket.socket) -> None:
        door.listen(8)  # here, so that a caller learns the pid of this process (unix(7), SO_PEERCRED)
        door.setblocking(False)
        self.lab.selector.register(door, selectors.EVENT_READ, lambda: self._welcome(door))

    def _welcome(self, door: socket.socket) -> None:
        """Take a caller in, if it is ours."""
        import os

        caller, _ = door.accept()
        _, user, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user == os.getuid():
            self._attend(caller)
        else:
            caller.close()

    def _attend(self, caller: socket.socket) -> None:
        caller.setblocking(True)
        self.callers.add(caller)
        self.lab.selector.register(caller, selectors.EVENT_READ, lambda: self._listen_to(caller))

    def _listen_to(self, caller: socket.socket) -> None:
        said = caller.recv(65536)
        if not said:
            self._leave(caller)
            return
        wanted = json.loads(said)
        try:
            for told in self.answer(wanted):
                _tell(caller, told)
        except BrokenPipeError:  # the caller went away, the lab stays
            self._leave(caller)
        except HostError as error:
            _tell(caller, _trouble(error))

    def _leave(self, caller: socket.socket) -> None:
        self.lab.selector.unregister(caller)
        self.callers.discard(caller)
        caller.close()

    def test(self) -> Iterator[Told]:
        """Try every expectation."""
        from warren.lab.report import as_dict, line_of
        from warren.lab.trial import try_all

        holds = True
        for verdict in try_all(self.lab):
            holds = holds and verdict.holds
            yield {"line": as_dict(line_of(verdict, self.lab.network.expects))}
        yield {"ok": holds}

    def crowd(self, expects: list[int], times: int) -> Iterator[Told]:
        """Ask the questions of these expectations many times over, all at once; tell where each packet left."""
        from warren.lab.trial import crowd

        wanted = [self.network.expects[at] for at in expects]
        for at, counts in enumerate(crowd(self.lab, wanted, times)):
            yield {"expect": expects[at], "left": counts}
        yield {"ok": True}

    def where(self) -> Iterator[Told]:
        """Say where each machine's namespaces are, by the name people call it."""
        yield {
            "spaces": _spaces_of(self.lab),
            "uplinks": {n.name: n.uplink for n in self.lab.world.machines},
            "ok": True,
        }

    def version(self) -> Iterator[Told]:
        """Say from which version of the file the lab was made."""
        yield {"version": self.made_from, "ok": True}

    def down(self) -> Iterator[Told]:
        """End."""
        self.ended = True
        yield {"ok": True}


_ANSWERS: dict[str, Callable[..., Iterator[Told]]] = {
    "test": Supervisor.test,
    "crowd": Supervisor.crowd,
    "where": Supervisor.where,
    "version": Supervisor.version,
    "down": Supervisor.down,
}


def _spaces_of(lab: Lab) -> dict[str, list[int]]:
    from warren.lab.judge import machine_in
    from warren.lab.topology import SWITCH

    spaces = {
        machine_in(name, lab.world): space for name, space in lab.spaces.by_name.items() if name not in ("", SWITCH)
    }
    return {name: [space.net, space.mounts] for name, space in spaces.items()}


def _trouble(error: BaseException) -> Told:
    if isinstance(error, HostError):
        return {"error": {"says": error.says, "remedy": error.remedy}}
    where = "".join(traceback.format_exception(error)).strip()
    return {"error": {"says": f"the lab broke: {type(error).__name__}: {error}", "remedy": where}}


def _tell(whom: socket.socket, told: Told) -> None:
    whom.sendall(json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
