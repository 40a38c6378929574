"""Datagrams of our own from and to WireGuard's UDP port, which nobody else can open while WireGuard has it.

    out    a raw socket with a UDP header of our making, marked like WireGuard's own packets: they take the same way
    in     packet sockets (packet(7)), each with a filter (bpf(4)) that knows our packets by port and first bytes

A raw socket would not do for what comes in: a stateful firewall drops answers that it has not seen asked for before
any raw socket sees them. WireGuard gets a copy of each, too, and drops it: it is none of its types.

In the same way one sends from other ports, and hears at a row of them, which nobody has opened.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.packet import MAGIC, VERSION
from warren.sys.errors import HostError

AT_ONCE = 64  # packets that are taken before others have their turn
_ETH_P = {4: 0x0800, 6: 0x86DD}
_FOR_US = 0  # PACKET_HOST
_SO_ATTACH_FILTER, _SO_MARK, _IPV6_CHECKSUM = 26, 36, 7
_UDP, _HEAD = 17, 8
_OURS = int.from_bytes(MAGIC + bytes([VERSION]))
# Classic BPF: loads, jumps, returns (linux/filter.h).
_LDB, _LDH, _LDW, _LDX_IHL, _LDH_X, _LDW_X = 0x30, 0x28, 0x20, 0xB1, 0x48, 0x40
_JEQ, _JGT, _JGE, _JSET, _RET = 0x15, 0x25, 0x35, 0x45, 0x06
_NOTHING = ((_RET, 0, 0, 0),)

Filter = Callable[[int, int], tuple[tuple[int, int, int, int], ...]]
"""What is let in, of an IP version and for a port."""


def ours(version: int, port: int) -> tuple[tuple[int, int, int, int], ...]:
    """Let in our packets for this port."""
    return _row(version, port, port)


def _row(version: int, first: int, last: int) -> tuple[tuple[int, int, int, int], ...]:
    """Let in our packets for these ports: code, jump if true, jump if not, number; offsets are from the IP header."""
    if version == 4:
        return (
            (_LDB, 0, 0, 9),
            (_JEQ, 0, 9, _UDP),
            (_LDH, 0, 0, 6),
            (_JSET, 7, 0, 0x3FFF),  # a fragment
            (_LDX_IHL, 0, 0, 0),
            (_LDH_X, 0, 0, 2),
            (_JGE, 0, 4, first),
            (_JGT, 3, 0, last),
            (_LDW_X, 0, 0, _HEAD),
            (_JEQ, 0, 1, _OURS),
            (_RET, 0, 0, 0xFFFF),
            *_NOTHING,
        )
    return (
        (_LDB, 0, 0, 6),
        (_JEQ, 0, 6, _UDP),
        (_LDH, 0, 0, 42),
        (_JGE, 0, 4, first),
        (_JGT, 3, 0, last),
        (_LDW, 0, 0, 40 + _HEAD),
        (_JEQ, 0, 1, _OURS),
        (_RET, 0, 0, 0xFFFF),
        *_NOTHING,
    )


def only_from(place: Address) -> Filter:
    """Let in what comes from one place, which is IPv4, whatever it says: for a protocol that cannot be told apart."""

    def program(version: int, port: int) -> tuple[tuple[int, int, int, int], ...]:
        if version == 6:
            return _NOTHING
        return (
            (_LDB, 0, 0, 9),
            (_JEQ, 0, 10, _UDP),
            (_LDH, 0, 0, 6),
            (_JSET, 8, 0, 0x3FFF),
            (_LDW, 0, 0, 12),
            (_JEQ, 0, 6, int(place.ip)),
            (_LDX_IHL, 0, 0, 0),
            (_LDH_X, 0, 0, 0),
            (_JEQ, 0, 3, place.port),
            (_LDH_X, 0, 0, 2),
            (_JEQ, 0, 1, port),
            (_RET, 0, 0, 0xFFFF),
            *_NOTHING,
        )

    return program


class Port:
    """WireGuard's port of one device; `apart` are devices by which nothing of ours comes in: the tunnels themselves."""

    def __init__(self, port: int, mark: int, apart: Collection[str] = (), lets_in: Filter = ours) -> None:
        """Open it; HostError without the privilege."""
        self.port, self.apart = port, frozenset(apart)
        self._mark = mark
        self.readers: tuple[socket.socket, ...] = ()
        self._senders: dict[int, socket.socket] = {}
        try:
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                with suppress(OSError) if version == 6 else _needed():  # a kernel without IPv6
                    self._senders[version] = self._sender(family)
                    self.readers += (self._reader(version, lets_in(version, port)),)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Be done with it."""
        for each in (*self.readers, *self._senders.values()):
            each.close()

    def source(self, to: Address) -> IPv4Address | IPv6Address | None:
        """Say with which address a packet would leave, as the routes are now; None if there is no way."""
        family = socket.AF_INET if to.ip.version == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asker:
                asker.setsockopt(socket.SOL_SOCKET, _SO_MARK, self._mark)
                asker.connect((str(to.ip), to.port))
                return Address.of(asker.getsockname()[0], 1).ip
        except OSError:
            return None

    def hear(self, first: int, last: int) -> socket.socket:
        """Open what hears at these ports, for `taken_at`; IPv4 only. It is the caller's to close."""
        with _needed():
            return self._reader(4, _row(4, first, last))

    def send(self, data: bytes, to: Address, port: int = 0) -> bool:
        """Send a datagram from WireGuard's port, or another, and say whether it went."""
        sender = self._senders.get(to.ip.version)
        if sender is None:
            return False
        head = struct.pack("!HHHH", port or self.port, to.port, _HEAD + len(data), 0)
        if to.ip.version == 4:  # of IPv6 the kernel makes the checksum
            source = self.source(to)
            if source is None:
                return False
            head = head[:6] + _checksum(source.packed + to.ip.packed, head + data)
        try:
            sender.sendto(head + data, (str(to.ip), 0))
        except OSError:
            return False
        return True

    def taken(self, reader: socket.socket) -> Iterator[tuple[bytes, Address]]:
        """Give what has come in for us, at most AT_ONCE of it."""
        for data, source, _ in self.taken_at(reader):
            yield data, source

    def taken_at(self, reader: socket.socket) -> Iterator[tuple[bytes, Address, int]]:
        """Give what has come in for us, at most AT_ONCE of it, and at which port."""
        for _ in range(AT_ONCE):
            try:
                packet, (device, proto, kind, *_) = reader.recvfrom(0xFFFF)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # a device went down: nothing has come with it
                continue
            if kind == _FOR_US and device not in self.apart:
                found = _read4(packet) if proto == _ETH_P[4] else _read6(packet)
                if found is not None:
                    yield found

    def _sender(self, family: socket.AddressFamily) -> socket.socket:
        made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
        made.setblocking(False)
        _attach(made, _NOTHING)  # it would be given every datagram of the host
        made.setsockopt(socket.SOL_SOCKET, _SO_MARK, self._mark)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, 6)
        return made

    def _reader(self, version: int, program: tuple[tuple[int, int, int, int], ...]) -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P[version]))
        made.setblocking(False)
        _attach(made, _NOTHING)
        with suppress(BlockingIOError):  # what came before there was a filter
            while True:
                made.recv(1)
        _attach(made, program)
        return made


