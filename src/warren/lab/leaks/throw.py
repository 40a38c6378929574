"""Put packets on a wire as they are: from a machine on a LAN in a frame to its router, from a host by its routes."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

from warren.lab.lab import Lab
from warren.lab.leaks.senders import Sender
from warren.lab.topology import host_space
from warren.model.prefix import Family

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
SIOCGIFHWADDR = 0x8927
IPV6_HDRINCL = 36


def throw(lab: Lab, sender: Sender, packets: Iterable[bytes]) -> None:
    """Send whole IP packets from where a sender stands."""
    if sender.client is None:
        _by_routes(lab, sender, packets)
        return
    with lab.spaces.inside(host_space(sender.host)):
        router = mac_of(sender.lan)
    with lab.spaces.inside(sender.space):
        out = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    with out:
        for packet in packets:
            protocol = ETH_P_IP if packet[0] >> 4 == 4 else ETH_P_IPV6
            with lab.spaces.inside(sender.space), suppress(OSError):  # its cable may not be there just now
                out.sendto(packet, ("eth0", protocol, 0, 0, router))


def _by_routes(lab: Lab, sender: Sender, packets: Iterable[bytes]) -> None:
    four = sender.family is Family.IPV4
    with lab.spaces.inside(sender.space):
        out = socket.socket(socket.AF_INET if four else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with out:
        if not four:
            out.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        for packet in packets:
            to = socket.inet_ntop(out.family, packet[16:20] if four else packet[24:40])
            with suppress(OSError):  # refused: that is an answer, too
                out.sendto(packet, (to, 0))


def mac_of(device: str) -> bytes:
    """Give the hardware address of a device in this space. netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFHWADDR, struct.pack("16s24x", device.encode()))
    return bytes(answer[18:24])
