"""The sockets of this host that can be spoken to from outside: ss(8). Reads only, and sees programs only as root.

LISTEN 0 128  0.0.0.0:22        0.0.0.0:*   users:(("sshd",pid=612,fd=3))
UNCONN 0 0    [::]%eth0:546     [::]:*      users:(("dhclient",pid=90,fd=7))
ESTAB  0 0    192.0.2.7:41000   9.9.9.9:53
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from warren.model.change import Command
from warren.model.surroundings import Listener
from warren.sys import sysctl
from warren.sys.run import Run, find_program, run

_PROGRAM = re.compile(r'\(\("([^"]+)"')
_BEGINS_WITH = "32768 60999"  # net.ipv4.ip_local_port_range of a fresh kernel


def listeners(run: Run = run) -> tuple[Listener, ...]:
    """List what listens on TCP and every UDP socket, sorted, each port and program once; none where ss is missing."""
    if find_program("ss") is None:
        return ()
    low, high = map(int, (sysctl.read("net.ipv4.ip_local_port_range") or _BEGINS_WITH).split())
    found = (
        *parse("tcp", run(Command(("ss", "-H", "-n", "-t", "-l", "-p"))), range(low, high + 1)),
        *parse("udp", run(Command(("ss", "-H", "-n", "-u", "-a", "-p"))), range(low, high + 1)),
    )
    return tuple(sorted(set(found), key=lambda one: (one.proto, one.port, one.program)))


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


def _is_loopback(address: str) -> bool:
    bare, _, device = address.partition("%")
    if device == "lo" or bare == "*":
        return device == "lo"
    found = ip_address(bare.strip("[]"))
    within = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (within or found).is_loopback
