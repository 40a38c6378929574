"""WireGuard's side of finding peers: one device is told where to send, what is refused meanwhile, what it carries.

    Use ──► `wg set … endpoint`       where to
      └───► the live sets             what is refused

Order matters where both sides go over to another path: first what still comes by the old one is refused, then the
endpoint is set. What is refused runs out, so it is said again in time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping

from warren.core.compile.meeting import LASTS
from warren.daemon.meeting import Left, Meeting, Say, Used, by_set, is_traffic
from warren.model.key import PublicKey, decode_key
from warren.model.state import Backend, Peer
from warren.proto.address import Address
from warren.proto.path import Path, Use
from warren.sys.errors import HostError
from warren.sys.peers import handshakes, make_all_anew, refill, send_all, sent_to, transfers

NOWHERE = Address.of("127.0.0.1", 9)  # nobody listens there, and nothing leaves the host
HOLDS = 7.0  # seconds for which a handshake is left to the other side, which may try only every 5
FRESH = 150.0  # seconds for which a handshake says that the two have a session
REFRESHES = LASTS / 3


class Tunnel:
    """One WireGuard device, and the peers of it that are to be found."""

    def __init__(self, meeting: Meeting, say: Say) -> None:
        self._meeting, self._say = meeting, say
        self.peers: dict[bytes, Peer] = {}
        self.uses: dict[bytes, Use] = {}
        self._paths: Mapping[bytes, Path] = {}
        self._left, self._refused, self._refreshed = Left(), frozenset[Address](), 0.0
        self._counted: dict[PublicKey, tuple[int, int]] = {}
        self._held: set[bytes] = set()  # peers whose handshake is left to them
        self._closed = False
        self._refill(frozenset(), 0.0)  # what an earlier run refused

    def find(self, meeting: Meeting) -> None:
        """Have these peers from now on."""
        self._meeting = meeting
        self.peers = {decode_key(peer.public_key): peer for peer in meeting.peers}
        self.uses = {peer: self.uses.get(peer, Use(peer, None, False)) for peer in self.peers}

    def follow(self, paths: Mapping[bytes, Path]) -> None:
        """Look at these paths from now on for who begins, and where else a peer may be."""
        self._paths = paths

    def use(self, uses: Iterable[Use], now: float) -> None:
        """Have WireGuard use paths; where nothing works yet, it goes on with what it knows.

        All at once: when a host with many peers starts, a program for each of them would take longer than their agents
        wait for an answer.
        """
        before, wanted = dict(self.uses), dict[bytes, Use]()
        for use in uses:
            self.uses[use.peer] = wanted[use.peer] = use
            if use.endpoint is not None:
                self._left.at(use.peer, use.endpoint)
        if not wanted:
            return
        self.refuse(now)
        found = [(use, use.endpoint) for use in wanted.values() if use.endpoint is not None]
        device = self._meeting.device
        try:
            anew = [(use, place) for use, place in found if not before[use.peer].heard]
            shaken = handshakes(device) if anew else {}
            stale = time.time() - FRESH
            begins = [one for one in anew if shaken.get(self.peers[one[0].peer].public_key, 0) < stale]
            self._begin(begins)
            others = [(self.peers[use.peer].public_key, place, 0) for use, place in found if (use, place) not in begins]
            held = {self.peers[peer].public_key for peer in self._held if peer in self.peers}
            if held.intersection(key for key, _, _ in others):
                held &= self._waiting()
                others = [one for one in others if one[0] not in held]
            send_all(device, others)
        except HostError as error:  # the device went away meanwhile
            self._say("trouble", ", ".join(self.peers[use.peer].name for use, _ in found), str(error))

    def refuse(self, now: float) -> None:
        """Refuse what comes by paths that were left, if that is another set than before or runs out."""
        used: dict[bytes, Used] = {}
        for peer, use in self.uses.items():
            relay = self._paths[peer].relay
            used[peer] = (use.endpoint, use.exclusive, (relay.place,) if relay else ())
        wanted = self._left.refused(used)
        if wanted != self._refused or (wanted and now - self._refreshed >= REFRESHES):
            self._refill(wanted, now)

    def busy(self) -> Iterator[bytes]:
        """Give the peers for which WireGuard has carried something since this was last asked: there is no event."""
        if not any(use.heard for use in self.uses.values()):
            return
        try:
            counted = transfers(self._meeting.device)
        except HostError as error:
            return self._say("trouble", self._meeting.device, str(error))
        former, self._counted = self._counted, counted
        for peer, held in self.peers.items():
            before, present = former.get(held.public_key), counted.get(held.public_key)
            if before and present and any(is_traffic(b - a) for a, b in zip(before, present, strict=True)):
                yield peer

    def close(self) -> None:
        """Leave the endpoints as they are, and refuse nothing any more."""
        self._release(tuple(self._held))
        self._closed = True
        if self._refused:
            self._refill(frozenset(), 0.0)

    # --- handshakes ---------------------------------------------------------------------------------------

    def _begin(self, begins: Iterable[tuple[Use, Address]]) -> None:
        """Have one side of the two begin the handshake, for each of these peers.

        If both do within the time that a packet takes, each takes the other's beginning for the end of its own, and
        with traffic both ways that goes on for ever: both try again after the same 5 seconds. The other side is told to
        send nowhere until the first packet of the handshake tells its WireGuard where to; and the side that begins does
        so when it has heard the other, since what is lost is sent again after 5 seconds, too.
        """
        sends: list[tuple[PublicKey, Address, int]] = []
        anew: list[tuple[Peer, Address]] = []
        held: list[bytes] = []
        for use, endpoint in begins:
            peer = self.peers[use.peer]
            if not self._paths[use.peer].controls:
                held.append(use.peer)
                sends.append((peer.public_key, NOWHERE, 0))
            elif use.heard and self._meeting.backend is Backend.USERSPACE:
                # It counts beginnings that had nowhere to go, and waits 5 seconds after one. No session is lost.
                anew.append((peer, endpoint))
            elif use.heard:
                sends.append((peer.public_key, endpoint, peer.keepalive))
        held = [peer for peer in held if peer not in self._held]
        if held:
            self._held.update(held)
            asyncio.get_running_loop().call_later(HOLDS, self._release, held)
        send_all(self._meeting.device, sends)
        make_all_anew(self._meeting.device, anew)

    def _waiting(self) -> frozenset[PublicKey]:
        """Give the peers that are sent to nowhere: the first packet of their handshake has not come."""
        return frozenset(key for key, at in sent_to(self._meeting.device).items() if at == str(NOWHERE))

    def _release(self, peers: Collection[bytes]) -> None:
        """Wait for the other side of these no longer."""
        self._held.difference_update(peers)
        found = [(peer, self.uses[peer].endpoint) for peer in peers if peer in self.uses]
        try:
            if found and not self._closed:
                waiting = self._waiting()
                keys = [(self.peers[peer].public_key, place) for peer, place in found]
                send_all(self._meeting.device, [(key, place, 0) for key, place in keys if place and key in waiting])
        except HostError as error:
            self._say("trouble", self._meeting.device, str(error))

    def _refill(self, wanted: frozenset[Address], now: float) -> None:
        try:
            refill(self._meeting.table, by_set(wanted, self._meeting.port))
            self._refused, self._refreshed = wanted, now
        except HostError as error:  # taken down meanwhile
            self._say("trouble", self._meeting.device, str(error))
