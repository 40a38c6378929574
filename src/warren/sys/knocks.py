"""Knocks in and out, and the doors that they open.

in     packet sockets (packet(7)): they hear what nobody listens for, and what nft then refuses like anything else
out    one datagram, marked like WireGuard's own packets: it leaves by the uplink, whatever a tunnel takes
open   an element of a live set of our table, which runs out by itself
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable

from warren.model.change import Command
from warren.model.prefix import Address as Ip
from warren.proto.address import Address
from warren.proto.knock import LENGTH, Knock
from warren.proto.packet import header
from warren.sys.errors import HostError
from warren.sys.run import Run, run
from warren.sys.wgport import Filter

MOST_PORTS = 64  # that the filter tells apart; of a host with more it lets in knocks for any port
_SO_MARK = 36
_UDP, _UDP_HEAD = 17, 8
# Classic BPF (linux/filter.h): load a byte, two or four from there, or from there behind the IPv4 header.
_LDB, _LDH, _LDW, _LDX_IHL, _JEQ, _JSET, _RET = 0x30, 0x28, 0x20, 0xB1, 0x15, 0x45, 0x06
_BEHIND = 0x20  # added to a load: behind the header whose length _LDX_IHL has put aside
_NOT, _ANY = "not", "any"


def at_ports(ports: Collection[int]) -> Filter:
    """Let in what has the first bytes and the length of a knock at one of these ports."""
    wanted = sorted(ports) if len(ports) <= MOST_PORTS else []

    def program(version: int, _port: int) -> tuple[tuple[int, int, int, int], ...]:
        head: list[tuple[int, int, object]] = []
        if version == 4:
            head += [(_LDB, 9, _UDP), (_LDH, 6, _NOT), (_LDX_IHL, 0, None)]  # no fragment
            at, more = 0, _BEHIND
        else:
            head += [(_LDB, 6, _UDP)]
            at, more = 40, 0
        begins = header(Knock)
        head += [(_LDH + more, at + 2, _ANY)] if wanted else []
        head += [(_LDH + more, at + 4, _UDP_HEAD + LENGTH)]
        head += [(_LDW + more, at + _UDP_HEAD + n, int.from_bytes(begins[n : n + 4])) for n in (0, 4)]
        return _assembled(head, wanted)

    return program


def _assembled(steps: list[tuple[int, int, object]], wanted: list[int]) -> tuple[tuple[int, int, int, int], ...]:
    """Turn loads, each with what must be there, into instructions; built from the end, where both ways out are."""
    made: list[tuple[int, int, int, int]] = [(_RET, 0, 0, 0xFFFF), (_RET, 0, 0, 0)]
    for code, at, value in reversed(steps):
        out = len(made) - 1  # from the instruction before these to the last one
        if value is _NOT:
            made = [(_JSET, out, 0, 0x3FFF), *made]
        elif value is _ANY:
            last = len(wanted) - 1
            made = [*((_JEQ, last - n, 0 if n < last else out, port) for n, port in enumerate(wanted)), *made]
        elif isinstance(value, int):
            made = [(_JEQ, 0, out, value), *made]
        made = [(code, 0, 0, at), *made]
    return tuple(made)


def send(data: bytes, to: Address, mark: int) -> bool:
    """Send a knock by the uplink and say whether it went; HostError without the privilege to mark it."""
    family = socket.AF_INET if to.ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)
            one.sendto(data, (str(to.ip), to.port))
    except PermissionError:
        raise HostError("knocking needs the capability CAP_NET_ADMIN", "Run warren as root.") from None
    except OSError:  # there is no way at present, or no such family
        return False
    return True


def let_in(table: str, sets: Iterable[tuple[str, Iterable[Ip]]], run: Run = run) -> None:
    """Put addresses into live sets of our table, for the sets' time from now on; CommandFailed if it is gone.

    One that is there already is taken out and put in again in the same transaction: no packet misses it, and not every
    kernel prolongs what is merely added again.
    """
    lines = []
    for name, addresses in sets:
        held = ", ".join(str(one) for one in addresses)
        verbs = ("add", "delete", "add") if held else ()
        lines += [f"{verb} element inet {table} {name} {{ {held} }}" for verb in verbs]
    if lines:
        run(Command(("nft", "-f", "-"), "\n".join(lines) + "\n", says="who knocked"))
