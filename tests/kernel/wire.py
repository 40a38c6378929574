"""What tests put on the wire: a service that says who asked, questions to it, and streams of them.

Every socket is opened inside a namespace and then used from anywhere.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

PORT = 7000  # where the service answers, on every host, client and address of the internet
IPV6_RECVPKTINFO, IPV6_PKTINFO, IP_PKTINFO = 49, 50, 8
IP_RECVERR, IPV6_RECVERR = 11, 25

Inside = Callable[[str], AbstractContextManager[None]]


# --- a service that says who asked ---------------------------------------------------------------------------


class Service:
    """Answers TCP and UDP on PORT, in one space and both families, with the address it sees.

    Over TCP it then sends back whatever it is given, so that a flow can be kept open.
    """

    def __init__(self) -> None:
        self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("::", PORT))
        self.tcp.listen(1024)
        self.udp4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp4.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.udp4.bind(("0.0.0.0", PORT))
        self.udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.udp6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.udp6.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        self.udp6.bind(("::", PORT))
        for one in (self.tcp, self.udp4, self.udp6):
            one.setblocking(False)


def serve(services: Sequence[Service]) -> None:
    """Serve for ever; in a process of its own."""
    poll = select.epoll()
    by_fd: dict[int, tuple[str, socket.socket]] = {}

    def add(kind: str, one: socket.socket) -> None:
        by_fd[one.fileno()] = (kind, one)
        poll.register(one.fileno(), select.EPOLLIN)

    for service in services:
        add("listen", service.tcp)
        add("udp", service.udp4)
        add("udp", service.udp6)
    while True:
        for descriptor, _ in poll.poll():
            kind, one = by_fd[descriptor]
            try:
                if kind == "udp":
                    _answer(one)
                elif kind == "listen":
                    new, peer = one.accept()
                    new.setblocking(False)
                    add("flow", new)
                    new.send(_plain(peer[0]).encode() + b"\n")
                elif data := one.recv(65536):
                    one.send(data)
                else:
                    raise ConnectionResetError
            except OSError:
                if kind == "flow":  # the asker is gone
                    poll.unregister(descriptor)
                    del by_fd[descriptor]
                    one.close()


def _answer(one: socket.socket) -> None:
    data, extra, _, peer = one.recvmsg(65536, 256)
    # What is asked of an address is answered from it, also when it is one of the whole internet.
    how = []
    for level, kind, value in extra:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            how.append((level, kind, struct.pack("I4s4s", 0, value[8:12], value[8:12])))
        elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
            how.append((level, kind, value[:16] + struct.pack("I", 0)))
    padding = b" " * max(0, int(data or b"0") - 64) if data.isdigit() else b""
    one.sendmsg([_plain(peer[0]).encode() + b"\n" + padding], how, 0, peer)


def _plain(address: str) -> str:
    plain = ip_address(address.split("%", maxsplit=1)[0])
    return str((plain.ipv4_mapped or plain) if isinstance(plain, IPv6Address) else plain)


# --- questions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """Who do you see? Asked from a space; `source` binds the asker's address, `answer` is the size wanted (UDP)."""

    space: str
    to: str
    proto: str = "udp"
    port: int = PORT
    source: str = ""
    timeout: float = 2.0
    answer: int = 0


def ask(inside: Inside, questions: Sequence[Question]) -> list[str]:
    """Ask all questions at once; each answer is the address that was seen, or why there is none (`timeout`, errno)."""
    answers = [""] * len(questions)
    waiting: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    for index, question in enumerate(questions):
        try:
            with inside(question.space):
                one = _open(question)
        except OSError as error:
            answers[index] = _word(error)
            continue
        waiting[one.fileno()] = (index, one)
        poll.register(one.fileno(), select.POLLIN)
    begun = time.monotonic()
    again = begun
    while waiting:
        now = time.monotonic()
        for descriptor, (index, one) in list(waiting.items()):
            left = begun + questions[index].timeout - now
            if left <= 0:
                _settle(answers, index, "timeout", poll, one)
                del waiting[descriptor]
        if now >= again:
            again = now + 0.25
            _send(questions, waiting, answers, poll)
        for descriptor, _ in poll.poll(50):
            if descriptor not in waiting:
                continue
            index, one = waiting[descriptor]
            try:
                text = one.recv(65536)
                _settle(answers, index, text.split(b"\n")[0].decode() or "closed", poll, one)
            except BlockingIOError:
                continue
            except OSError as error:
                _settle(answers, index, _word(error), poll, one)
            del waiting[descriptor]
    return answers


def _send(
    questions: Sequence[Question], waiting: dict[int, tuple[int, socket.socket]], answers: list[str], poll: select.poll
) -> None:
    """Send every UDP question (again)."""
    for descriptor, (index, one) in list(waiting.items()):
        if questions[index].proto != "udp":
            continue
        try:
            one.send(str(questions[index].answer).encode())
        except OSError as error:
            if error.errno != errno.EAGAIN:
                _settle(answers, index, _word(error), poll, one)
                del waiting[descriptor]


def _open(question: Question) -> socket.socket:
    family = socket.AF_INET6 if ":" in question.to else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM if question.proto == "tcp" else socket.SOCK_DGRAM)
    one.setblocking(False)
    # Without these a UDP socket is not told that a host or network is unreachable (udp(7)).
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    try:
        if question.source:
            one.bind((question.source, 0))
        address, _, device = question.to.partition("%")
        scope = (0, socket.if_nametoindex(device)) if device else ()
        failed = one.connect_ex((address, question.port, *scope))
        if failed not in (0, errno.EINPROGRESS):
            raise OSError(failed, errno.errorcode[failed])
    except OSError:
        one.close()
        raise
    return one


def _settle(answers: list[str], index: int, text: str, poll: select.poll, one: socket.socket) -> None:
    answers[index] = text
    poll.unregister(one.fileno())
    one.close()


def _word(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))


# --- a stream of packets -------------------------------------------------------------------------------------


def flood(one: socket.socket, rate: int, seconds: float) -> Iterator[int]:
    """Send numbered packets at a rate (per second) for a time; yields how many answers came since the last look."""
    begun = time.monotonic()
    sent = 0
    while (now := time.monotonic()) < begun + seconds:
        due = int((now - begun) * rate)
        while sent < due:
            sent += 1
            with contextlib.suppress(OSError):
                one.send(b"0")
        answers = 0
        with contextlib.suppress(OSError):
            while True:
                one.recv(2048)
                answers += 1
        yield answers
        time.sleep(1 / rate)


def far_end(address: str, port: int, hops: int) -> socket.socket:
    """Open a UDP socket on an address of the internet whose packets live for so many hops (ip(7), ipv6(7))."""
    six = ":" in address
    one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    if six:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    else:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    one.bind((address, port))
    return one


def answer_all(one: socket.socket) -> int:
    """Answer every question on a far end's socket, until killed."""
    while True:
        _, peer = one.recvfrom(100)
        one.sendto(b"far end\n", peer)
