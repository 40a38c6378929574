"""The agent writes down what it knows of paths, so that `warren status` need not ask it: when a peer is reached another
way, at most once a second, and every few seconds, for what is counted and measured meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from warren.model.state import Peer
from warren.proto.agent import Agent
from warren.proto.known import gist, known_of
from warren.sys.errors import HostError
from warren.sys.known import Note

AT_MOST = 0.9  # seconds between two times; the agent's own beat is a second
ANEW = 5.0  # and until it is written anyhow: a hundred peers take some milliseconds


class Noting:
    """The file of one device."""

    def __init__(self, directory: str, device: str, say: Callable[[str, str, str], None]) -> None:
        self._note, self._device, self._say = Note(directory, device), device, say
        self._gist: object = None
        self._at = float("-inf")
        self._trouble = False

    def note(self, agent: Agent, peers: Mapping[bytes, Peer], port: int, now: float) -> None:
        """Write down what an agent knows of these peers, if it is time to."""
        since, present = now - self._at, gist(agent)
        if since < AT_MOST or (since < ANEW and present == self._gist):
            return
        names = {key: (peer.public_key, peer.name) for key, peer in peers.items()}
        known = known_of(agent, names, port, time.time())
        self._gist, self._at = present, now
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
