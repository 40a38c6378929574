"""What answers in the lab: on any port asked for, UDP and TCP, and says which address it saw.

On the internet it answers at every address there is. For people, `curl http://1.1.1.1` shows the same in a browser's
language: a TCP answer begins like HTTP/1.0.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from warren.lab.spaces import LabError, Spaces

IP_PKTINFO = 8
IPV6_RECVPKTINFO, IPV6_PKTINFO = 49, 50
_HEAD = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"

Selector = selectors.BaseSelector
Ready = Callable[[], None]


class Services:
    """All answering sockets of a lab; the selector's data is what to call when a socket is ready."""

    def __init__(self, spaces: Spaces, selector: Selector) -> None:
        self.spaces, self.selector = spaces, selector
        self._open: dict[tuple[str, str, int], list[socket.socket]] = {}
        self._passing: set[tuple[str, str, int]] = set()

    def serve(self, space: str, who: str, proto: str, port: int, *, passing: bool = False) -> None:
        """Answer in a space, as `who`, at a port of `udp` or `tcp`; once is enough.

        What is `passing` is there for a question, and no service of the machine: `rest` ends it.
        """
        if (space, proto, port) in self._open:
            return
        opened: list[socket.socket] = []
        kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                server = open_server(self.spaces, space, family, kind, port)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                raise LabError(f"nothing can answer at {proto}/{port} of {who} in the lab: {why}") from None
            ready: Ready
            if proto == "udp":
                ready = Datagrams(server, lambda payload, seen: answer(payload, who, seen))
            else:
                ready = _TcpWelcome(server, who, self.selector)
            self.selector.register(server, selectors.EVENT_READ, ready)
            opened.append(server)
        self._open[space, proto, port] = opened
        if passing:
            self._passing.add((space, proto, port))

    def rest(self) -> None:
        """End what was there for questions: a gateway keeps to itself what listens on it when it is applied."""
        for key in self._passing:
            for server in self._open.pop(key):
                self.selector.unregister(server)
                server.close()
        self._passing.clear()


def open_server(
    spaces: Spaces, space: str, family: socket.AddressFamily, kind: socket.SocketKind, port: int
) -> socket.socket:
    """Open a socket in a space that hears at all addresses of a family, and is told which was asked; or OSError."""
    with spaces.inside(space):
        server = socket.socket(family, kind)
    try:
        server.setblocking(False)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        else:
            server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        server.bind(("", port))
        if kind == socket.SOCK_STREAM:
            server.listen(64)
    except OSError:
        server.close()
        raise
    return server


def end_abruptly(selector: Selector) -> None:
    """Have every connection end with a reset when its socket is closed, so that none outlives this process."""
    for key in selector.get_map().values():
        if isinstance(key.fileobj, socket.socket):
            key.fileobj.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # and who it accepts


def answer(payload: bytes, who: str, seen: tuple[str, int]) -> bytes:
    """Write what a caller is told: its own words, who answers, and the address and port that were seen."""
    return payload[:64] + f" {who} {seen[0]} {seen[1]}\n".encode()


class Datagrams:
    """Answer datagrams from the address they were sent to (ip(7), IP_PKTINFO; ipv6(7), IPV6_PKTINFO).

    `reply` makes an answer of a payload and of who asked; an empty one is not sent.
    """

    def __init__(self, server: socket.socket, reply: Callable[[bytes, tuple[str, int]], bytes]) -> None:
        self.server, self.reply = server, reply

    def __call__(self) -> None:
        while True:
            try:
                payload, notes, _, seen = self.server.recvmsg(2048, 256)
            except BlockingIOError:
                return
            if told := self.reply(payload, (seen[0], seen[1])):
                _answered_from(self.server, told, notes, seen)


def _answered_from(server: socket.socket, reply: bytes, notes: list[tuple[int, int, bytes]], seen: object) -> None:
    """Answer from the address that was asked, which the `notes` of recvmsg tell.

    An answer that finds no way is one the caller does not get: that is what is being tried here.
    """
    with suppress(OSError):
        server.sendmsg([reply], [(level, *_reversed(kind, data)) for level, kind, data in notes], 0, seen)  # type: ignore[arg-type]


def _reversed(kind: int, data: bytes) -> tuple[int, bytes]:
    """Turn where a packet was sent to into where the answer comes from; the way out is for the routes to say."""
    if kind == IP_PKTINFO:
        _, _, destination = struct.unpack("I4s4s", data)
        return kind, struct.pack("I4s4s", 0, destination, bytes(4))
    return kind, data[:16] + bytes(4)


class _TcpWelcome:
    """Greet each caller with the address seen, then answer what it says."""

    def __init__(self, server: socket.socket, who: str, selector: Selector) -> None:
        self.server, self.who, self.selector = server, who, selector

    def __call__(self) -> None:
        try:
            caller, seen = self.server.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        caller.setblocking(False)
        self.selector.register(caller, selectors.EVENT_READ, _TcpAnswer(caller, self.who, seen, self.selector))


class _TcpAnswer:
    def __init__(self, caller: socket.socket, who: str, seen: tuple[str, int], selector: Selector) -> None:
        self.caller, self.who, self.seen, self.selector = caller, who, seen, selector

    def __call__(self) -> None:
        try:
            payload = self.caller.recv(2048)
            if payload.startswith(b"GET "):
                self.caller.sendall(_HEAD.encode() + answer(b"", self.who, self.seen).lstrip())
                payload = b""
            elif payload:
                self.caller.sendall(answer(payload, self.who, self.seen))
        except (BlockingIOError, ConnectionError):
            payload = b""
        if not payload:
            self.selector.unregister(self.caller)
            self.caller.close()
