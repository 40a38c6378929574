"""See packets: one packet socket in each space that sees every device there, both ways, with the kernel's clock.

Whatever the lab sends carries a token in its payload; a tunnel hides it, so a token that is seen on an uplink went
there in the clear. A TCP packet without payload is known by where it goes.

packet(7) PACKET_STATISTICS, socket(7) SO_TIMESTAMPNS.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from warren.lab.spaces import Spaces
from warren.model.prefix import Address

DNS_PORT = 53
TOKEN = re.compile(rb"warren-[0-9a-f]{12}")
ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
SOL_PACKET, PACKET_STATISTICS = 263, 6
_QUEUE = 1 << 24  # bytes of packets that may wait to be looked at
_ROOM = 65536
_PROTOS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of ours at a device. `what` is its token, or `address port` of where a bare TCP packet goes."""

    at: int  # nanoseconds
    space: str
    device: str
    leaving: bool
    source: Address
    destination: Address
    what: str


@dataclass(frozen=True, slots=True)
class Packet:
    """What of an IP packet matters here."""

    source: Address
    destination: Address
    proto: str
    dport: int
    fragment: bool
    token: str


def dissect(raw: bytes) -> Packet | None:
    """Read an IP packet; None if it is none, or of a protocol the lab does not send."""
    if len(raw) < 20:
        return None
    if raw[0] >> 4 == 4:
        source, destination = ip_address(raw[12:16]), ip_address(raw[16:20])
        offset = int.from_bytes(raw[6:8], "big")
        proto, at, fragment = raw[9], (raw[0] & 15) * 4, offset & 0x3FFF != 0
    elif raw[0] >> 4 == 6 and len(raw) >= 40:
        source, destination = ip_address(raw[8:24]), ip_address(raw[24:40])
        proto, at, fragment = raw[6], 40, raw[6] == 44
    else:
        return None
    name = _PROTOS.get(proto, "")
    if not name and not fragment:
        return None
    ports = name in ("tcp", "udp")
    sport = int.from_bytes(raw[at : at + 2], "big") if ports else 0
    dport = int.from_bytes(raw[at + 2 : at + 4], "big") if ports else 0
    if DNS_PORT in (sport, dport):  # a question for a name, whose capitals are anybody's, and not what answers it
        found = TOKEN.search(raw.lower(), at) if dport == DNS_PORT else None
    else:
        found = TOKEN.search(raw, at)
    return Packet(source, destination, name, dport, fragment, found.group().decode() if found else "")


class Eye:
    """The packet socket of one space."""

    def __init__(self, spaces: Spaces, space: str, uplink: str = "") -> None:
        """Open it; `uplink` is the device on which fragments are counted."""
        self.space, self.uplink = space, uplink
        self.fragments = 0
        with spaces.inside(space):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setblocking(False)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _QUEUE)
        except PermissionError:  # an ordinary user has what net.core.rmem_max allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def look(self, tell: Callable[[Sighting], None]) -> None:
        """Read all that came since, and tell of each packet of ours."""
        while True:
            try:
                raw, notes, _, where = self.socket.recvmsg(_ROOM, 64)
            except BlockingIOError:
                return
            packet = dissect(raw)
            if packet is None:
                continue
            device, leaving = where[0], where[2] == socket.PACKET_OUTGOING
            self.fragments += packet.fragment and leaving and device == self.uplink
            what = packet.token or (f"{packet.destination} {packet.dport}" if packet.proto == "tcp" else "")
            if what:
                stamp = _stamp(notes)
                tell(Sighting(stamp, self.space, device, leaving, packet.source, packet.destination, what))

    def missed(self) -> int:
        """Count the packets that found the queue full since this was asked last."""
        _, drops = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def _stamp(notes: Iterable[tuple[int, int, bytes]]) -> int:
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    raise ValueError("the kernel gave no time with a packet")


def show_to_eyes(spaces: Spaces, space: str, device: str, token: str) -> None:
    """Put a packet with a token on a device, past routes and firewall: what an eye must see, if it sees at all.

    It goes to nobody: a UDP packet in a broadcast frame, which no IP stack takes further.
    """
    payload = token.encode()
    udp = struct.pack("!HHHH", 9, 9, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0, bytes(4), bytes(4))
    with spaces.inside(space), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)) as out:
        out.sendto(header + udp, (device, ETH_P_IP, 0, 0, b"\xff" * 6))
