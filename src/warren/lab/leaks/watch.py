"""Watch every device of every host, and the internet, without pause: a process of its own, so that nothing is missed.

It keeps only what matters: a sender's packet where it must not be (with the packet, once for each place), a control's
on its uplink, and what came to the internet by an exit. Asked to `look`, it gives what there was since the last time.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address

from warren.lab.lab import Lab
from warren.lab.leaks.decode import Known, describe, is_tunnel, recognise
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.sieve import attach
from warren.lab.sight import ETH_P_ALL, PACKET_STATISTICS, SO_RCVBUFFORCE, SOL_PACKET
from warren.lab.spaces import LabError
from warren.lab.topology import INTERNET, host_space
from warren.model.prefix import Address

_QUEUE = 1 << 24
_ROOM = 65536
_MOST = 200  # leaks whose packets are told


@dataclass(frozen=True, slots=True)
class Leak:
    """A packet where it must not be: by whom (a number), where, the packet in words, and how many of the like.

    `named`: it is about a name that a resolver was asked for.
    """

    sender: int
    space: str
    device: str
    named: bool
    says: str
    count: int = 1


@dataclass
class Tally:
    """What was seen: leaks, arrivals by the exit (sender, round, kind), how often each control was on its uplink."""

    leaks: dict[tuple[int, str, str, bool], Leak] = field(default_factory=dict)
    arrived: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    shown: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    missed: int = 0

    def add(self, more: Tally) -> None:
        """Take in what was seen later."""
        for key, leak in more.leaks.items():
            old = self.leaks.get(key)
            self.leaks[key] = leak if old is None else Leak(*key, old.says, old.count + leak.count)
        self.arrived += more.arrived
        self.shown += more.shown
        self.missed += more.missed


class Watch:
    """The watching process, as seen by who asks it."""

    def __init__(self, lab: Lab, senders: tuple[Sender, ...]) -> None:
        """Open an eye in every host's space and in the internet, and start to watch."""
        eyes = [_Eye(lab, space) for space in lab.wiring.spaces if space == INTERNET or space.startswith("host.")]
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, its):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        watcher = _Watcher(lab, senders, eyes)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                watcher.run(its)
            finally:
                os._exit(1)
        its.close()
        for eye in eyes:
            eye.socket.close()
        self._line = ours

    def look(self) -> Tally:
        """Give what there was to see since the last look; LabError if the watcher is gone."""
        return self._asked(b"look")

    def also(self, *devices: str) -> None:
        """Take devices by these names for tunnels of the network, from now on."""
        self._asked(b"also " + " ".join(devices).encode())

    def _asked(self, what: bytes) -> Tally:
        self._line.send(what)
        said = self._line.recv(1 << 20)
        if not said:
            raise LabError("the process that watches the uplinks ended")
        told: Tally = pickle.loads(said)
        return told

    def close(self) -> None:
        """End it."""
        self._line.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class _Eye:
    def __init__(self, lab: Lab, space: str) -> None:
        self.space = space
        with lab.spaces.inside(space):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            devices = [
                one for host in lab.lock.hosts for one in host.devices if space in (INTERNET, host_space(host.name))
            ]
            attach(self.socket, sorted({one.port for one in devices}), leaving=space != INTERNET)
        self.socket.setblocking(False)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _QUEUE)
        except PermissionError:  # an ordinary user has what net.core.rmem_max allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)

    def missed(self) -> int:
        """Count the packets that found the queue full since this was asked last."""
        _, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)


