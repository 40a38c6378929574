"""A filter for packet sockets, run by the kernel (socket(7) SO_ATTACH_FILTER, linux/filter.h; classic BPF).

On a host only what leaves is of interest, in the internet only what comes; WireGuard's own packets are not, and there
are many. What the kernel drops here never waits for us, so a short queue does too.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable

SO_ATTACH_FILTER = 26
_PKTTYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_OUTGOING = 4
_LOAD_W, _LOAD_H, _LOAD_B = 0x20, 0x28, 0x30  # BPF_LD | BPF_ABS, by size
_LOAD_H_X, _HEADER_LENGTH = 0x48, 0xB1  # BPF_LD | BPF_H | BPF_IND; BPF_LDX | BPF_B | BPF_MSH
_AND, _EQUAL, _RETURN = 0x54, 0x15, 0x06
_ALL, _NONE = 0xFFFF, 0

Line = tuple[int, int, str, str]  # code, constant, where to go if it is so, and if not; empty: the next line


def attach(sock: socket.socket, ports: Iterable[int], *, leaving: bool) -> None:
    """Let a packet socket have what leaves (without UDP from these ports), or what comes (nor to them)."""
    program = _assemble(list(_program(tuple(ports), leaving)))
    code = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(code)))


def _program(ports: tuple[int, ...], leaving: bool) -> Iterable[tuple[str, Line]]:
    yield "", (_LOAD_W, _PKTTYPE, "", "")
    yield "", (_EQUAL, _OUTGOING, *(("", "none") if leaving else ("none", "")))
    yield "", (_LOAD_B, 0, "", "")
    yield "", (_AND, 0xF0, "", "")
    yield "", (_EQUAL, 0x60, "six", "")
    yield "", (_EQUAL, 0x40, "", "all")
    yield "", (_LOAD_B, 9, "", "")
    yield "", (_EQUAL, socket.IPPROTO_UDP, "", "all")
    yield "", (_LOAD_H, 6, "", "")
    yield "", (_AND, 0x1FFF, "", "")
    yield "", (_EQUAL, 0, "", "all")  # the rest of a fragment has no ports
    yield "", (_HEADER_LENGTH, 0, "", "")
    yield from _ours(_LOAD_H_X, 0, ports, leaving)
    yield "all", (_RETURN, _ALL, "", "")
    yield "six", (_LOAD_B, 6, "", "")
    yield "", (_EQUAL, socket.IPPROTO_UDP, "", "all6")
    yield from _ours(_LOAD_H, 40, ports, leaving)
    yield "all6", (_RETURN, _ALL, "", "")
    yield "none", (_RETURN, _NONE, "", "")


def _ours(load: int, at: int, ports: tuple[int, ...], leaving: bool) -> Iterable[tuple[str, Line]]:
    for field in (at,) if leaving else (at, at + 2):
        yield "", (load, field, "", "")
        for port in ports:
            yield "", (_EQUAL, port, "none", "")


def _assemble(lines: list[tuple[str, Line]]) -> bytes:
    marks = {mark: number for number, (mark, _) in enumerate(lines) if mark}

    def jump(to: str, number: int) -> int:
        return marks[to] - number - 1 if to else 0

    return b"".join(
        struct.pack("HBBI", code, jump(so, number), jump(not_so, number), constant)
        for number, (_, (code, constant, so, not_so)) in enumerate(lines)
    )
