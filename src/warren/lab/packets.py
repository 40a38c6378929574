"""Packets written byte by byte: those that no ordinary socket would send.

RFC 791, 768, 9293, 792; RFC 8200, 4443; RFC 1035. Checksums are right, whatever else is odd.
"""

from __future__ import annotations

import struct

from warren.model.prefix import Address, Family

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
SYN, RST, ACK, FIN = 2, 4, 16, 1
DONT_FRAGMENT, MORE = 0x4000, 0x2000


def checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(
    source: Address,
    destination: Address,
    proto: int,
    body: bytes,
    *,
    ttl: int = 64,
    fragment: int = 0,
    identifier: int = 0,
    options: bytes = b"",
) -> bytes:
    """Write an IP packet of either family. `fragment` are IPv4's flags and offset; `options` IPv4's, padded here."""
    if destination.version == 6:
        head = struct.pack("!IHBB", 0x60000000, len(body), proto, ttl)
        return head + source.packed + destination.packed + body
    options += bytes(-len(options) % 4)
    length = 20 + len(options)
    head = struct.pack("!BBHHHBB", 0x40 | length // 4, 0, length + len(body), identifier, fragment, ttl, proto)
    rest = source.packed + destination.packed + options
    return head + struct.pack("!H", checksum(head + b"\0\0" + rest)) + rest + body


def udp(source: Address, destination: Address, sport: int, dport: int, payload: bytes) -> bytes:
    """Write a datagram, to be put into `ip`."""
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    total = checksum(_pseudo(source, destination, UDP, 8 + len(payload)) + head + payload)
    return head[:6] + struct.pack("!H", total or 0xFFFF) + payload


def tcp(source: Address, destination: Address, sport: int, dport: int, flags: int, payload: bytes = b"") -> bytes:
    """Write a segment, to be put into `ip`."""
    head = struct.pack("!HHIIBBHHH", sport, dport, 7777, 7777, 0x50, flags, 8192, 0, 0)
    total = checksum(_pseudo(source, destination, TCP, len(head) + len(payload)) + head + payload)
    return head[:16] + struct.pack("!H", total) + head[18:] + payload


def icmp(source: Address, destination: Address, kind: int, code: int, body: bytes) -> bytes:
    """Write an ICMP message of the addresses' family, to be put into `ip`; `body` begins after the checksum."""
    head = struct.pack("!BBH", kind, code, 0)
    pseudo = _pseudo(source, destination, ICMP6, 4 + len(body)) if destination.version == 6 else b""
    return head[:2] + struct.pack("!H", checksum(pseudo + head + body)) + body


def echo(family: Family, payload: bytes) -> bytes:
    """Write an echo request for a raw socket; the kernel sums ICMPv6 itself (RFC 3542 section 3.1)."""
    kind = 8 if family is Family.IPV4 else 128
    bare = struct.pack("!BBHHH", kind, 0, 0, 0x7777, 1) + payload
    return bare[:2] + struct.pack("!H", checksum(bare)) + bare[4:] if family is Family.IPV4 else bare


def query(label: bytes) -> bytes:
    """Write a DNS query for the A record of a name that begins with this label."""
    head = struct.pack("!HHHHHH", 0x7777, 0x0100, 1, 0, 0, 0)
    return head + bytes([len(label)]) + label + b"\x07example\x00" + struct.pack("!HH", 1, 1)


def header(number: int, body: bytes) -> bytes:
    """Write an IPv6 extension header that is followed by `number`; `body` is padded to eight bytes less two."""
    padded = body + bytes((6 - len(body)) % 8)
    return bytes([number, (len(padded) - 6) // 8]) + padded


def _pseudo(source: Address, destination: Address, proto: int, length: int) -> bytes:
    if destination.version == 6:
        return source.packed + destination.packed + struct.pack("!II", length, proto)
    return source.packed + destination.packed + struct.pack("!BBH", 0, proto, length)
