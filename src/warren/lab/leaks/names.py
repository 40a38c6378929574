"""Names that machines ask their LAN's own resolver for. Nobody else asks for them, so that they are known on any wire.

A name is asked for by UDP and by TCP, in the family in which its machine sends, and asked for again under another
label: so no answer is ever in store. Without a resolver of warren's the same is asked of an address out there.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass

from warren.lab.leaks.decode import TOKEN, token
from warren.lab.leaks.senders import QUESTION, Sender
from warren.lab.name_server import PORT, Zone
from warren.lab.spaces import Spaces
from warren.model.prefix import Address, Family
from warren.proto.dns.message import AAAA, FORMERR, IN, A, Malformed, read_answer, read_query, refusal, write_query

NAMES = (("name", socket.SOCK_DGRAM), ("nametcp", socket.SOCK_STREAM))
AGAIN = 0.25
_KIND = {Family.IPV4: A, Family.IPV6: AAAA}


def asked_of(sender: Sender) -> Address | None:
    """Say whom a sender asks for names; None if it asks nobody."""
    if sender.bound:
        return sender.resolver
    return sender.targets[QUESTION] if sender.client is not None else None


def question(label: bytes, attempt: int, family: Family) -> bytes:
    """Write a question for the addresses of a name with a token in it."""
    first = b"%d" % attempt
    name = bytes((len(first),)) + first + bytes((len(label),)) + label + b"\x07example\0"
    return write_query(attempt & 0xFFFF, name, _KIND[family], IN, 0, signatures=False)


def open_question(spaces: Spaces, sender: Sender, kind: int, resolver: Address) -> socket.socket | None:
    """Open a socket to a resolver that does not wait; None where there is no way to it."""
    with spaces.inside(sender.space):
        one = socket.socket(socket.AF_INET if resolver.version == 4 else socket.AF_INET6, kind)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        failed = one.connect_ex((str(resolver), PORT))
    except OSError as error:
        failed = error.errno or errno.EIO
    if failed in (0, errno.EINPROGRESS):
        return one
    one.close()
    return None


class Names:
    """One round of names that are asked for, again and again until each is answered or this is closed.

    `directly`: everybody asks an address out there, as before warren came.
    """

    def __init__(self, spaces: Spaces, senders: tuple[Sender, ...], round_: int, *, directly: bool = False) -> None:
        self.answered: set[tuple[int, str]] = set()
        self._asking = [
            _Asking(spaces, sender, (number, kind), how, sender.targets[QUESTION] if directly else resolver, round_)
            for number, sender in enumerate(senders)
            if (resolver := asked_of(sender)) is not None
            for kind, how in NAMES
        ]
        self._next = 0.0

    def __enter__(self) -> Names:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._asking:
            one.close()

    def lacking(self, number: int) -> frozenset[str]:
        """Say in which ways a sender has not been answered."""
        return frozenset(kind for kind, _ in NAMES if (number, kind) not in self.answered)

    def turn(self, now: float) -> None:
        """Ask, or ask again when it is time; hear what came."""
        again = now >= self._next
        if again:
            self._next = now + AGAIN
        for one in self._asking:
            if one.key not in self.answered and one.turn(again):
                self.answered.add(one.key)


class _Asking:
    """One sender's question by one way."""

    def __init__(
        self, spaces: Spaces, sender: Sender, key: tuple[int, str], how: int, resolver: Address, round_: int
    ) -> None:
        self.spaces, self.sender, self.key, self.how, self.resolver = spaces, sender, key, how, resolver
        self.label = token(key[0], round_, key[1])
        self.socket: socket.socket | None = None
        self.attempt = 0
        self.said = False

    def turn(self, again: bool) -> bool:
        """Ask if it is time, and say whether an address has come."""
        if self.socket is None:
            if not again:
                return False
            self.socket, self.said = open_question(self.spaces, self.sender, self.how, self.resolver), False
        try:
            return self.socket is not None and self._talk(self.socket, again)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOTCONN):  # refused, or ended: once more from the beginning
                self.close()
        return False

    def _talk(self, one: socket.socket, again: bool) -> bool:
        stream = self.how == socket.SOCK_STREAM
        if not self.said or (again and not stream):
            self.attempt += 1
            asked = question(self.label, self.attempt, self.sender.family)
            one.send(struct.pack("!H", len(asked)) + asked if stream else asked)
            self.said = True
        data = one.recv(4096)
        if not data:
            self.close()
        try:
            answer = read_answer(data[2:] if stream else data)
        except Malformed:
            return False
        if stream and answer.code != 0:
            self.close()
        return answer.code == 0 and bool(answer.addresses)

    def close(self) -> None:
        """Ask no more."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


@dataclass
class Told(Zone):
    """What the internet answers: a name with a token leads to what its sender asks, whatever else its labels are."""

    senders: tuple[Sender, ...] = ()

    def answer(self, data: bytes, asker: str) -> bytes:
        """Answer a query, and keep no account of it."""
        self.asked.clear()
        try:
            key = read_query(data).question.key
        except Malformed:
            return refusal(data, FORMERR)
        found = TOKEN.search(key)
        number = int(found[1]) if found else len(self.senders)
        if number >= len(self.senders):
            return super().answer(data, asker)
        self.addresses[key] = (self.senders[number].targets[QUESTION],)
        try:
            return super().answer(data, asker)
        finally:
            del self.addresses[key]
