"""Echo requests and replies of ICMPv6 (RFC 4443 section 4), through one device: does the far end of a tunnel answer?"""

from __future__ import annotations

import socket
import struct

from warren.model.prefix import Address
from warren.sys.errors import HostError

REQUEST, REPLY = 128, 129
AT_ONCE = 64  # packets that are looked at before anybody else has his turn: whoever floods us keeps nothing up
_ICMP6_FILTER = 1  # linux/icmpv6.h; a set bit keeps a type out
_ONLY_REPLIES = struct.pack("=8I", *(0xFFFFFFFF ^ (1 << REPLY % 32 if word == REPLY // 32 else 0) for word in range(8)))


def open_echo(device: str) -> socket.socket:
    """Open a socket that sends by a device and hears replies that come in there; HostError without the privilege."""
    try:
        opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    except PermissionError:
        raise HostError("asking through tunnels needs CAP_NET_RAW", "Run warren as root.") from None
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _ONLY_REPLIES)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    except OSError as error:
        opened.close()
        why = (error.strerror or str(error)).lower()
        raise HostError(f"cannot ask through {device}: {why}", "Run `warren apply` first.") from None
    return opened


def ask(opened: socket.socket, address: Address, number: int) -> bool:
    """Send a request with a number of ours; say whether it could be sent. The kernel fills in the checksum."""
    try:
        opened.sendto(struct.pack("!BBHHH", REQUEST, 0, 0, number, 0), (str(address), 0))
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
        if len(data) >= 8 and data[0] == REPLY and struct.unpack_from("!H", data, 4)[0] == number:
            found.add(sender[0].partition("%")[0])
    return frozenset(found)
