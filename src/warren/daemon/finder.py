"""An event loop around `proto.agent`, which decides everything.

    servers, peers ──► WireGuard's port ──► Agent ──► `wg set … endpoint`         what is sent to where
                                              └─────► the live sets left4, left6  what is refused meanwhile

Order matters where both sides go over to another path: first what still comes by the old one is refused, then the
endpoint is set. What is refused runs out, so it is said again in time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

from warren.core.compile.meeting import LASTS
from warren.daemon.meeting import Left, Meeting, Used, by_set, is_traffic
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef, decode_key
from warren.model.state import Backend, Peer
from warren.proto.address import Address, Candidate, Origin
from warren.proto.agent import Agent
from warren.proto.codec import MAX_CANDIDATES
from warren.proto.noise import KeyPair
from warren.proto.path import Use
from warren.proto.states import State
from warren.sys import ip
from warren.sys.endpoints import every_address
from warren.sys.errors import HostError
from warren.sys.peers import handshakes, make_anew, refill, send_to, sent_to, transfers
from warren.sys.secret import read_secret
from warren.sys.wgport import Port

NOWHERE = Address.of("127.0.0.1", 9)  # nobody listens there, and nothing leaves the host
HOLDS = 7.0  # seconds for which a handshake is left to the other side, which may try only every 5
FRESH = 150.0  # seconds for which a handshake says that the two have a session
LOOKS_UP = 10.0  # seconds until names of servers that stand for no address are looked up again
LOOKS_AGAIN = 300.0  # and those that did
REFRESHES = LASTS / 3


class Finder:
    """Finds the peers of one WireGuard device; `say(kind, subject, says)` tells what happens."""

    def __init__(self, meeting: Meeting, say: Callable[[str, str, str], None]) -> None:
        """Open WireGuard's port and the private key; HostError if that cannot be done here."""
        self._meeting, self._say = meeting, say
        static = KeyPair.of(decode_key(read_secret(SecretRef(meeting.private_key))))
        self._agent = Agent(static, (), (), os.urandom)
        self._port = Port(meeting.port, meeting.mark)
        self._peers: dict[bytes, Peer] = {}
        self._uses: dict[bytes, Use] = {}
        self._states: dict[bytes, State] = {}
        self._left, self._refused, self._refreshed = Left(), frozenset[Address](), 0.0
        self._counted: dict[PublicKey, tuple[int, int]] = {}
        self._held: set[bytes] = set()  # peers whose handshake is left to them
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looks_at = float("-inf")
        for reader in self._port.readers:
            asyncio.get_running_loop().add_reader(reader, self._read, reader)
        self._refill(frozenset(), 0.0)  # what an earlier run refused

    # --- what the duty knows ------------------------------------------------------------------------------

    def suits(self, meeting: Meeting) -> bool:
        """Say whether this can be found from the port and with the key that are open."""
        return meeting.at == self._meeting.at

    def find(self, meeting: Meeting, devices: tuple[str, ...], now: float) -> None:
        """Find these peers from now on, by these servers. Nobody is reached by `devices`, our own tunnels."""
        if self._meeting.servers != meeting.servers:
            self._looks_at = now
        self._meeting, self._port.apart = meeting, frozenset(devices)
        self._peers = {decode_key(peer.public_key): peer for peer in meeting.peers}
        self._agent.link(self._peers)
        self._uses = {peer: self._uses.get(peer, Use(peer, None, False)) for peer in self._peers}
        self._states = {peer: self._states.get(peer, State.ABSENT) for peer in self._peers}
        self._offer(now)
        self._look_up(now)
        self._pump()

    @property
    def names(self) -> tuple[str, ...]:
        """Give the peers that are to be found."""
        return tuple(peer.name for peer in self._peers.values())

    def moved(self, now: float) -> None:
        """The uplink has changed."""
        self._offer(now)
        self._agent.moved(now)
        self._looks_at = min(self._looks_at, now)
        self._pump()

    def tick(self, now: float, stirred: bool) -> None:
        """See whether WireGuard carries anything, and to what runs out; `stirred`: addresses came or went."""
        if stirred:
            self._offer(now)
        self._look_up(now)
        if any(use.heard for use in self._uses.values()):
            self._count(now)
        self._refuse(now)
        self._pump()

    def close(self) -> None:
        """Be done with it, and refuse nothing any more."""
        for peer in tuple(self._held):
            self._release(peer)
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for reader in self._port.readers:
            asyncio.get_running_loop().remove_reader(reader)
        self._port.close()
        if self._refused:
            self._refill(frozenset(), 0.0)

    # --- in and out ---------------------------------------------------------------------------------------

    def _read(self, reader: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in self._port.taken(reader):
            self._agent.receive(data, source, now)
        self._pump()

    def _pump(self) -> None:
        """Send what is to be sent, use what is to be used, and come back when something is due."""
        loop = asyncio.get_running_loop()
        for data, to in self._agent.to_send(loop.time()):
            self._port.send(data, to)
        for use in self._agent.events():
            self._use(use, loop.time())
        self._tell_states()
        if self._timer is not None:
            self._timer.cancel()
        due = self._agent.next_timer()
        self._timer = loop.call_at(due, self._pump) if due != float("inf") else None

    def _tell_states(self) -> None:
        for peer, path in self._agent.paths.items():
            if path.state is not self._states[peer]:
                self._states[peer] = path.state
                at = self._uses[peer].endpoint
                says = {
                    State.ABSENT: "has gone",
                    State.SEEKING: "is here: a path is sought",
                    State.RELAYED: f"is reached by the relay {at}",
                    State.DIRECT: f"is reached directly at {at}",
                }[path.state]
                self._say("path", self._peers[peer].name, says)

    # --- WireGuard ----------------------------------------------------------------------------------------

    def _use(self, use: Use, now: float) -> None:
        """Have WireGuard use a path; where nothing works yet, it goes on with what it knows."""
        before, self._uses[use.peer] = self._uses[use.peer], use
        if use.endpoint is not None:
            self._left.at(use.peer, use.endpoint)
        self._refuse(now)
        if use.endpoint is None:
            return
        device, key = self._meeting.device, self._peers[use.peer].public_key
        try:
            if not before.heard and time.time() - handshakes(device).get(key, 0) > FRESH:
                self._begin(use, use.endpoint)
            elif use.peer not in self._held or sent_to(device, key) != str(NOWHERE):
                send_to(device, key, use.endpoint)
        except HostError as error:  # the device went away meanwhile
            self._say("trouble", self._peers[use.peer].name, str(error))

    def _begin(self, use: Use, endpoint: Address) -> None:
        """Have one side of the two begin the handshake.

        If both do within the time that a packet takes, each takes the other's beginning for the end of its own, and
        with traffic both ways that goes on for ever: both try again after the same 5 seconds. The other side is told to
        send nowhere until the first packet of the handshake tells its WireGuard where to; and the side that begins does
        so when it has heard the other, since what is lost is sent again after 5 seconds, too.
        """
        device, peer = self._meeting.device, self._peers[use.peer]
        if not self._agent.paths[use.peer].controls:
            if use.peer not in self._held:
                self._held.add(use.peer)
                asyncio.get_running_loop().call_later(HOLDS, self._release, use.peer)
            send_to(device, peer.public_key, NOWHERE)
        elif use.heard and self._meeting.backend is Backend.USERSPACE:
            # It counts beginnings that had nowhere to go, and waits 5 seconds after one. There is no session to lose.
            make_anew(device, peer, endpoint)
        elif use.heard:
            send_to(device, peer.public_key, endpoint, greet=peer.keepalive)

    def _release(self, peer: bytes) -> None:
        """Wait for the other side no longer."""
        self._held.discard(peer)
        use = self._uses.get(peer)
        try:
            if use is not None and use.endpoint is not None and not self._closed:
                device, key = self._meeting.device, self._peers[peer].public_key
                if sent_to(device, key) == str(NOWHERE):
                    send_to(device, key, use.endpoint)
        except HostError as error:
            self._say("trouble", self._peers[peer].name, str(error))

    def _refuse(self, now: float) -> None:
        """Refuse what comes by paths that were left, if that is another set than before or runs out."""
        used: dict[bytes, Used] = {}
        for peer, use in self._uses.items():
            relay = self._agent.paths[peer].relay
            used[peer] = (use.endpoint, use.exclusive, (relay.place,) if relay else ())
        wanted = self._left.refused(used)
        if wanted != self._refused or (wanted and now - self._refreshed >= REFRESHES):
            self._refill(wanted, now)

    def _refill(self, wanted: frozenset[Address], now: float) -> None:
        try:
            refill(self._meeting.table, by_set(wanted))
            self._refused, self._refreshed = wanted, now
        except HostError as error:  # taken down meanwhile
            self._say("trouble", self._meeting.device, str(error))

    def _count(self, now: float) -> None:
        """See for which peers WireGuard carries something; there is no event for that."""
        try:
            counted = transfers(self._meeting.device)
        except HostError as error:
            return self._say("trouble", self._meeting.device, str(error))
        for peer, held in self._peers.items():
            former, present = self._counted.get(held.public_key), counted.get(held.public_key)
            if former and present and any(is_traffic(b - a) for a, b in zip(former, present, strict=True)):
                self._agent.traffic(peer, now)
        self._counted = counted
        return None

    # --- where this host is, and where servers are --------------------------------------------------------

    def _offer(self, now: float) -> None:
        """Say which addresses this host has. Its tunnels' are none by which others could reach it."""
        try:
            links = [link for link in ip.links() if link.up and link.name not in self._port.apart]
        except HostError as error:
            return self._say("trouble", "addresses", str(error))
        ips = [one.ip for link in links for one in link.lasting]
        useful = [one for one in ips if not (one.is_loopback or one.is_link_local or one.is_multicast)]
        places = dict.fromkeys(Address(one, self._port.port) for one in useful)
        self._agent.offer(tuple(Candidate(Origin.HOST, place) for place in places)[: MAX_CANDIDATES - 1], now)
        return None

    def _look_up(self, now: float) -> None:
        """Ask for the servers' addresses, beside everything else: a name server may take its time."""
        if now < self._looks_at or (self._looking is not None and not self._looking.done()):
            return
        self._looks_at = now + LOOKS_UP
        self._looking = asyncio.get_running_loop().create_task(self._visit(self._meeting))

    async def _visit(self, meeting: Meeting) -> None:
        loop = asyncio.get_running_loop()
        asked = [loop.run_in_executor(None, every_address, endpoint) for endpoint, _ in meeting.servers]
        found = await asyncio.gather(*asked)
        servers = {
            place: decode_key(key)
            for (endpoint, key), texts in zip(meeting.servers, found, strict=True)
            if (place := self._reachable(endpoint, texts)) is not None
        }
        if servers:  # while no name is answered, those that were found stay
            self._agent.serve_by(servers.items(), loop.time())
        if len(servers) == len(meeting.servers):
            self._looks_at = loop.time() + LOOKS_AGAIN
        self._pump()

    def _reachable(self, endpoint: Endpoint, texts: tuple[str, ...]) -> Address | None:
        """Give the address of a server to which there is a way, IPv4 first: there NATs are, of which it can tell."""
        places = sorted((Address.of(text, endpoint.port) for text in texts), key=lambda one: one.ip.version)
        return next((place for place in places if self._port.source(place) is not None), None)
