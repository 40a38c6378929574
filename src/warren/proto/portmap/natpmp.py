"""Packets of the NAT Port Mapping Protocol (RFC 6886 section 3).

    ask for the address   0 · 0                              answer   0 · 128 · result 2 · epoch 4 · IPv4 address 4
    ask for a UDP port    0 · 1 · 0 0 · internal 2 ·         answer   0 · 129 · result 2 · epoch 4 · internal 2 ·
                          external 2 · lifetime 4                     external 2 · lifetime 4

A failure may be as short as 8 bytes: who does not know the version or the opcode says no more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from warren.proto.refusal import Refusal

VERSION = 0
ADDRESS, UDP = 0, 1
_ANSWER = 0x80
_HEAD = 8


class Result(IntEnum):
    """Result codes (section 3.5)."""

    SUCCESS = 0
    UNSUPPORTED_VERSION = 1
    REFUSED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPCODE = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure; `result` is a Result or a number that we do not know."""

    opcode: int
    result: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Outside:
    """The router's external address."""

    ip: IPv4Address
    epoch: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A port that leads to `internal` for `lifetime` seconds; 0: it was taken back."""

    internal: int
    external: int
    lifetime: int
    epoch: int


Answer = Failed | Outside | Opened


def address_request() -> bytes:
    """Ask for the external address."""
    return bytes((VERSION, ADDRESS))


def map_request(internal: int, external: int, lifetime: int) -> bytes:
    """Ask for a UDP port, for longer, or (both 0) take it back; `external` is what we would like."""
    return struct.pack("!BBHHHI", VERSION, UDP, 0, internal, external, lifetime)


def parse(data: bytes) -> Answer | Refusal:
    """Read an answer; Refusal if it is none."""
    if len(data) < _HEAD:
        return Refusal.LENGTH
    version, opcode, result, epoch = struct.unpack_from("!BBHI", data)
    if version != VERSION:
        return Refusal.VERSION
    if not opcode & _ANSWER:
        return Refusal.UNEXPECTED
    opcode &= ~_ANSWER
    if result != Result.SUCCESS:
        return Failed(opcode, result, epoch) if len(data) <= 2 * _HEAD else Refusal.LENGTH
    if opcode == ADDRESS:
        return Outside(IPv4Address(data[_HEAD:]), epoch) if len(data) == 12 else Refusal.LENGTH
    if opcode == UDP:
        if len(data) != 16:
            return Refusal.LENGTH
        internal, external, lifetime = struct.unpack_from("!HHI", data, _HEAD)
        return Opened(internal, external, lifetime, epoch)
    return Refusal.UNEXPECTED
