"""natpunch-go once more, written from a description of what the real programs say and do, for ours to be tried on.

It shares no line and no cryptographic call with warren: the handshake is the package noiseprotocol's. The server has
the original's weaknesses too: where that program ends, `Panic` is raised.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from noise.connection import Keypair, NoiseConnection
from noise.exceptions import NoiseInvalidMessage

NAME, PROLOGUE = b"Noise_IK_25519_ChaChaPoly_BLAKE2s", b"natpunch-go is the best :)"
OLDEST = 960  # below the highest counter

Place = tuple[str, int]


class Panic(Exception):
    """Here the original ends."""


def connection(private: bytes, *, theirs: bytes = b"") -> NoiseConnection:
    made = NoiseConnection.from_name(NAME)
    made.set_prologue(PROLOGUE)
    made.set_keypair_from_private_bytes(Keypair.STATIC, private)
    if theirs:
        made.set_as_initiator()
        made.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, theirs)
    else:
        made.set_as_responder()
    made.start_handshake()
    return made


def sealed(by: NoiseConnection, counter: int, plain: bytes) -> bytes:
    by.noise_protocol.cipher_state_encrypt.n = counter
    return bytes(by.encrypt(plain))


def opened(by: NoiseConnection, counter: int, data: bytes) -> bytes:
    by.noise_protocol.cipher_state_decrypt.n = counter
    return bytes(by.decrypt(data))


@dataclass
class Client:
    """What the original's client says, and how it reads the answers."""

    private: bytes
    public: bytes
    server: bytes
    index: int = 0
    counter: int = 0
    noise: NoiseConnection | None = None

    def init(self, proposed: int, nanoseconds: int) -> bytes:
        self.noise, self.counter = connection(self.private, theirs=self.server), 0
        message = bytes(self.noise.write_message(struct.pack(">Q", nanoseconds)))
        return struct.pack(">BI", 1, proposed) + message

    def answered(self, data: bytes) -> None:
        kind, self.index = struct.unpack(">BI", data[:5])
        assert kind == 2 and self.noise is not None
        try:
            self.noise.read_message(data[5:])
        except (NoiseInvalidMessage, ValueError):
            raise Panic("an answer that does not decrypt") from None

    def request(self, wanted: bytes) -> bytes:
        assert self.noise is not None
        data = struct.pack(">BIQ", 3, self.index, self.counter) + sealed(self.noise, self.counter, self.public + wanted)
        self.counter += 1
        return data

    def replied(self, data: bytes) -> Place | None:
        kind, counter = struct.unpack(">BQ", data[:9])
        assert kind == 3 and self.noise is not None
        plain = opened(self.noise, counter, data[9:])
        if not plain:
            return None
        return ".".join(map(str, plain[:4])), int.from_bytes(plain[4:6], "big")


@dataclass
class Peer:
    """What the original's server remembers of a key; it never forgets."""

    said: int = -1
    place: Place | None = None
    noise: NoiseConnection | None = None
    sent: int = 0
    highest: int = -1
    seen: set[int] = field(default_factory=set)


class Server:
    """The original's server: one datagram in, at most one out."""

    def __init__(self, private: bytes) -> None:
        self.private = private
        self.peers: dict[bytes, Peer] = {}
        self.indices: dict[int, bytes | None] = {}

    def receive(self, data: bytes, source: Place) -> bytes | None:
        if not data:
            raise Panic("an empty datagram")
        if data[0] in (1, 3) and len(data) < 5:
            raise Panic("too short for an index")
        if data[0] == 1:
            return self.greeted(int.from_bytes(data[1:5], "big"), data[5:], source)
        if data[0] == 3:
            return self.asked(int.from_bytes(data[1:5], "big"), data[5:], source)
        return None  # it prints the bytes

    def greeted(self, proposed: int, message: bytes, source: Place) -> bytes | None:
        made = connection(self.private)
        try:
            payload = bytes(made.read_message(message))
        except Exception:
            return None
        if len(payload) < 8:
            raise Panic("a handshake without a time")
        (said,) = struct.unpack(">Q", payload[:8])
        who = made.noise_protocol.handshake_state.rs.public_bytes if made.noise_protocol.handshake_state else b""
        peer = self.peers.setdefault(who, Peer())
        if said <= peer.said:
            return None
        answer = bytes(made.write_message())
        self.indices[proposed] = None
        index = proposed
        while index in self.indices:
            index = (index + 1) % 2**32
        self.indices[index] = who
        self.peers[who] = Peer(said, source, made)
        return struct.pack(">BI", 2, index) + answer

    def asked(self, index: int, rest: bytes, source: Place) -> bytes | None:
        if index not in self.indices:
            return None
        who = self.indices[index]
        if who is None:
            raise Panic("an index that was proposed and not given")
        peer, counter = self.peers[who], int.from_bytes(rest[:8], "big")
        assert peer.noise is not None
        try:
            plain = opened(peer.noise, counter, rest[8:])
        except NoiseInvalidMessage:
            return None
        if counter in peer.seen or counter + OLDEST < peer.highest:
            return None
        peer.seen.add(counter)
        peer.highest = max(peer.highest, counter)
        if len(plain) < 64:
            raise Panic("a request that is too short")
        if plain[:32] != who:
            return None
        peer.place = source
        found = self.peers.get(plain[32:64])
        said = b"" if found is None or found.place is None else place_bytes(found.place)
        data = struct.pack(">BQ", 3, peer.sent) + sealed(peer.noise, peer.sent, said)
        peer.sent += 1
        return data


def place_bytes(place: Place) -> bytes:
    return bytes(map(int, place[0].split("."))) + struct.pack(">H", place[1])
