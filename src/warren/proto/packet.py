"""The packets as they travel: eight bytes that are the same in all, then what the type says.

    77 72 6e   version   type   00 00 00        "wrn"; a WireGuard packet begins with 01 to 04 and three zeros

They share WireGuard's own port, so nothing of ours may look like WireGuard or STUN (first two bits 00), and a socket
filter must know ours by four bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from warren.proto.codec import ADDRESS, Flag, Index, Key, Laid, Long, Mac, Malformed, Raw, Rest, read_body
from warren.proto.noise import FIRST, KEY, SECOND, TAG
from warren.proto.refusal import Refusal

MAGIC = b"wrn"
VERSION = 1
HEADER = 8
LARGEST = 1200  # fits into the smallest MTU of IPv6 with whatever is around it
BLOCK = 32  # what is sealed is padded to a multiple of this, so that its length says little


@dataclass(frozen=True, slots=True)
class Hello(Laid):
    """A host asks a server for a session; sealed in it is the one peer that its port is kept for, or zeros.

    `mac1`: knows the server; `mac2`: receives at its source address.
    """

    TYPE = 1
    sender: Index
    noise: Annotated[bytes, Raw(FIRST + KEY)]
    mac1: Mac
    mac2: Mac


@dataclass(frozen=True, slots=True)
class Welcome(Laid):
    """A server grants a session; sealed in it is the address that it saw."""

    TYPE = 2
    sender: Index
    receiver: Index
    noise: Annotated[bytes, Raw(SECOND + int(ADDRESS.length))]


@dataclass(frozen=True, slots=True)
class CookieReply(Laid):
    """A server under load wants proof of the source address before it computes anything."""

    TYPE = 3
    receiver: Index
    nonce: Mac
    cookie: Annotated[bytes, Raw(16 + TAG)]


@dataclass(frozen=True, slots=True)
class Sealed(Laid):
    """A message of a session between a host and a server."""

    TYPE = 4
    receiver: Index
    counter: Long
    sealed: Annotated[bytes, Rest(BLOCK + TAG, BLOCK)]


@dataclass(frozen=True, slots=True)
class Between(Laid):
    """A message between two hosts, by whatever path. `tag` names the pair to those two alone."""

    TYPE = 5
    tag: Annotated[bytes, Raw(8)]
    counter: Long
    sealed: Annotated[bytes, Rest(BLOCK + TAG, BLOCK)]


@dataclass(frozen=True, slots=True)
class RelayHello(Laid):
    """A host tells a relay where it is; to the pair's own port."""

    TYPE = 6
    grant: Long
    who: Key
    counter: Long
    mac: Mac


@dataclass(frozen=True, slots=True)
class RelayWelcome(Laid):
    """The relay has understood; `counter` is the hello's."""

    TYPE = 7
    grant: Long
    counter: Long
    mac: Mac


@dataclass(frozen=True, slots=True)
class Ask(Laid):
    """Anybody who knows the server asks where it sees them. `elsewhere`: answer from another port, given `proof`."""

    TYPE = 8
    number: Long
    elsewhere: Flag
    proof: Long
    room: Annotated[bytes, Raw(34)]
    mac1: Mac


@dataclass(frozen=True, slots=True)
class Told(Laid):
    """Sealed in it are the address at which the server sees who asked, and the proof that they receive there."""

    TYPE = 9
    number: Long
    nonce: Mac
    sealed: Annotated[bytes, Raw(int(ADDRESS.length) + 8 + TAG)]


Packet = Hello | Welcome | CookieReply | Sealed | Between | RelayHello | RelayWelcome | Ask | Told
PACKETS: tuple[type[Packet], ...] = (Hello, Welcome, CookieReply, Sealed, Between, RelayHello, RelayWelcome, Ask, Told)
_BY_TYPE = {one.TYPE: one for one in PACKETS}


def header(of: type[Laid]) -> bytes:
    """Give the first eight bytes of a packet of this type."""
    return MAGIC + bytes([VERSION, of.TYPE, 0, 0, 0])


def write(packet: Packet) -> bytes:
    """Give the datagram."""
    return header(type(packet)) + packet.body()


def parse(data: bytes) -> Packet | Refusal:
    """Take a datagram apart, whatever it is; `write` gives exactly these bytes again."""
    if data[:3] != MAGIC or len(data) < HEADER:
        return Refusal.FOREIGN
    if data[3] != VERSION:
        return Refusal.VERSION
    of = _BY_TYPE.get(data[4])
    if of is None:
        return Refusal.TYPE
    if any(data[5:HEADER]):
        return Refusal.RESERVED
    try:
        packet, end = read_body(of, data, HEADER)
    except Malformed as error:
        return error.refusal
    return packet if end == len(data) <= LARGEST else Refusal.LENGTH
