"""The lab's own DNS: on its internet, at every address there is, and for the names that the file has.

Machines of the lab are told one of these addresses (`RESOLVER`), in a resolv.conf in front of the machine's own.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from warren.core.world import RESOLVER
from warren.lab.service import Datagrams, open_server
from warren.lab.sight import TOKEN
from warren.lab.spaces import MS_BIND, LabError, Spaces, mount
from warren.model.prefix import Address
from warren.proto.dns.message import (
    AAAA,
    FORMERR,
    HEADER,
    IN,
    NXDOMAIN,
    QR,
    RA,
    RD,
    A,
    Malformed,
    failure,
    read_query,
    refusal,
    wire_name,
)

RESOLVERS = Path("/etc/resolv.conf")
PORT = 53
TTL = 60
_AUTHORITATIVE = 0x0400
CNAME = 5


def point_at_it() -> None:
    """Have every machine of the lab ask the lab's own DNS."""
    ours = Path("/run/resolv.conf")
    ours.write_text(f"nameserver {RESOLVER}\n", encoding="ascii")
    if not RESOLVERS.exists():
        raise LabError(f"{RESOLVERS} is not there, so the lab cannot put its own in front of it")
    mount(str(ours), str(RESOLVERS), flags=MS_BIND)


@dataclass
class Zone:
    """What the internet knows: addresses by name, names that stand for others, records as they are; and who asked.

    Names are as in messages, records those of one type: its number, and the data.
    """

    addresses: dict[bytes, tuple[Address, ...]] = field(default_factory=dict)
    aliases: dict[bytes, bytes] = field(default_factory=dict)
    records: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    asked: list[tuple[str, bytes, int]] = field(default_factory=list)

    @classmethod
    def of(cls, names: Iterable[tuple[str, tuple[Address, ...]]]) -> Zone:
        """Make one that knows these names."""
        return cls({wire_name(name): addresses for name, addresses in names})

    def answer(self, data: bytes, asker: str) -> bytes:
        """Answer a query; of a name that is not known it is said that there is none."""
        try:
            query = read_query(data)
        except Malformed:
            return refusal(data, FORMERR)
        asked = query.question
        self.asked.append((asker, asked.key, asked.kind))
        name = _told_apart(asked.key)
        found = list(self._found(name, asked.kind))
        if not found and name not in self.known:
            above = any(one.endswith(name) for one in self.known)
            return failure(query, 0 if above else NXDOMAIN, _AUTHORITATIVE)
        head = HEADER.pack(query.number, QR | _AUTHORITATIVE | RA | (query.flags & RD), 1, len(found), 0, 0)
        owned = ((asked.key if owner == name else owner, kind, one) for owner, kind, one in found)
        records = (owner + struct.pack("!HHIH", kind, IN, TTL, len(one)) + one for owner, kind, one in owned)
        return head + asked.name + struct.pack("!HH", asked.kind, asked.of_class) + b"".join(records)

    @property
    def known(self) -> set[bytes]:
        """All names that there are."""
        return {*self.addresses, *self.aliases, *(name for name, _ in self.records)}

    def _found(self, name: bytes, kind: int) -> Iterator[tuple[bytes, int, bytes]]:
        """Give the records of an answer, with those by which one name leads to another."""
        for _ in self.aliases:  # no more often, should they go round in circles
            if name in self.aliases:
                yield name, CNAME, self.aliases[name]
                name = self.aliases[name]
        if (name, kind) in self.records:
            yield name, kind, self.records[name, kind]
        for address in self.addresses.get(name, ()):
            if address.version == {A: 4, AAAA: 6}.get(kind):
                yield name, kind, address.packed


def _told_apart(name: bytes) -> bytes:
    """Give the name that one below it stands for: with a token before it, nobody has an answer for it in store."""
    size = 1 + name[0]
    return name[size:] if TOKEN.fullmatch(name[1:size]) else name


def serve_names(spaces: Spaces, space: str, selector: selectors.BaseSelector, zone: Zone) -> None:
    """Answer at port 53 of a space, by UDP and TCP, from whatever address was asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        server = open_server(spaces, space, family, socket.SOCK_DGRAM, PORT)
        ready = Datagrams(server, lambda data, asker: zone.answer(data, asker[0]))
        selector.register(server, selectors.EVENT_READ, ready)
        server = open_server(spaces, space, family, socket.SOCK_STREAM, PORT)
        selector.register(server, selectors.EVENT_READ, _Streams(server, zone, selector))


class _Streams:
    def __init__(self, server: socket.socket, zone: Zone, selector: selectors.BaseSelector) -> None:
        self.server, self.zone, self.selector = server, zone, selector

    def __call__(self) -> None:
        try:
            caller, (asker, *_) = self.server.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        caller.setblocking(False)
        self.selector.register(caller, selectors.EVENT_READ, _Stream(caller, self.zone, self.selector, asker))


class _Stream:
    """One connection; every message has its length before it (RFC 1035 section 4.2.2)."""

    def __init__(self, caller: socket.socket, zone: Zone, selector: selectors.BaseSelector, asker: str) -> None:
        self.caller, self.zone, self.selector, self.asker = caller, zone, selector, asker
        self.held = b""

    def __call__(self) -> None:
        try:
            data = self.caller.recv(4096)
            self.held += data
            while len(self.held) > 1 and len(self.held) >= (size := 2 + int.from_bytes(self.held[:2], "big")):
                told = self.zone.answer(self.held[2:size], self.asker)
                self.held = self.held[size:]
                self.caller.sendall(struct.pack("!H", len(told)) + told)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.selector.unregister(self.caller)
            self.caller.close()
