"""One router's advertisement (RFC 4861 section 4.2) that says just for how long we are a way out.

dnsmasq says it too, some seconds after it was started anew. Who hears this one need not wait.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

ALL_NODES = "ff02::1"
_HOPS = 64


def advertise(device: str, lifetime: int) -> None:
    """Tell everybody on a LAN; a LAN that is not there has nobody to tell."""
    told = struct.pack("!BBHBBHII", 134, 0, 0, _HOPS, 0, lifetime, 0, 0)
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as teller:
        teller.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        teller.sendto(told, (ALL_NODES, 0, 0, socket.if_nametoindex(device)))
