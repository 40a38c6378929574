"""An event loop around `proto.agent`, which decides everything.

    servers, peers ──► WireGuard's port ──┐
    where servers and this host are ──────┴──► Agent ──► Tunnel      where WireGuard sends to, what is refused

Each WireGuard device has one of its own: its port is known to NATs and servers by itself.
"""

from __future__ import annotations

import asyncio
import os
import socket

from warren.daemon.aside import Aside
from warren.daemon.mapped import Mapped
from warren.daemon.meeting import Meeting, Say
from warren.daemon.noting import Noting
from warren.daemon.tunnel import Tunnel
from warren.daemon.whereabouts import MOST_OFFERED, Servers, own_places
from warren.model.key import SecretRef, decode_key
from warren.proto.address import Address
from warren.proto.agent import Agent
from warren.proto.member import ALL
from warren.proto.noise import KeyPair
from warren.proto.states import State
from warren.sys.errors import HostError
from warren.sys.secret import read_secret
from warren.sys.wgport import Port


class Finder:
    """Finds the peers of one WireGuard device; `say(kind, subject, says)` tells what happened, `noting` what is so."""

    def __init__(self, meeting: Meeting, say: Say, noting: Noting | None = None) -> None:
        """Open WireGuard's port and the private key; HostError if that cannot be done here."""
        self._meeting, self._say = meeting, say
        private = decode_key(read_secret(SecretRef(meeting.private_key)))
        self.agent = Agent(KeyPair.of(private), (), (), os.urandom, decode_key(meeting.only) if meeting.only else ALL)
        self.port = Port(meeting.port, meeting.mark)
        self.tunnel = Tunnel(meeting, say)
        self.mapped = Mapped(meeting.port, meeting.mark, private, say, self._remapped)
        self._aside = Aside(meeting, self.port, self._hear, say)
        self._servers = Servers(self.port, self._serve_by, say)
        self._states: dict[bytes, State] = {}
        self._noting = noting
        self._timer: asyncio.TimerHandle | None = None
        for reader in self.port.readers:
            asyncio.get_running_loop().add_reader(reader, self._read, reader)

    # --- what the duty knows ------------------------------------------------------------------------------

    def suits(self, meeting: Meeting) -> bool:
        """Say whether this can be found from the port and with the key that are open."""
        return meeting.at == self._meeting.at

    def find(self, meeting: Meeting, devices: tuple[str, ...], now: float) -> None:
        """Find these peers from now on, by these servers. Nobody is reached by `devices`, our own tunnels."""
        if self._meeting.servers != meeting.servers:
            self._servers.hurry(now)
        self._meeting, self.port.apart = meeting, frozenset(devices)
        self.tunnel.find(meeting)
        self.agent.link(self.tunnel.peers)
        self.tunnel.follow(self.agent.paths)
        self._states = {peer: self._states.get(peer, State.ABSENT) for peer in self.tunnel.peers}
        self.mapped.ask(meeting.uplink, now)
        self._offer(now)
        self._servers.look_up(meeting, now)
        self.pump()

    @property
    def names(self) -> tuple[str, ...]:
        """Give the peers that are to be found."""
        return tuple(peer.name for peer in self.tunnel.peers.values())

    def moved(self, now: float) -> None:
        """The uplink has changed."""
        self.mapped.moved(now)
        self._offer(now)
        self.agent.moved(now)
        self._servers.hurry(now)
        self.pump()

    def tick(self, now: float, stirred: bool) -> None:
        """See whether WireGuard carries anything, and to what runs out; `stirred`: addresses came or went."""
        if stirred:
            self._offer(now)
        self.mapped.tick(now)
        self._servers.look_up(self._meeting, now)
        for peer in self.tunnel.busy():
            self.agent.traffic(peer, now)
        self.tunnel.refuse(now)
        self.pump()
        if self._noting is not None:
            self._noting.note(self.agent, self.tunnel.peers, self.port.port, now)

    def close(self) -> None:
        """Be done with it, and refuse nothing any more."""
        self._servers.close()
        self.mapped.close()
        if self._timer is not None:
            self._timer.cancel()
        for reader in self.port.readers:
            asyncio.get_running_loop().remove_reader(reader)
        self._aside.close()
        self.port.close()
        self.tunnel.close()
        if self._noting is not None:
            self._noting.end()

    # --- in and out ---------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what is to be sent, use what is to be used, and come back when something is due."""
        loop = asyncio.get_running_loop()
        for data, to in self.agent.to_send(loop.time()):
            if not self.port.send(data, to):
                self.agent.unsent(to)
        self._aside.send(self.agent.apart())
        self._aside.bind(self.agent.bound, loop.time())
        self.tunnel.use(self.agent.events(), loop.time())
        self._tell_states()
        if self._timer is not None:
            self._timer.cancel()
        due = self.agent.next_timer()
        self._timer = loop.call_at(due, self.pump) if due != float("inf") else None

    def _read(self, reader: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in self.port.taken(reader):
            self.agent.receive(data, source, now)
        self.pump()

    def _hear(self, data: bytes, source: Address, port: int) -> None:
        self.agent.receive(data, source, asyncio.get_running_loop().time(), port)
        self.pump()

    def _serve_by(self, servers: dict[Address, bytes]) -> None:
        self.agent.serve_by(servers.items(), asyncio.get_running_loop().time())
        self.pump()

    def _remapped(self) -> None:
        self._offer(asyncio.get_running_loop().time())
        self.pump()

    def _offer(self, now: float) -> None:
        """Say where this host may be reached."""
        try:
            self.agent.offer((*self.mapped.candidates, *own_places(self.port))[:MOST_OFFERED], now)
        except HostError as error:
            self._say("trouble", "addresses", str(error))

    def _tell_states(self) -> None:
        for peer, path in self.agent.paths.items():
            if path.state is not self._states[peer]:
                self._states[peer] = path.state
                at = self.tunnel.uses[peer].endpoint
                says = {
                    State.ABSENT: "has gone",
                    State.SEEKING: "is here: a path is sought",
                    State.RELAYED: f"is reached by the relay {at}",
                    State.DIRECT: f"is reached directly at {at}",
                }[path.state]
                self._say("path", self.tunnel.peers[peer].name, says)
