"""Echo requests and replies (RFC 792; RFC 4443 section 4), through one device: does somebody beyond a tunnel answer?"""

from __future__ import annotations

import socket
import struct

from warren.model.prefix import Address, Family
from warren.sys.errors import HostError

AT_ONCE = 64  # packets that are looked at before anybody else has his turn: whoever floods us keeps nothing up
_PROTO = {Family.IPV4: (socket.AF_INET, socket.IPPROTO_ICMP), Family.IPV6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
_REQUEST, _REPLY = {Family.IPV4: 8, Family.IPV6: 128}, {Family.IPV4: 0, Family.IPV6: 129}
_ICMP_FILTER = 1  # linux/icmp.h, on SOL_RAW; linux/icmpv6.h, on IPPROTO_ICMPV6: a set bit keeps a type out
_SOL_RAW = 255
_FILTERS = {
    Family.IPV4: struct.pack("=I", 0xFFFFFFFF ^ (1 << _REPLY[Family.IPV4])),
    Family.IPV6: struct.pack(
        "=8I", *(0xFFFFFFFF ^ (1 << _REPLY[Family.IPV6] % 32 if word == 129 // 32 else 0) for word in range(8))
    ),
}


def open_echo(device: str, family: Family = Family.IPV6) -> socket.socket:
    """Open a socket that sends by a device and hears replies that come in there; HostError without the privilege."""
    kind, proto = _PROTO[family]
    try:
        opened = socket.socket(kind, socket.SOCK_RAW, proto)
    except PermissionError:
        raise HostError("asking through tunnels needs CAP_NET_RAW", "Run warren as root.") from None
    opened.setblocking(False)
    opened.setsockopt(_SOL_RAW if family is Family.IPV4 else proto, _ICMP_FILTER, _FILTERS[family])
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    except OSError as error:
        opened.close()
        why = (error.strerror or str(error)).lower()
        raise HostError(f"cannot ask through {device}: {why}", "Run `warren apply` first.") from None
    return opened


def ask(opened: socket.socket, address: Address, number: int) -> bool:
    """Send a request with a number of ours; say whether it could be sent. ICMPv6's checksum is the kernel's affair."""
    family = Family(address.version)
    checksum = _checksum(_REQUEST[family] << 8, number) if family is Family.IPV4 else 0
    try:
        opened.sendto(struct.pack("!BBHHH", _REQUEST[family], 0, checksum, number, 0), (str(address), 0))
    except OSError:  # no handshake yet, no route for the outer packet: it is as silent as it sounds
        return False
    return True


def answers(opened: socket.socket, number: int) -> frozenset[str]:
    """Take some of what came in: who answered requests with that number. The rest is for the next time."""
    found: set[str] = set()
    for _ in range(AT_ONCE):
        try:
            data, sender = opened.recvfrom(256)
        except (BlockingIOError, InterruptedError):
            break
        except OSError:  # an error about an earlier request
            continue
        if opened.family is socket.AF_INET:  # with its header (raw(7))
            data, reply = data[(data[0] & 15) * 4 :] if data else data, _REPLY[Family.IPV4]
        else:
            reply = _REPLY[Family.IPV6]
        if len(data) >= 8 and data[0] == reply and struct.unpack_from("!H", data, 4)[0] == number:
            found.add(sender[0].partition("%")[0])
    return frozenset(found)


def _checksum(*words: int) -> int:
    """RFC 1071 over 16-bit words."""
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
