"""One question to the network: a real packet of one family and kind, sent until it is answered or time is up.

The sender's socket is made inside the sender's space, so that one process asks for all machines of the lab at once.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field

from warren.lab.packets import checksum
from warren.lab.service import Selector
from warren.lab.sight import Sighting
from warren.lab.spaces import Spaces
from warren.model.expect import DNS
from warren.model.prefix import Address, Family
from warren.proto.dns.message import IN, NOERROR, Malformed, read_answer, wire_name, write_query

RCODES = {2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
AGAIN = 0.25  # seconds until a datagram is sent once more
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 23, 2
IP_FREEBIND, IPV6_FREEBIND = 15, 78
IP_RECVERR, IPV6_RECVERR = 11, 25
ECHO = {Family.IPV4: (8, 0, 20), Family.IPV6: (128, 129, 40)}  # request, reply, length of the IP header


@dataclass
class Ask:
    """What is asked, and what came of it so far.

    `ends` are the spaces it is meant for. `mapped` is what the destination is called in some spaces, behind a map of
    addresses; `led` is to which addresses and ports a gateway may send it on: there it is still this question. `source`
    is None unless the sender is the internet. `size` is the whole IP packet's, for an echo that must not be fragmented
    (0: a small one, fragmented as may be).
    `name`: of a question for a name (`dns`), below which the one is that is asked for a record of
    this `kind`.
    `flaw` is why nothing can be learned from it.
    """

    space: str
    family: Family
    proto: str
    destination: Address
    dport: int = 0
    ends: frozenset[str] = frozenset()
    source: Address | None = None
    size: int = 0
    mapped: tuple[tuple[str, Address], ...] = ()
    led: tuple[tuple[Address, int], ...] = ()
    token: str = field(default_factory=lambda: f"warren-{os.urandom(6).hex()}")
    sightings: list[Sighting] = field(default_factory=list)
    answered: bool = False
    answerer: str = ""
    seen_as: str = ""
    trouble: str = ""
    name: str = ""
    kind: int = 0
    flaw: str = ""

    def left_by(self, device: str) -> bool:
        """Say whether the sender's own eye saw it leave by this device."""
        return any(one.space == self.space and one.leaving and one.device == device for one in self.sightings)

    @property
    def keys(self) -> tuple[str, ...]:
        """How a packet of this question is known while it has no payload."""
        if self.proto != "tcp":
            return ()
        called = dict.fromkeys((self.destination, *(address for _, address in self.mapped)))
        known = (*((address, self.dport) for address in called), *self.led)
        return tuple(f"{address} {port}" for address, port in known)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports at which somebody may have to answer it."""
        return tuple(dict.fromkeys((self.dport, *(port for _, port in self.led))))

    def take(self, sighting: Sighting) -> None:
        """Note where a packet on its way there was seen; answers are no business of ours."""
        known = (self.destination, *(address for address, _ in self.led))
        if (
            self.proto == DNS or sighting.destination in known or (sighting.space, sighting.destination) in self.mapped
        ):  # whoever is asked for the name next
            self.sightings.append(sighting)


class Asker:
    """Sends one question and waits for its answer."""

    def __init__(self, ask: Ask, spaces: Spaces, selector: Selector) -> None:
        self.ask, self.selector = ask, selector
        self.next_at = 0.0
        self.connected = False
        with spaces.inside(ask.space):
            self.socket = _open(ask)
        self.socket.setblocking(False)
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        selector.register(self.socket, both if ask.proto == "tcp" else selectors.EVENT_READ, self.read)

    def prod(self, now: float) -> None:
        """Send, or send once more when it is time."""
        if now < self.next_at or self.ask.answered:
            return
        self.next_at = now + AGAIN
        if not self.connected:
            self._connect()
        elif self.ask.proto != "tcp":
            self._send()

    def _connect(self) -> None:
        """Connect datagram sockets too: only then does the kernel tell them what came back instead of an answer."""
        error = self.socket.connect_ex((str(self.ask.destination), self.ask.dport))
        if error in (0, errno.EISCONN):
            self.connected = True
            if self.ask.proto == "tcp":
                self.selector.modify(self.socket, selectors.EVENT_READ, self.read)
            self._send()
        elif error not in (errno.EINPROGRESS, errno.EALREADY):
            self.ask.trouble = os.strerror(error).lower()

    def _send(self) -> None:
        try:
            self.socket.send(_payload(self.ask))
        except (BlockingIOError, InterruptedError):
            self.next_at = 0.0
        except OSError as error:
            self.ask.trouble = _words(error)

    def read(self) -> None:
        """Read an answer."""
        if not self.connected:
            self._connect()
            return
        try:
            raw = self.socket.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.ask.trouble = _words(error)
            self._forget_errors()
            return
        if self.ask.proto == "icmp":
            request, reply, _ = ECHO[self.ask.family]
            body = raw[(raw[0] & 15) * 4 :] if self.ask.family is Family.IPV4 else raw
            if self.ask.token.encode() in body and body[0] == reply != request:
                self.ask.answered = True
            return
        if self.ask.proto == DNS:
            self._resolved(raw)
            return
        words = raw.decode(errors="replace").split()
        if len(words) == 4 and words[0] == self.ask.token:
            self.ask.answered, self.ask.answerer, self.ask.seen_as = True, words[1], words[2]

    def _resolved(self, raw: bytes) -> None:
        with suppress(Malformed):
            answer = read_answer(raw)
            self.ask.answered = answer.code == NOERROR
            self.ask.trouble = "" if self.ask.answered else f"the resolver says {RCODES.get(answer.code, answer.code)}"

    def _forget_errors(self) -> None:
        """Empty the queue of errors, by which the socket would be ready again at once."""
        while True:
            try:
                self.socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return

    def close(self) -> None:
        """Stop asking."""
        self.selector.unregister(self.socket)
        self.socket.close()


def _payload(ask: Ask) -> bytes:
    if ask.proto == "icmp":
        return _echo(ask)
    if ask.proto == DNS:
        name = wire_name(f"{ask.token}.{ask.name}")
        return write_query(int(ask.token[-4:], 16), name, ask.kind, IN, 0, signatures=False)
    return ask.token.encode()


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _open(ask: Ask) -> socket.socket:
    ipv4 = ask.family is Family.IPV4
    family = socket.AF_INET if ipv4 else socket.AF_INET6
    if ask.proto == "icmp":
        made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if ipv4 else socket.IPPROTO_ICMPV6)
    else:
        made = socket.socket(family, socket.SOCK_STREAM if ask.proto == "tcp" else socket.SOCK_DGRAM)
    level = socket.IPPROTO_IP if ipv4 else socket.IPPROTO_IPV6
    if ask.size:
        made.setsockopt(level, IP_MTU_DISCOVER if ipv4 else IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
    if ask.proto != "tcp":  # be told of refusals that the kernel otherwise takes for passing troubles (ip(7))
        made.setsockopt(level, IP_RECVERR if ipv4 else IPV6_RECVERR, 1)
    if ask.source is not None:
        made.setsockopt(level, IP_FREEBIND if ipv4 else IPV6_FREEBIND, 1)
        made.bind((str(ask.source), 0))
    return made


def _echo(ask: Ask) -> bytes:
    """Write an ICMP echo request that carries the token; the kernel sums ICMPv6 itself (RFC 3542 section 3.1)."""
    kind, _, header = ECHO[ask.family]
    data = ask.token.encode()
    data += bytes(max(0, ask.size - header - 8 - len(data)))
    identifier = int(ask.token[-4:], 16)
    bare = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + data
    if ask.family is Family.IPV6:
        return bare
    return struct.pack("!BBHHH", kind, 0, checksum(bare), identifier, 1) + data
