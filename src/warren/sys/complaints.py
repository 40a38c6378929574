"""What others say of datagrams that did not arrive: the error queue of a UDP socket (ip(7), IP_RECVERR)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.check import FORBIDDEN, NOBODY

AT_ONCE = 64  # that are taken before others have their turn
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_HEAD = struct.Struct("=IBBBBII")  # sock_extended_err (linux/errqueue.h): errno, origin, type, code, pad, info, data
_ORIGINS = {2: "ICMP", 3: "ICMPv6"}
_WORDS = {
    (2, 3, 3): NOBODY,  # RFC 792, RFC 1812 section 5.2.7.1
    (2, 3, 9): FORBIDDEN,
    (2, 3, 10): FORBIDDEN,
    (2, 3, 13): FORBIDDEN,
    (3, 1, 4): NOBODY,  # RFC 4443 section 3.1
    (3, 1, 1): FORBIDDEN,
    (3, 1, 5): FORBIDDEN,
    (3, 1, 6): FORBIDDEN,
}


def heed(made: socket.socket) -> None:
    """Have a UDP socket keep what others say of its datagrams."""
    made.setsockopt(*_RECVERR[made.family], 1)


def complaints(made: socket.socket) -> Iterator[tuple[Address, str]]:
    """Give for each datagram that somebody complained of where it was sent, and what was said of it, in words."""
    for _ in range(AT_ONCE):
        try:
            _, control, _, to = made.recvmsg(1, 512, socket.MSG_ERRQUEUE)
        except (BlockingIOError, InterruptedError):
            return
        for level, kind, data in control:
            if (level, kind) == _RECVERR[made.family] and len(data) >= _HEAD.size:
                yield Address.of(to[0].partition("%")[0], to[1]), _words(data, made.family)


def reason(error: OSError) -> str:
    """Say why a datagram could not even be sent."""
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{FORBIDDEN} by a firewall of this host"
    return (error.strerror or str(error)).lower()


def _words(data: bytes, family: int) -> str:
    number, origin, kind, code, *_ = _HEAD.unpack_from(data)
    said = _WORDS.get((origin, kind, code)) or os.strerror(number).lower()
    offender = _address(data[_HEAD.size :], family) if origin in _ORIGINS else None
    return f"{said}, says {offender}" if offender is not None else said


def _address(data: bytes, family: int) -> IPv4Address | IPv6Address | None:
    """Read the sockaddr of who complained."""
    if family == socket.AF_INET and len(data) >= 8:
        return IPv4Address(data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return IPv6Address(data[8:24])
    return None
