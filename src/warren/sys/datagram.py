"""UDP sockets for an event loop (udp(7)): bound to one address of this machine, or to all of a family."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.sys.errors import HostError

AT_ONCE = 64  # datagrams that are taken before others have their turn
ROOM = 1 << 20  # bytes that may wait
LARGEST = 65535
EVERYWHERE = (IPv4Address("0.0.0.0"), IPv6Address("::"))


def bind(ip: IPv4Address | IPv6Address, port: int) -> socket.socket | None:
    """Open a socket at an address; None if this machine does not have it. HostError if the port is taken."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        made = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:  # built without IPv6
        return None
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        if ip.version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((str(ip), port))
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None
        raise HostError(f"cannot listen at UDP port {port}: {(error.strerror or str(error)).lower()}") from None
    return made


def bind_here(ips: tuple[IPv4Address | IPv6Address, ...], port: int) -> list[socket.socket]:
    """Open sockets at those of the addresses that are this machine's, so that answers come from them.

    A machine that has none of a family is behind a translation of its provider's: then at all that it has of that
    family.
    """
    made: list[socket.socket] = []
    try:
        for everywhere in EVERYWHERE:
            wanted = [ip for ip in ips if ip.version == everywhere.version]
            own = [one for ip in wanted if (one := bind(ip, port)) is not None]
            made += own or [one for ip in ([everywhere] if wanted else []) if (one := bind(ip, port)) is not None]
    except HostError:
        for each in made:
            each.close()
        raise
    return made


def taken(at: socket.socket) -> Iterator[tuple[bytes, Address]]:
    """Give what has come to a socket, at most AT_ONCE of it."""
    for _ in range(AT_ONCE):
        try:
            data, source = at.recvfrom(LARGEST)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error of an earlier packet: nothing has come with it
            continue
        if source[1]:
            yield data, Address.of(source[0].partition("%")[0], source[1])


def send_once(ip: IPv4Address | IPv6Address, data: bytes, to: Address) -> bool:
    """Send a datagram from an address of this machine and a port that nobody has, and say whether it went."""
    try:
        made = bind(ip, 0)
    except HostError:  # all ports are taken
        return False
    if made is None:
        return False
    with made:
        return send(made, data, to)


def send(by: socket.socket, data: bytes, to: Address) -> bool:
    """Send a datagram, and say whether it went; one that finds no way or no room is lost, as any may be."""
    try:
        by.sendto(data, (str(to.ip), to.port))
    except OSError:
        return False
    return True
