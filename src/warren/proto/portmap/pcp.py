"""Packets of the Port Control Protocol (RFC 6887 sections 7, 11 and 14): MAP and ANNOUNCE.

    request   version 2 · opcode 1 · 0 · lifetime 4 · client's address 16 · MAP: 36
    answer    version 2 · opcode with bit 7 · 0 · result 1 · lifetime 4 · epoch 4 · 0 × 12 · MAP: 36 · options
    MAP       nonce 12 · protocol 1 · 0 × 3 · internal port 2 · external port 2 · external address 16

Addresses are of IPv6; one of IPv4 is written as `::ffff:a.b.c.d`. For IPv6 a MAP opens the router's firewall.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.refusal import Refusal

VERSION = 2
ANNOUNCE, MAP = 0, 1
LARGEST = 1100
NONCE = 12
_ANSWER = 0x80
_UDP = 17
_HEAD, _MAP = 24, 36


class Result(IntEnum):
    """Result codes (section 7.4)."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13


@dataclass(frozen=True, slots=True)
class Mapped:
    """What an answer to MAP says besides; of a failure it repeats the request."""

    nonce: bytes
    internal: int
    external: Address


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer or an announcement. `result` is a Result, or a number that we do not know: a failure.

    `version` is the server's own, if it does not speak ours; then there is nothing else in it.
    """

    version: int
    opcode: int
    result: int
    lifetime: int = 0
    epoch: int = 0
    mapped: Mapped | None = None


def map_request(client: Address, nonce: bytes, external: Address | None, lifetime: int) -> bytes:
    """Write a MAP for UDP: ask for a port, for longer, or (lifetime 0) take it back.

    `external` is what we would like, if we had something before; else the same port as inside.
    """
    if external is None or external.ip.version != client.ip.version or not lifetime:
        external = Address((IPv4Address if client.ip.version == 4 else IPv6Address)(0), client.port if lifetime else 0)
    head = _request(MAP, client, lifetime)
    ports = struct.pack("!B3xHH", _UDP, client.port, external.port)
    return head + nonce + ports + _write(external.ip)


def announce_request(client: Address) -> bytes:
    """Write an ANNOUNCE, which only asks whether anybody speaks PCP."""
    return _request(ANNOUNCE, client, 0)


def parse(data: bytes) -> Answer | Refusal:
    """Read an answer; Refusal if it is none."""
    if not 4 <= len(data) <= LARGEST:
        return Refusal.LENGTH
    version, opcode, _, result = data[:4]
    if not opcode & _ANSWER:
        return Refusal.UNEXPECTED
    opcode &= ~_ANSWER
    if version != VERSION:
        # A server of another version says so in its own layout, NAT-PMP's too (section 9, RFC 6886 section 3.5);
        # whatever else comes with another version is not for us.
        return Answer(version, opcode, result) if result == Result.UNSUPP_VERSION else Refusal.VERSION
    if len(data) < _HEAD or len(data) % 4:
        return Refusal.LENGTH
    lifetime, epoch = struct.unpack_from("!II", data, 4)
    if opcode != MAP:
        return Answer(version, opcode, result, lifetime, epoch)
    if len(data) < _HEAD + _MAP:
        # A failure may be told without the rest; a success may not.
        return Refusal.LENGTH if result == Result.SUCCESS else Answer(version, opcode, result, lifetime, epoch)
    nonce = data[_HEAD : _HEAD + NONCE]
    protocol, internal, port = struct.unpack_from("!B3xHH", data, _HEAD + NONCE)
    if protocol != _UDP:
        return Refusal.VALUE
    if not _options_fit(data, _HEAD + _MAP):
        return Refusal.LENGTH
    external = Address(_read(data[_HEAD + NONCE + 8 : _HEAD + _MAP]), port)
    return Answer(version, opcode, result, lifetime, epoch, Mapped(nonce, internal, external))


def _request(opcode: int, client: Address, lifetime: int) -> bytes:
    return struct.pack("!BBHI", VERSION, opcode, 0, lifetime) + _write(client.ip)


def _write(ip: IPv4Address | IPv6Address) -> bytes:
    return bytes(10) + b"\xff\xff" + ip.packed if ip.version == 4 else ip.packed


def _read(packed: bytes) -> IPv4Address | IPv6Address:
    ip = IPv6Address(packed)
    return ip.ipv4_mapped or ip


def _options_fit(data: bytes, at: int) -> bool:
    """Say whether options fill the rest exactly: code 1 · 0 · length 2 · data, padded to four (section 7.3)."""
    while at < len(data):
        at += 4 + (int.from_bytes(data[at + 2 : at + 4]) + 3) // 4 * 4
    return at == len(data)
