"""The sockets of this host that can be spoken to from outside: ss(8). Reads only, and sees programs only as root.

LISTEN 0 128  0.0.0.0:22        0.0.0.0:*   users:(("sshd",pid=612,fd=3))
UNCONN 0 0    [::]%eth0:546     [::]:*      users:(("dhclient",pid=90,fd=7))
ESTAB  0 0    192.0.2.7:41000   9.9.9.9:53

Where ss is missing (with Alpine and OpenWrt it is a package of its own) /proc/net tells the same but for programs: a
gateway that knew of no sshd would publish the operator's way in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from warren.model.change import Command
from warren.model.surroundings import Listener
from warren.sys import sysctl
from warren.sys.run import Run, find_program, run

_PROGRAM = re.compile(r'\(\("([^"]+)"')
_CONNECTED, _UNCONNECTED, _LISTENS = "01", "07", "0A"  # linux/include/net/tcp_states.h
_WAITING = {"tcp": (_LISTENS,), "udp": (_CONNECTED, _UNCONNECTED)}
_BEGINS_WITH = "32768 60999"  # net.ipv4.ip_local_port_range of a fresh kernel


def listeners(run: Run = run) -> tuple[Listener, ...]:
    """List what listens on TCP and every UDP socket, sorted, each port and program once."""
    low, high = map(int, (sysctl.read("net.ipv4.ip_local_port_range") or _BEGINS_WITH).split())
    found: set[Listener] = set()
    if find_program("ss") is None:
        for proto in ("tcp", "udp"):
            for file in (Path("/proc/thread-self/net") / name for name in (proto, f"{proto}6")):
                found.update(parse_proc(proto, file.read_text()) if file.exists() else ())
    else:
        found.update(parse("tcp", run(Command(("ss", "-H", "-n", "-t", "-l", "-p"))), range(low, high + 1)))
        found.update(parse("udp", run(Command(("ss", "-H", "-n", "-u", "-a", "-p"))), range(low, high + 1)))
    return tuple(sorted(found, key=lambda one: (one.proto, one.port, one.program)))


def parse(proto: str, text: str, ephemeral: range) -> Iterator[Listener]:
    """Read what ss(8) lists of one protocol; a UDP socket of a program at an ephemeral port is a passing one."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 5:
            continue
        address, _, port = words[3].rpartition(":")
        if not port.isdecimal() or _is_loopback(address):
            continue
        named = _PROGRAM.search(line)
        program = named[1] if named else ""
        passing = proto == "udp" and (words[0] == "ESTAB" or (bool(program) and int(port) in ephemeral))
        yield Listener(proto, int(port), program, passing)


def parse_proc(proto: str, text: str) -> Iterator[Listener]:
    """Read a file of /proc/net (proc_net(5)): addresses are words of 32 bits in the machine's own order.

    A socket whose program nobody knows is taken for one that waits for strangers, unless it is connected.
    """
    for line in text.splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, _, port = local.partition(":")
        words = [int.from_bytes(bytes.fromhex(address[at : at + 8]), sys.byteorder) for at in range(0, len(address), 8)]
        packed = b"".join(word.to_bytes(4) for word in words)
        if state not in _WAITING[proto] or _is_loopback(str(ip_address(packed))):
            continue
        yield Listener(proto, int(port, 16), passing=proto == "udp" and state == _CONNECTED)


def _is_loopback(address: str) -> bool:
    bare, _, device = address.partition("%")
    if device == "lo" or bare == "*":
        return device == "lo"
    found = ip_address(bare.strip("[]"))
    within = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (within or found).is_loopback
