"""The router of an uplink, and sockets towards it alone: for asking it to open a port (proto.portmap).

    line        UDP, connected to its server: only its answers come in, and its ICMP that nobody listens
    searcher    UDP, for UPnP's search: to the router and to everybody on the LAN
    listener    UDP, where routers tell everybody that they began anew
    exchange    one question over TCP, and the whole answer

All of them are bound to the uplink and marked like WireGuard's own packets: no tunnel that takes everything has them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

from warren.model.prefix import FAMILIES, Family
from warren.proto.address import Address
from warren.proto.portmap.values import ANNOUNCED, SERVER
from warren.sys import ip

AT_ONCE = 16  # datagrams that are taken before others have their turn
LARGEST = 2048  # bytes of a datagram that are looked at; no protocol here sends more
MOST_SOURCES = 3  # addresses of one family that a port is asked for
PIECE = 4096
PATIENCE = 3.0  # seconds for an exchange over TCP
TTL = 2  # of a search among everybody (UPnP Device Architecture 1.1 section 1.3.2)
_ALL = {4: "224.0.0.1", 6: "ff02::1"}
_LOCAL = ip_network("fc00::/7")
_SO_MARK = 36


@dataclass(frozen=True, slots=True)
class Router:
    """A default gateway of a device, as one of our addresses reaches it."""

    device: str
    ip: IPv4Address | IPv6Address
    source: IPv4Address | IPv6Address


def routers(device: str, mark: int = 0) -> tuple[Router, ...]:
    """List the routers of a device: for IPv4 one, for IPv6 one for each of our addresses; HostError if `ip` fails."""
    found: list[Router] = []
    links = {link.name: link for link in ip.links()}
    if device not in links:
        return ()
    for family in FAMILIES:
        hops = [route for route in ip.default_routes(family) if route.device == device and route.via is not None]
        via = min(hops, key=lambda route: route.metric).via if hops else None
        if via is None or via.version != family:
            continue
        if family is Family.IPV4:
            source = _source(Address(via, SERVER), device, mark)
            sources: tuple[IPv4Address | IPv6Address, ...] = (source,) if source is not None else ()
        else:  # the router is reached from any of them, and opens its firewall for the one that asks
            own = (one.ip for one in links[device].lasting if one.version == 6)
            sources = tuple(one for one in own if not (one.is_link_local or one in _LOCAL))[:MOST_SOURCES]
        found += [Router(device, via, source) for source in sources]
    return tuple(found)


def line(router: Router, mark: int) -> socket.socket:
    """Open a socket to the router's server of PCP and NAT-PMP; OSError if it cannot be reached."""
    return _open(router, mark, lambda made: made.connect(_to(router, router.ip, SERVER)))


def searcher(router: Router, mark: int) -> socket.socket:
    """Open a socket for UPnP's search; OSError if there is no way."""

    def prepare(made: socket.socket) -> None:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, router.source.packed)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)

    return _open(router, mark, prepare)


def listener(device: str, family: int) -> socket.socket | None:
    """Open a socket for what routers tell everybody; None where somebody has the port for himself."""
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind_to(made, device)
        index = socket.if_nametoindex(device)
        made.bind((_ALL[family], ANNOUNCED) if family == 4 else (_ALL[family], ANNOUNCED, 0, index))
    except OSError:
        made.close()
        return None
    return made


def taken(at: socket.socket, nobody: Callable[[], None]) -> Iterator[tuple[bytes, Address]]:
    """Give what has come to a socket; `nobody` is called where the router says that nobody listens."""
    for _ in range(AT_ONCE):
        try:
            data, source = at.recvfrom(LARGEST)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionRefusedError:
            nobody()
            continue
        except OSError:  # the device went down, or another ICMP error: nothing has come with it
            continue
        yield data, Address.of(source[0].partition("%")[0], source[1])


def send(by: socket.socket, router: Router, data: bytes, to: Address) -> bool:
    """Send a datagram, and say whether it went; one that finds no way is lost, as any may be."""
    for _ in range(2):
        try:
            if to.ip == router.ip and to.port == SERVER:
                by.send(data)
            else:
                by.sendto(data, (str(to.ip), to.port))
        except ConnectionRefusedError:  # what an earlier one met, and then this one was not sent
            continue
        except OSError:
            return False
        return True
    return False


def exchange(
    router: Router, mark: int, to: Address, data: bytes, most: int, whole: Callable[[bytes], bool], seconds: float
) -> bytes | None:
    """Ask one question over TCP, and give what comes until the end, or until it is `whole`; None if nothing does."""
    ends = time.monotonic() + seconds
    got = b""
    try:
        with _open(router, mark, lambda made: made.settimeout(seconds), socket.SOCK_STREAM) as made:
            made.connect(_to(router, to.ip, to.port))
            made.sendall(data)
            while len(got) <= most and not whole(got) and (left := ends - time.monotonic()) > 0:
                made.settimeout(left)
                piece = made.recv(PIECE)
                if not piece:
                    break
                got += piece
    except OSError:  # refused, reset, too late: what there is may do
        pass
    return got or None


def _open(
    router: Router,
    mark: int,
    prepare: Callable[[socket.socket], None],
    kind: socket.SocketKind = socket.SOCK_DGRAM,
) -> socket.socket:
    """Open a socket that only leaves by the router's device, from our address there."""
    made = socket.socket(socket.AF_INET if router.ip.version == 4 else socket.AF_INET6, kind)
    try:
        made.setblocking(False)
        _mark(made, mark)
        _bind_to(made, router.device)
        made.bind((str(router.source), 0))
        prepare(made)
    except BaseException:
        made.close()
        raise
    return made


def _source(to: Address, device: str, mark: int) -> IPv4Address | IPv6Address | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            _mark(asker, mark)
            _bind_to(asker, device)
            asker.connect((str(to.ip), to.port))
            return Address.of(asker.getsockname()[0], 1).ip
    except OSError:
        return None


def _to(router: Router, to: IPv4Address | IPv6Address, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if to.version == 4:
        return str(to), port
    return str(to), port, 0, socket.if_nametoindex(router.device) if to.is_link_local else 0


def _mark(made: socket.socket, mark: int) -> None:
    if mark:
        made.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)


def _bind_to(made: socket.socket, device: str) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