class _Watcher:
    """What the process does."""

    def __init__(self, lab: Lab, senders: tuple[Sender, ...], eyes: list[_Eye]) -> None:
        self.eyes, self.senders = eyes, senders
        self.tally = Tally()
        self.also: set[str] = set()
        self.by_target: dict[Address, int] = {}
        for number, sender in enumerate(senders):
            for target in sender.targets:
                self.by_target.setdefault(target, number)
        self.near = {target for sender in senders if sender.kind == "near" for target in sender.targets}
        self.uplinks = {(host_space(host.name), host.uplink): host.name for host in lab.network.hosts}
        self.lans = {(host_space(host.name), lan.name) for host in lab.network.hosts for lan in host.lans}
        self.seen_as = _seen_as(lab)

    def run(self, line: socket.socket) -> None:
        """Watch until the line is closed."""
        selector = selectors.DefaultSelector()
        for eye in self.eyes:
            selector.register(eye.socket, selectors.EVENT_READ, eye)
        selector.register(line, selectors.EVENT_READ, None)
        while True:
            asked = False
            for key, _ in selector.select():
                if key.data is None:
                    asked = True
                else:
                    self._drain(key.data)
            if asked:
                said = line.recv(4096)
                if not said:
                    os._exit(0)
                for eye in self.eyes:
                    self._drain(eye)
                    self.tally.missed += eye.missed()
                if said.startswith(b"also "):
                    self.also.update(said.decode().split()[1:])
                    line.send(pickle.dumps(Tally()))
                else:
                    line.send(pickle.dumps(self.tally))
                    self.tally = Tally()

    def _drain(self, eye: _Eye) -> None:
        until = time.monotonic() + 0.5  # a flood must not keep us from answering
        while time.monotonic() < until:
            try:
                raw, where = eye.socket.recvfrom(_ROOM)
            except (BlockingIOError, OSError):
                return
            self._judge(eye.space, where[0], where[1], where[3], raw)

    def _judge(self, space: str, device: str, protocol: int, hardware: int, raw: bytes) -> None:
        known = recognise(raw, protocol)
        number, round_, kind = known.token or (-1, 0, "")
        if number < 0:
            target = next((one for one in known.addresses if one in self.by_target), None)
            if target is None or (target in self.near and target != known.addresses[0]):
                return
            number = self.by_target[target]
        if number >= len(self.senders):
            return
        sender = self.senders[number]
        if known.addresses[:1] != (sender.targets[0],) and self._is_passed_on(sender, kind, known):
            return
        if space == INTERNET:
            self._arrived(sender, number, round_, kind, device, hardware, known.source, raw, protocol)
        elif not sender.bound:
            if self.uplinks.get((space, device)) == sender.host:
                self.tally.shown[number, round_, kind] += 1
        elif not self._may_be_there(sender, space, device, hardware, known):
            self._leak(number, space, device, round_, kind, raw, protocol)

    @staticmethod
    def _is_passed_on(sender: Sender, kind: str, known: Known) -> bool:
        """Say whether a question for a name was put by a resolver, which the owner wants to be asked where it asks.

        A host of the network answers who asks it; of a portal, the names that its domestic resolvers are for.
        """
        judged = sender.way is not None and sender.way.portal.dns is not None and sender.way.portal.dns.judged
        there = bool(known.addresses) and known.addresses[0] in sender.targets
        return kind.startswith("dns") and (sender.kind == "near" or judged) and not there

    def _may_be_there(self, sender: Sender, space: str, device: str, hardware: int, known: Known) -> bool:
        if (space, device) in sender.spots or device in self.also or (device == "" and is_tunnel(hardware)):
            return True
        host = space.removeprefix("host.")
        if known.source is not None and host in self.seen_as.get(known.source, frozenset()) & sender.exits:
            return True  # what an exit says with its own address, by whichever way its owner leads that
        # The owner's other tunnels may get what is for the machine itself: an error that his own rules led astray.
        if known.addresses[:1] == (sender.address,) and (space, device) not in self.uplinks:
            return True
        # On a LAN: an answer, or an error about it, to a machine whose address was forged.
        return (space, device) in self.lans and not (known.addresses and known.addresses[0] in sender.targets)

    def _arrived(
        self,
        sender: Sender,
        number: int,
        round_: int,
        kind: str,
        device: str,
        hardware: int,
        source: Address | None,
        raw: bytes,
        protocol: int,
    ) -> None:
        """Note what came to the internet: by a tunnel that is not ours, or from a host that is no exit, is a leak."""
        hosts = self.seen_as.get(source, frozenset()) if source is not None else frozenset()
        if not sender.bound:
            return
        if is_tunnel(hardware) or (hosts and not hosts & sender.exits):
            self._leak(number, INTERNET, device, round_, kind, raw, protocol)
        elif kind:
            self.tally.arrived[number, round_, kind] += 1

    def _leak(self, number: int, space: str, device: str, round_: int, kind: str, raw: bytes, protocol: int) -> None:
        if kind:
            self.tally.shown[number, round_, kind] += 1
        key = (number, space, device, kind.startswith("name"))
        old = self.tally.leaks.get(key)
        if old is not None:
            self.tally.leaks[key] = Leak(*key, old.says, old.count + 1)
        else:
            says = describe(raw, protocol) if len(self.tally.leaks) < _MOST else "one more"
            self.tally.leaks[key] = Leak(*key, says)


def _seen_as(lab: Lab) -> dict[Address, frozenset[str]]:
    """Say which hosts an address on the internet may stand for: with a NAT in front there may be several."""
    found: dict[Address, set[str]] = {}
    for node in lab.world.hosts:
        behind = lab.world.behind(node.name)
        front = behind[-1].attachment if behind else node.attachment
        for interface in (*node.attachment.addresses, *front.addresses):
            found.setdefault(ip_address(interface.ip), set()).add(node.name)
    return {address: frozenset(hosts) for address, hosts in found.items()}
