"""What is seen on the wire: the packets of one address on one device.

A capture needs no thread and no tcpdump: the kernel keeps the packets of a packet(7) socket until they are read,
and a BPF program keeps all others away. It is opened inside a namespace and then read from anywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
TCP, UDP = 6, 17


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it passed a device; `mss` is that of a SYN, 0 elsewhere."""

    outgoing: bool
    source: str
    destination: str
    proto: int
    sport: int = 0
    dport: int = 0
    syn: bool = False
    mss: int = 0
    size: int = 0


class Capture:
    """All packets from or to one address on one device, kept by the kernel until they are read."""

    def __init__(self, device: str, address: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        program = _bpf(ip_address(address))
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
        filter_ = struct.pack("HL", len(program), ctypes.addressof(code))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind((device, ETH_P_ALL))
        self.socket.setblocking(False)

    def read(self) -> list[Packet]:
        """Take all packets that were seen since the last time."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, (_, _, kind, _, _) = self.socket.recvfrom(256, socket.MSG_TRUNC)
                found.append(_packet(data, kind == 4))
        return found

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


def _bpf(address: IPv4Address | IPv6Address) -> list[tuple[int, int, int, int]]:
    """Write a classic BPF program (offsets from the IP header) for packets from or to the address."""
    load, equal, give = 0x20, 0x15, 0x06
    words = struct.unpack(f">{len(address.packed) // 4}I", address.packed)
    at = 12 if address.version == 4 else 8
    proto = ETH_P_IP if address.version == 4 else ETH_P_IPV6
    program = [(0x28, 0, 0, 0xFFFFF000), (equal, 0, 0, proto)]  # ldh [SKF_AD_OFF + SKF_AD_PROTOCOL]
    for place in (at, at + len(address.packed)):
        for number, word in enumerate(words):
            program += [(load, 0, 0, place + 4 * number), (equal, 0, 0, word)]
    yes, no = len(program), len(program) + 1
    half = 2 + 2 * len(words)
    for index in range(1, len(program), 2):
        _, _, _, value = program[index]
        last = index in (half - 1, yes - 1)
        missed = no if index == 1 or index >= half else half
        hit = yes if index != 1 and last else index + 1
        program[index] = (equal, hit - index - 1, missed - index - 1, value)
    return [*program, (give, 0, 0, 0x40000), (give, 0, 0, 0)]


def _packet(data: bytes, outgoing: bool) -> Packet:
    if data[0] >> 4 == 4:
        start, proto, size = (data[0] & 15) * 4, data[9], struct.unpack_from(">H", data, 2)[0]
        source, destination = str(IPv4Address(data[12:16])), str(IPv4Address(data[16:20]))
    else:
        start, proto, size = 40, data[6], 40 + struct.unpack_from(">H", data, 4)[0]
        source, destination = str(IPv6Address(data[8:24])), str(IPv6Address(data[24:40]))
    sport = dport = mss = 0
    syn = False
    if proto in (TCP, UDP) and len(data) >= start + 4:
        sport, dport = struct.unpack_from(">HH", data, start)
    if proto == TCP and len(data) >= start + 20:
        flags = data[start + 13]
        syn = flags & 0x06 == 0x02
        mss = _mss(data[start + 20 : start + (data[start + 12] >> 4) * 4]) if syn else 0
    return Packet(outgoing, source, destination, proto, sport, dport, syn, mss, size)


def _mss(options: bytes) -> int:
    at = 0
    while at + 1 < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if options[at] == 2:
            return int(struct.unpack_from(">H", options, at + 2)[0])
        at += max(2, options[at + 1])
    return 0
