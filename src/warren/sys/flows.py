"""Flows that are ended: conntrack(8) forgets them, and clients that only listen are made to speak.

A forgotten TCP flow is reset when the client's next packet comes (core/compile/firewall/failover.py). A client in the
middle of a download sends none, since it waits for data: so it is sent a SYN-ACK out of nowhere, in the server's name.
Every TCP answers that with an acknowledgement of where it stands (RFC 9293 section 3.10.7.4, RFC 5961 section 4), from
which the kernel makes a reset that fits. Conntrack takes a SYN-ACK that nobody asked for as invalid, and remembers
nothing of it.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from warren.model.change import Command
from warren.model.prefix import Address, Family, Prefix
from warren.model.state import MARK_MASK
from warren.sys.run import Run, run

MOST = 20_000  # clients that are made to speak at once; the others notice with their next packet
_FLOW = re.compile(r"^tcp .*? (ESTABLISHED|FIN_WAIT|CLOSE_WAIT)\b.*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) ")
_SYN_ACK = 0x12


@dataclass(frozen=True, slots=True)
class TcpFlow:
    """A TCP flow as its client sees it."""

    client: Address
    server: Address
    sport: int
    dport: int


def forget_marked(family: Family, source: Prefix, mark: int, run: Run = run) -> tuple[int, tuple[TcpFlow, ...]]:
    """Forget the flows from a prefix whose connections have a mark of ours; how many, and which of them are TCP.

    HostError if conntrack(8) is not installed.
    """
    command = Command(
        ("conntrack", "-D", "-f", family.word, "-s", str(source), "--mark", f"{mark:#x}/{MARK_MASK:#x}"),
        says=f"end flows from {source}",
        fine=(0, 1),  # 1: there was nothing
    )
    lines = run(command).splitlines()
    return sum(" src=" in line for line in lines), tuple(_tcp_flows(lines))


def _tcp_flows(lines: list[str]) -> Iterator[TcpFlow]:
    for line in lines:
        found = _FLOW.match(line)
        if found:
            yield TcpFlow(ip_address(found[2]), ip_address(found[3]), int(found[4]), int(found[5]))


def make_speak(flows: tuple[TcpFlow, ...]) -> None:
    """Send each flow's client a SYN-ACK in the server's name; who cannot be reached need not be told."""
    for family, kind in ((Family.IPV4, socket.AF_INET), (Family.IPV6, socket.AF_INET6)):
        chosen = [flow for flow in flows[:MOST] if flow.client.version == family]
        if not chosen:
            continue
        with socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as speaker:  # headers are ours (raw(7))
            speaker.setblocking(False)
            for flow in chosen:
                with suppress(OSError):
                    speaker.sendto(_syn_ack(flow), (str(flow.client), 0))


def _syn_ack(flow: TcpFlow) -> bytes:
    """A SYN-ACK with numbers that fit nothing: whichever they are, the answer says what is right."""
    tcp = struct.pack("!HHIIBBHHH", flow.dport, flow.sport, 0, 0, 5 << 4, _SYN_ACK, 0, 0, 0)
    ends = flow.server.packed + flow.client.packed
    pseudo = ends + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))  # RFC 9293, RFC 8200: the same sum for both
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    if flow.client.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(tcp), socket.IPPROTO_TCP, 64) + ends + tcp
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
    return header + ends + tcp  # the kernel fills in the header's own checksum


def _checksum(data: bytes) -> int:
    """RFC 1071; of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