class _needed:
    """Say in words what is lacking."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PermissionError):
            says = "sending from WireGuard's own port needs CAP_NET_RAW and CAP_NET_ADMIN"
            raise HostError(says, "Run warren as root.") from None
        if isinstance(error, OSError):  # a unit that forbids packet sockets
            raise HostError(f"WireGuard's own port cannot be listened at: {error.strerror or error}") from None


def _attach(to: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    """Filter what a socket gets (socket(7), SO_ATTACH_FILTER)."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def _read4(packet: bytes) -> tuple[bytes, Address, int] | None:
    at = (packet[0] & 0xF) * 4
    return _read(packet, at, IPv4Address(packet[12:16]))


def _read6(packet: bytes) -> tuple[bytes, Address, int] | None:
    return _read(packet, 40, IPv6Address(packet[8:24]))


def _read(packet: bytes, at: int, source: IPv4Address | IPv6Address) -> tuple[bytes, Address, int] | None:
    """Take the UDP header off; the link may have added something behind."""
    port, to, length, _ = struct.unpack_from("!HHHH", packet, at)
    data = packet[at + _HEAD : at + length]
    return (data, Address(source, port), to) if port and len(data) == length - _HEAD else None


def _checksum(addresses: bytes, datagram: bytes) -> bytes:
    """Compute UDP's checksum over IPv4 (RFC 768)."""
    whole = addresses + struct.pack("!BBH", 0, _UDP, len(datagram)) + datagram
    whole += bytes(len(whole) % 2)
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", total ^ 0xFFFF or 0xFFFF)
