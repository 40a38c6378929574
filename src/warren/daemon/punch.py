"""`warren punch`: find the peers of one device by a natpunch-go server, and tell WireGuard where they are.

    WireGuard's port ──► Client ──► Found ─ should_send_to ─► wg set … endpoint, keepalive

No file says what is to be done, and nothing is remembered but the time of the last greeting (daemon/wish.py). What
WireGuard was told stays when this ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from warren.daemon.punched import Known, State, is_over, keepalive, next_state, should_send_to
from warren.daemon.wish import Times, Wish, device_of, place_of
from warren.model.key import PublicKey, decode_key, encode_key
from warren.proto.address import Address
from warren.proto.natpunch.client import Client, Found, Greeted, Silent, Unknown
from warren.proto.natpunch.packet import OLDER_PORT
from warren.proto.noise import KeyPair
from warren.sys import peers, wg
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed
from warren.sys.store import Store
from warren.sys.wgport import Port, only_from

LOOKS = 1.0  # seconds between two looks at what WireGuard has come to
SAID_SILENT, LOOKED_UP = 2, 10  # questions without an answer after which it is told, and the server looked up again
OLDER = (
    f"port {OLDER_PORT} is that of the older example nat-hole-punching, whose protocol is not spoken here: it has no "
    "keys, and anybody can claim to be any peer. It is asked in natpunch-go's"
)


@dataclass(frozen=True, slots=True)
class Event:
    """What there is to tell: `kind` is asking, seen, unknown, found, kept, talks, quiet, silent, answers or
    trouble.

    `peer` is a public key; `address` is where that peer is, or this host (seen), or the server (the others).
    """

    kind: str
    peer: str
    address: str
    says: str


class Punch:
    """One run; HostError if it cannot be done here."""

    def __init__(self, wish: Wish, tell: Callable[[Event], None], store: Store) -> None:
        self._wish, self._tell = wish, tell
        self._device = device_of(wish.device)
        self._times = Times(store)
        self._at = place_of(wish.server)
        self._known: dict[PublicKey, Known] = {}
        self._own: Address | None = None
        self._ended = asyncio.Event()
        self._trouble: HostError | None = None  # met where only the loop would hear of it
        self._timer: asyncio.TimerHandle | None = None
        self._open()

    async def run(self) -> bool:
        """Find the peers, and say whether there is a tunnel to each; for good, until SIGTERM or SIGINT.

        HostError if the device goes.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        try:
            self._listen()
            while not self._ended.is_set():
                self._look()
                self._pump()
                if not self._wish.for_good and all(is_over(one.state) for one in self._known.values()):
                    break
                with suppress(TimeoutError):
                    wait = max(self._wish.pause, LOOKS) if self._wish.for_good else LOOKS
                    await asyncio.wait_for(self._ended.wait(), wait)
        finally:
            self._close()
        if self._trouble is not None:
            raise self._trouble
        return all(one.state is State.TALKS for one in self._known.values())

    # --- the port -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        seen = self._device
        pair = KeyPair.of(decode_key(wg.private_key_of(seen.name)))
        self._me = pair.public
        server = decode_key(self._wish.key), self._at
        self._client = Client(pair, server, os.urandom, self._times, self._wish.pause)
        self._port = Port(seen.listen_port, seen.fwmark, (seen.name,), only_from(self._at))

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for reader in self._port.readers:
            loop.add_reader(reader, self._read, reader)
        count, name = len(self._device.peers), self._device.name
        whom = f"{'1 peer' if count == 1 else f'{count} peers'} of {name}"
        says = f"asking {self._at} for {whom}, from WireGuard's port {self._device.listen_port}"
        self._say("asking", "", self._at, says)
        if self._at.port == OLDER_PORT:
            self._say("trouble", "", self._at, OLDER)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for reader in self._port.readers:
            asyncio.get_running_loop().remove_reader(reader)
        self._port.close()

    def _anew(self) -> None:
        """The device has another port or key, or the server is elsewhere."""
        self._close()
        self._open()
        self._listen()

    def _read(self, reader: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for data, source in self._port.taken(reader):
            self._client.receive(data, source, now)
        self._pump()

    def _pump(self) -> None:
        """Act on what was heard, send what is to be sent, and come back when something is due."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        try:
            for data, to in self._client.to_send(loop.time()):
                self._port.send(data, to)
            due = self._client.next_timer()
            self._timer = loop.call_at(due, self._pump) if due is not None else None
            for event in self._client.events():
                self._take(event)
        except HostError as error:
            self._trouble = error
            self._ended.set()

    # --- the device -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """See what WireGuard has come to, and say whom to ask for; HostError if the device has gone."""
        before, self._device = self._device, _seen_again(self._wish.device)
        if _at(before) != _at(self._device):
            self._anew()
        now, clock = asyncio.get_running_loop().time(), time.time()
        held = {seen.peer.public_key: seen for seen in self._device.peers}
        self._known = {key: self._known.get(key) or Known() for key in held}
        for key, known in self._known.items():
            state = next_state(known, held[key], now, clock)
            if state is not known.state:
                known.state = state
                self._say_state(key, state, held[key])
        asked = [key for key, one in self._known.items() if self._wish.for_good or one.state is not State.TALKS]
        self._client.want((self._me, *map(decode_key, asked)))

    def _take(self, event: Found | Unknown | Silent | Greeted) -> None:
        match event:
            case Found(peer, place) if peer == self._me:
                if place != self._own:
                    before, self._own = self._own, place
                    self._say("seen", "", place, f"this host is seen at {place}")
                    if before is not None:
                        self._open_again()
            case Found(peer, place):
                self._found(PublicKey(encode_key(peer)), place)
            case Unknown(peer):
                self._unknown(PublicKey(encode_key(peer)))
            case Silent(times):
                if times == SAID_SILENT:
                    says = f"{self._at} does not answer; it is asked again and again"
                    self._say("silent", "", self._at, says)
                if times % LOOKED_UP == SAID_SILENT:
                    self._look_up()
            case Greeted():
                self._say("answers", "", self._at, f"{self._at} answers")

    def _found(self, key: PublicKey, place: Address) -> None:
        known = self._known.get(key)
        seen = next((one for one in self._device.peers if one.peer.public_key == key), None)
        if known is None or seen is None:
            return  # it was taken away meanwhile
        if should_send_to(known, place, seen, time.time()):
            try:
                peers.send_to(self._device.name, key, place, greet=keepalive(seen))
            except CommandFailed as error:
                self._say("trouble", key, place, str(error))
                return
            if known.sent != place:
                known.since = asyncio.get_running_loop().time()
                self._say("found", key, place, f"{key} is at {place}")
            known.sent = place
            known.state = State.FOUND
        elif known.place is None and known.sent is None:
            self._say("kept", key, place, f"{key} is at {place}, and talks: WireGuard keeps what it has")
        known.place = place

    def _open_again(self) -> None:
        """This host's NAT has forgotten it: send to every peer, so that it lets them in again, at the new place."""
        for seen in self._device.peers:
            at, key = seen.peer.endpoint, seen.peer.public_key
            if at is not None:
                with suppress(CommandFailed, ValueError):  # it has gone meanwhile; or the link of an address is named
                    peers.send_to(self._device.name, key, Address.of(at.host, at.port), greet=keepalive(seen))

    def _unknown(self, key: PublicKey) -> None:
        known = self._known.get(key)
        if known is not None and known.state is State.ASKED:
            known.state = State.UNKNOWN
            self._say("unknown", key, None, f"{key} is not known there yet")

    def _look_up(self) -> None:
        """See whether the server's name leads elsewhere now; one that leads nowhere is asked where it was."""
        with suppress(HostError):
            found = place_of(self._wish.server)
            if found != self._at:
                self._at = found
                self._anew()

    # --- what is told ---------------------------------------------------------------------------------------

    def _say(self, kind: str, peer: str, address: Address | None, says: str) -> None:
        self._tell(Event(kind, peer, str(address) if address else "", says))

    def _say_state(self, key: PublicKey, state: State, seen: wg.PeerSeen) -> None:
        at = seen.peer.endpoint
        place = Address.of(at.host.partition("%")[0], at.port) if at else None
        if state is State.TALKS:
            self._say("talks", key, place, f"{key} talks, at {place}")
        elif state is State.QUIET:
            self._say("quiet", key, place, f"{key} does not answer at {place}: it has gone, or no hole leads through")


def _seen_again(name: str) -> wg.DeviceSeen:
    seen = wg.devices((name,)).get(name)
    return seen if seen is not None and seen.public_key and seen.peers else device_of(name)


def _at(device: wg.DeviceSeen) -> tuple[int, int, str]:
    return device.listen_port, device.fwmark, device.public_key
