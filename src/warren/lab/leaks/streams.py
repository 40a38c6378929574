"""Streams that never pause: while something is done to a host, and after, somebody is always sending.

From each sender flows that began long ago (UDP that is answered, TCP) and flows that begin this very moment (UDP,
DNS, TCP, echoes). One process sends, and one answers on the internet.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

from warren.lab.lab import Lab
from warren.lab.leaks.decode import token
from warren.lab.leaks.names import Told, open_question, question
from warren.lab.leaks.senders import STREAM, Sender
from warren.lab.name_server import serve_names
from warren.lab.packets import echo, query
from warren.lab.service import Services, end_abruptly
from warren.lab.spaces import Spaces
from warren.lab.topology import INTERNET
from warren.model.prefix import Address, Family

PORT = 7000  # where the internet answers
OTHERS = (53, 443, 853)
BEAT = 0.05  # seconds between two turns of a sender
_ANEW = 20  # turns after which sockets are opened anew: an address may have come or gone
DHCP = {Family.IPV4: (68, 67), Family.IPV6: (546, 547)}


class Process:
    """A process that does one thing until it is closed."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Start it: `work` never returns."""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work()
            finally:
                os._exit(1)

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def answering(lab: Lab, senders: tuple[Sender, ...]) -> Process:
    """Have the internet answer at every address, and say whom it sees; asked for names, it is a DNS server."""

    def work() -> None:
        selector = selectors.DefaultSelector()
        services = Services(lab.spaces, selector)
        for proto in ("udp", "tcp"):
            for port in (PORT, *OTHERS[1:]):
                services.serve(INTERNET, INTERNET, proto, port)
        serve_names(lab.spaces, INTERNET, selector, Told(dict(lab.zone.addresses), senders=senders))
        end_abruptly(selector)
        while True:
            for key, _ in selector.select():
                with suppress(OSError):  # who asked is gone by now
                    key.data()

    return Process(work)


def streaming(lab: Lab, senders: tuple[Sender, ...]) -> Process:
    """Let every sender have its turn again and again."""

    def work() -> None:
        turns = [_Flows(lab.spaces, n, sender) for n, sender in enumerate(senders)]
        started = time.monotonic()
        for beat in count():
            for at, flows in enumerate(turns):
                flows.turn(beat + at)
            time.sleep(max(0.0, started + (beat + 1) * BEAT - time.monotonic()))

    return Process(work)


class _Flows:
    """The flows of one sender."""

    def __init__(self, spaces: Spaces, number: int, sender: Sender) -> None:
        self.spaces, self.number, self.sender = spaces, number, sender
        self.token = token(number, 0, "stream")
        self.fresh = self._endless()
        self.names = count()
        self.old: socket.socket | None = None
        self.tcp: socket.socket | None = None
        self.passing: list[socket.socket] = []

    def turn(self, beat: int) -> None:
        """Send once on what there is, and begin something."""
        if self.old is None or (not self.sender.bound and beat % _ANEW == 0):
            self.old = self._renewed(self.old)
        if self.old is not None and beat % 2 == 0:
            self._say(self.old)
        if beat % 4 == 1:
            next(self.fresh)
        if self.sender.bound and beat % 4 == 3:
            self._keep_tcp()

    def _renewed(self, old: socket.socket | None) -> socket.socket | None:
        if old is not None:
            old.close()
        return self._open(socket.SOCK_DGRAM, PORT)

    def _say(self, one: socket.socket) -> None:
        with suppress(OSError):  # refused for now: said again at the next turn
            one.send(self.token)
        with suppress(OSError):
            while one.recv(2048):
                pass

    def _endless(self) -> Iterator[None]:
        """Begin flows, one after the other: to ever another port, for DNS, an echo, by TCP."""
        numbers = count(20000)
        while True:
            self._begin(socket.SOCK_DGRAM, next(numbers) % 40000 + 8000, self.token)
            yield
            if self.sender.bound:
                self._begin(socket.SOCK_DGRAM, 53, query(token(self.number, 0, "dns")))
                yield
                self._ping()
                yield
                self._begin(socket.SOCK_STREAM, OTHERS[next(numbers) % 3], b"")
                yield
            if self.sender.resolver is not None:
                self._ask_for_name(self.sender.resolver)
                yield

    def _begin(self, kind: int, port: int, payload: bytes) -> None:
        one = self._open(kind, port)
        if one is None:
            return
        if payload:
            with suppress(OSError):
                one.send(payload)
        self.passing.append(one)
        while len(self.passing) > 4:
            self.passing.pop(0).close()

    def _ask_for_name(self, resolver: Address) -> None:
        one = open_question(self.spaces, self.sender, socket.SOCK_DGRAM, resolver)
        if one is not None:
            with suppress(OSError):
                one.send(question(token(self.number, 0, "name"), next(self.names), self.sender.family))
            self.passing.append(one)

    def _ping(self) -> None:
        four = self.sender.family is Family.IPV4
        with self.spaces.inside(self.sender.space):
            one = socket.socket(
                socket.AF_INET if four else socket.AF_INET6,
                socket.SOCK_RAW,
                socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6,
            )
        with one, suppress(OSError):
            one.setblocking(False)
            one.sendto(echo(self.sender.family, token(self.number, 0, "echo")), (str(self.sender.targets[STREAM]), 0))

    def _keep_tcp(self) -> None:
        if self.tcp is None:
            self.tcp = self._open(socket.SOCK_STREAM, PORT)
            return
        try:
            self.tcp.send(self.token)
            self.tcp.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # that one is still on its way
                self.tcp.close()
                self.tcp = None

    def _open(self, kind: int, port: int) -> socket.socket | None:
        return open_flow(self.spaces, self.sender, kind, port, STREAM)


def open_flow(spaces: Spaces, sender: Sender, kind: int, port: int, target: int) -> socket.socket | None:
    """Open a socket of a sender that does not wait, connected to one of its targets; None where there is no way.

    A host that is its own control renews a lease: that is left alone by a portal of the host's own traffic.
    """
    family = socket.AF_INET if sender.family is Family.IPV4 else socket.AF_INET6
    with spaces.inside(sender.space):
        one = socket.socket(family, kind)
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed at once, no last words
        try:
            if sender.client is None and not sender.bound:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                mine, port = DHCP[sender.family]
                one.bind(("", mine))
            failed = one.connect_ex((str(sender.targets[target]), port))
        except OSError as error:
            failed = error.errno or errno.EIO
    if failed in (0, errno.EINPROGRESS):
        return one
    one.close()
    return None
