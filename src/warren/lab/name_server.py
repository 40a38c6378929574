"""The lab's own DNS: on its internet, at every address there is, and for the names that the file has.

Machines of the lab are told one of these addresses (`RESOLVER`), in a resolv.conf in front of the machine's own.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from warren.lab.service import IP_PKTINFO, IPV6_RECVPKTINFO, answered_from
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

RESOLVER = "9.9.9.9"
RESOLVERS = Path("/etc/resolv.conf")
PORT = 53
TTL = 60
_AUTHORITATIVE = 0x0400
_POINTER = 0xC00C  # to the question's name
Names = Mapping[bytes, tuple[Address, ...]]


def point_at_it() -> None:
    """Have every machine of the lab ask the lab's own DNS."""
    ours = Path("/run/resolv.conf")
    ours.write_text(f"nameserver {RESOLVER}\n", encoding="ascii")
    if not RESOLVERS.exists():
        raise LabError(f"{RESOLVERS} is not there, so the lab cannot put its own in front of it")
    mount(str(ours), str(RESOLVERS), flags=MS_BIND)


def as_names(names: tuple[tuple[str, tuple[Address, ...]], ...]) -> Names:
    """Give names as they stand in messages."""
    return {wire_name(name): addresses for name, addresses in names}


def answer(data: bytes, names: Names) -> bytes:
    """Answer a query for one of these names; of any other it is said that there is none."""
    try:
        query = read_query(data)
    except Malformed:
        return refusal(data, FORMERR)
    asked = query.question
    addresses = names.get(asked.key)
    if addresses is None:
        above = any(name.endswith(asked.key) for name in names)
        return failure(query, 0 if above else NXDOMAIN, _AUTHORITATIVE)
    version = {A: 4, AAAA: 6}.get(asked.kind, 0)
    found = [address.packed for address in addresses if address.version == version]
    flags = QR | _AUTHORITATIVE | RA | (query.flags & RD)
    head = HEADER.pack(query.number, flags, 1, len(found), 0, 0)
    records = (struct.pack("!HHHIH", _POINTER, asked.kind, IN, TTL, len(one)) + one for one in found)
    return head + asked.name + struct.pack("!HH", asked.kind, asked.of_class) + b"".join(records)


def serve_names(spaces: Spaces, space: str, selector: selectors.BaseSelector, names: Names) -> None:
    """Answer at port 53 of a space, by UDP and TCP, from whatever address was asked."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with spaces.inside(space):
                server = socket.socket(family, kind)
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                server.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            else:
                server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            server.bind(("", PORT))
            ready: _Datagrams | _Streams = _Datagrams(server, names)
            if kind == socket.SOCK_STREAM:
                server.listen(16)
                ready = _Streams(server, names, selector)
            selector.register(server, selectors.EVENT_READ, ready)


class _Datagrams:
    def __init__(self, server: socket.socket, names: Names) -> None:
        self.server, self.names = server, names

    def __call__(self) -> None:
        while True:
            try:
                data, notes, _, asker = self.server.recvmsg(2048, 256)
            except BlockingIOError:
                return
            if told := answer(data, self.names):
                answered_from(self.server, told, notes, asker)


class _Streams:
    def __init__(self, server: socket.socket, names: Names, selector: selectors.BaseSelector) -> None:
        self.server, self.names, self.selector = server, names, selector

    def __call__(self) -> None:
        try:
            caller, _ = self.server.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        caller.setblocking(False)
        self.selector.register(caller, selectors.EVENT_READ, _Stream(caller, self.names, self.selector))


class _Stream:
    """One connection; every message has its length before it (RFC 1035 section 4.2.2)."""

    def __init__(self, caller: socket.socket, names: Names, selector: selectors.BaseSelector) -> None:
        self.caller, self.names, self.selector = caller, names, selector
        self.held = b""

    def __call__(self) -> None:
        try:
            data = self.caller.recv(4096)
            self.held += data
            while len(self.held) > 1 and len(self.held) >= (size := 2 + int.from_bytes(self.held[:2], "big")):
                told = answer(self.held[2:size], self.names)
                self.held = self.held[size:]
                self.caller.sendall(struct.pack("!H", len(told)) + told)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.selector.unregister(self.caller)
            self.caller.close()
