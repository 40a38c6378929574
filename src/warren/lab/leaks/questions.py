"""What everybody asks at every check: a question of each kind, to an address that is nobody else's."""

from __future__ import annotations

import contextlib
import errno
import socket

from warren.lab.leaks.decode import token
from warren.lab.leaks.senders import QUESTION, Sender
from warren.lab.leaks.streams import PORT, open_flow
from warren.lab.packets import echo, query
from warren.lab.spaces import Spaces
from warren.model.prefix import Family

# What is asked at every check: name, UDP or TCP, port.
QUESTIONS = (
    ("udp", socket.SOCK_DGRAM, PORT),
    ("dns", socket.SOCK_DGRAM, 53),
    ("quic", socket.SOCK_DGRAM, 443),
    ("doq", socket.SOCK_DGRAM, 853),
    ("tcp", socket.SOCK_STREAM, PORT),
    ("dnstcp", socket.SOCK_STREAM, 53),
    ("dot", socket.SOCK_STREAM, 853),
    ("https", socket.SOCK_STREAM, 443),
)
KINDS = frozenset((*(kind for kind, _, _ in QUESTIONS), "echo"))
AGAIN = 0.25


class Questions:
    """One round of questions from everybody, asked again until they are closed."""

    def __init__(self, spaces: Spaces, senders: tuple[Sender, ...], round_: int) -> None:
        self.spaces, self.senders, self.round = spaces, senders, round_
        self.open: dict[tuple[int, str], socket.socket] = {}
        self.done: set[tuple[int, str]] = set()
        self.next_at = 0.0

    def __enter__(self) -> Questions:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.open.values():
            one.close()

    def turn(self, now: float) -> None:
        """Ask, or ask again when it is time; what is connected by now says its word."""
        again = now >= self.next_at
        if again:
            self.next_at = now + AGAIN
        for number, sender in enumerate(self.senders):
            for kind, socket_kind, port in QUESTIONS if sender.bound else QUESTIONS[:1]:
                self._ask(number, sender, kind, socket_kind, port, again)
            if sender.bound and again:
                self._ping(number, sender)

    def _ask(self, number: int, sender: Sender, kind: str, socket_kind: int, port: int, again: bool) -> None:
        key = number, kind
        one = self.open.get(key)
        stream = socket_kind == socket.SOCK_STREAM
        if one is None and again:
            one = open_flow(self.spaces, sender, socket_kind, port, QUESTION)
            if one is not None:
                self.open[key] = one
        if one is None or key in self.done or not (stream or again):
            return
        text = token(number, self.round, kind)
        try:
            one.send(query(text) if kind == "dns" else text)
            if stream:
                self.done.add(key)
        except OSError as error:
            if stream and error.errno not in (errno.EAGAIN, errno.ENOTCONN):  # refused: once more from the beginning
                one.close()
                del self.open[key]

    def _ping(self, number: int, sender: Sender) -> None:
        four = sender.family is Family.IPV4
        with self.spaces.inside(sender.space):
            one = socket.socket(
                socket.AF_INET if four else socket.AF_INET6,
                socket.SOCK_RAW,
                socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6,
            )
        with one, contextlib.suppress(OSError):
            one.setblocking(False)
            one.sendto(echo(sender.family, token(number, self.round, "echo")), (str(sender.targets[QUESTION]), 0))
