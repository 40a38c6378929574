"""natpunch-go's packets: told apart by one byte, the side that they go to, and a length that each has exactly.

    1  Init      to the server   109      01 · index 4 · Noise IK, first message; its payload: the time, in nanoseconds
    2  Answer    to the client    53      02 · index 4 (the server's choice) · second message, without payload
    3  Request   to the server    93      03 · index 4 · counter 8 · sealed: the asking key 32 · the wanted key 32
    3  Reply     to the client 31, 25     03 · counter 8 · sealed: IPv4 4 · port 2, or nothing where it is not known

All numbers are big-endian. Type, index and counter are not authenticated; a counter is by being the cipher's nonce.
Every answer is shorter than what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from warren.proto.address import Address, may_be_probed
from warren.proto.noise import FIRST, KEY, SECOND, TAG
from warren.proto.refusal import Refusal

PROLOGUE = b"natpunch-go is the best :)"
TIME = 8  # bytes of the time in an Init
INIT, ANSWER, REQUEST = 1 + 4 + FIRST + TIME, 1 + 4 + SECOND, 1 + 4 + 8 + 2 * KEY + TAG
FOUND, NOT_FOUND = 1 + 8 + 6 + TAG, 1 + 8 + TAG
OLDER_PORT = 49918
OLDER = 2 * KEY  # bytes of a request of the older protocol, which has nothing but the two keys in the plain


@dataclass(frozen=True, slots=True)
class Init:
    """The client's first packet; `index` is what it proposes, and means nothing to us."""

    index: int
    noise: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer; `index` is what requests of this session carry."""

    index: int
    noise: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A client asks where a peer is, and shows by it where it is itself."""

    index: int
    counter: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """The server says where the peer is. Which request it answers, it does not say."""

    counter: int
    sealed: bytes


def write(packet: Init | Answer | Request | Reply) -> bytes:
    """Write a packet."""
    match packet:
        case Init(index, noise):
            return b"\x01" + index.to_bytes(4) + noise
        case Answer(index, noise):
            return b"\x02" + index.to_bytes(4) + noise
        case Request(index, counter, sealed):
            return b"\x03" + index.to_bytes(4) + counter.to_bytes(8) + sealed
        case Reply(counter, sealed):
            return b"\x03" + counter.to_bytes(8) + sealed


def read_at_server(data: bytes) -> Init | Request | Refusal:
    """Read what came to a server; VERSION is the older protocol, whose requests have a length of their own."""
    match data[:1], len(data):
        case _, size if size == OLDER:
            return Refusal.VERSION
        case b"\x01", size:
            return Init(_number(data, 1, 4), data[5:]) if size == INIT else Refusal.LENGTH
        case b"\x03", size:
            if size != REQUEST:
                return Refusal.LENGTH
            return Request(_number(data, 1, 4), _number(data, 5, 8), data[13:])
        case b"\x02", _:
            return Refusal.UNEXPECTED
    return Refusal.FOREIGN


def read_at_client(data: bytes) -> Answer | Reply | Refusal:
    """Read what came to a client."""
    match data[:1], len(data):
        case b"\x02", size:
            return Answer(_number(data, 1, 4), data[5:]) if size == ANSWER else Refusal.LENGTH
        case b"\x03", size:
            return Reply(_number(data, 1, 8), data[9:]) if size in (FOUND, NOT_FOUND) else Refusal.LENGTH
        case b"\x01", _:
            return Refusal.UNEXPECTED
    return Refusal.FOREIGN


def write_place(place: Address | None) -> bytes:
    """Write what a Reply seals: six bytes for a place, which is IPv4; none for nowhere."""
    return place.ip.packed + place.port.to_bytes(2) if place else b""


def read_place(plain: bytes) -> Address | None:
    """Read what a Reply sealed; None for nowhere, and for what no peer can be at."""
    if len(plain) != 6:
        return None
    place = Address(IPv4Address(plain[:4]), _number(plain, 4, 2))
    return place if may_be_probed(place) else None


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size])
