"""Who knocks at this host is let in: its address is put into a live set of the table, from which it runs out.

    packet sockets ──► proto.knock.Listener ──► a member ──► knocked4, knocked6 ──► `run:`
    handshakes that are fresh ─────────────────────────────┘

An address stays in the set as long as WireGuard shakes hands with a peer there. Nothing is ever answered. While no
agent runs, nobody new is let in; flows that WireGuard has answered go on, since conntrack knows them.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from warren.daemon.duty import Duties, Duty, Tell
from warren.daemon.knocking import Door
from warren.model.key import SecretRef, decode_key
from warren.proto.knock import Listener
from warren.proto.limit import Bucket
from warren.proto.noise import KeyPair
from warren.proto.refusal import Refusal
from warren.sys import wg
from warren.sys.errand import Errand
from warren.sys.errors import HostError
from warren.sys.knocks import at_ports, let_in
from warren.sys.secret import read_secret
from warren.sys.tools import tools_here
from warren.sys.wgport import AT_ONCE, Port

LOOKS = 20.0  # seconds between two looks at the handshakes, at most
FRESH = 180.0  # seconds for which a handshake is good (WireGuard's paper, section 6.1)
RUNS = 10.0  # seconds between two runs of a command, at least
RESTS = 0.05  # seconds for which nothing is read after a flood: what has no room meanwhile is lost, as any may be

Ip = IPv4Address | IPv6Address


class Knocked(Duty):
    """Listens at the door of a host that is knocked at."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(tell)
        self._door: Door | None = None
        self._port: Port | None = None
        self._errand: Errand | None = None
        self._next = 0.0

    def learn(self, duties: Duties, now: float) -> None:
        """Listen at the ports that there are now, to the members that there are; who is inside stays there."""
        if self._port is not None and (duties.door is None or not self._suits(duties.door)):
            self.end()
        before, self._door = self._door, duties.door
        door = self._door
        if door is None:
            return
        self._names = {decode_key(key): name for key, name in door.members}
        if self._port is None:
            static = KeyPair.of(decode_key(read_secret(SecretRef(door.private_key))))
            self._listener = Listener(static, door.network, time.time_ns() // 1000)
            self._port = Port(door.ports[0], 0, door.devices, at_ports(door.ports))
            for reader in self._port.readers:
                asyncio.get_running_loop().add_reader(reader, self._read, reader)
        self._port.apart = frozenset(door.devices)
        self._listener.admit(self._names)
        if before is None or before.knock.run != door.knock.run:
            run = door.knock.run
            self._errand = Errand(run, f"{door.network}-knock", tools_here()) if run else None
            self._seldom = Bucket(1, 1 / RUNS, now)
        self._keep_in(door, now)

    def names(self) -> tuple[str, ...]:
        """Give what is listened for."""
        return ("knocks",) if self._port is not None else ()

    def tick(self, now: float) -> None:
        """See to those who are inside."""
        if self._errand is not None:
            self._errand.look()
        if self._door is not None and now >= self._next:
            self._keep_in(self._door, now)

    def end(self) -> None:
        """Listen no more; who is inside stays there until the set lets go of them."""
        if self._port is not None:
            for reader in self._port.readers:
                asyncio.get_running_loop().remove_reader(reader)
            self._port.close()
        self._port = self._door = None

    def _suits(self, door: Door) -> bool:
        """Say whether that can be heard with what is open."""
        held = self._door
        return held is not None and all(
            getattr(held, name) == getattr(door, name) for name in ("network", "ports", "private_key")
        )

    def _read(self, reader: socket.socket) -> None:
        """Take what has come; a flood gets no more than its share of the agent's time."""
        loop, port, door = asyncio.get_running_loop(), self._port, self._door
        if port is None or door is None:
            return
        taken, inside = 0, dict[Ip, str]()
        for data, source in port.taken(reader):
            taken += 1
            who = self._listener.receive(data, source, loop.time(), time.time_ns() // 1000)
            if not isinstance(who, Refusal):
                inside[source.ip] = self._names[who]
        if inside:
            self._open(door, inside, loop.time())
        if taken == AT_ONCE:
            loop.remove_reader(reader)
            loop.call_later(RESTS, self._resume, reader)

    def _resume(self, reader: socket.socket) -> None:
        if self._port is not None and reader in self._port.readers:
            asyncio.get_running_loop().add_reader(reader, self._read, reader)

    def _open(self, door: Door, inside: dict[Ip, str], now: float) -> None:
        try:
            self._let_in(door, inside)
        except HostError as error:  # taken down meanwhile
            return self.say("trouble", door.network, str(error))
        for ip, name in inside.items():
            self.say("opened", name, f"knocked from {ip}: let in for {door.knock.open_for} s")
            self._run(door, name, ip, now)
        return None

    def _let_in(self, door: Door, ips: Collection[Ip]) -> None:
        let_in(door.table, ((name, [ip for ip in ips if ip.version == version]) for version, name in door.sets))

    def _run(self, door: Door, name: str, ip: Ip, now: float) -> None:
        """Run the owner's command, if it did not just run or still does."""
        if self._errand is None or not self._seldom.take(now):
            return
        told = {"NETWORK": door.network, "HOST": door.host, "PEER": name, "ADDRESS": str(ip)}
        try:
            self._errand.begin({f"WARREN_{key}": value for key, value in told.items()})
        except HostError as error:
            self.say("trouble", name, str(error))

    def _keep_in(self, door: Door, now: float) -> None:
        """Have those stay whose tunnel is alive, wherever WireGuard has found them."""
        self._next = now + min(LOOKS, door.knock.open_for / 3)
        try:
            self._let_in(door, tuple(dict.fromkeys(_alive(door.devices, time.time()))))
        except HostError as error:  # taken down meanwhile
            self.say("trouble", door.network, str(error))


def _alive(devices: Collection[str], present: float) -> Iterable[Ip]:
    """Give the addresses of peers that shook hands of late."""
    for device in wg.devices(devices).values():
        for one in device.peers:
            if one.peer.endpoint is not None and present - one.handshake < FRESH:
                yield ip_address(one.peer.endpoint.host.partition("%")[0])
