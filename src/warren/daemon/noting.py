"""The agent writes down what it knows of paths, so that `warren status` need not ask it: at most once a second, if
anything is different, and now and then though nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from warren.model.state import Peer
from warren.proto.agent import Agent
from warren.proto.known import Known, known_of
from warren.sys.errors import HostError
from warren.sys.known import Note

AT_MOST = 0.9  # seconds between two times; the agent's own beat is a second
ANEW = 15.0  # and until it is written though it says the same: its time tells how old it is


class Noting:
    """The file of one device."""

    def __init__(self, directory: str, device: str, say: Callable[[str, str, str], None]) -> None:
        self._note, self._device, self._say = Note(directory, device), device, say
        self._last: Known | None = None
        self._at = float("-inf")
        self._trouble = False

    def note(self, agent: Agent, peers: Mapping[bytes, Peer], port: int, now: float) -> None:
        """Write down what an agent knows of these peers, if it is time to."""
        since = now - self._at
        if since < AT_MOST:
            return
        names = {key: (peer.public_key, peer.name) for key, peer in peers.items()}
        known = known_of(agent, names, port, time.time())
        if since < ANEW and known.says_the_same(self._last):
            return
        self._last, self._at = known, now
        try:
            self._note.write(known)
            self._trouble = False
        except HostError as error:  # paths do not depend on it: told once, and tried again
            if not self._trouble:
                self._say("trouble", self._device, str(error))
            self._trouble = True

    def end(self) -> None:
        """Take the file away."""
        self._note.remove()
