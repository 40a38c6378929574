"""Where does a server see me? Anybody who knows its public key may ask, without a session; it remembers nothing.

    Ask ─► mac1 ─► within limits? ─► Told, to where it came from
                                └──► the same from another port, if `proof` is there: does this host's NAT let it in?

An answer is as large as its question, and costs the server a few hashes and one seal. Nothing is decided by it, it is
for `warren netcheck`: whoever knows the server's public key and sees the question could forge the answer.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from hashlib import blake2s

from warren.proto.address import Address
from warren.proto.codec import ADDRESS, U64
from warren.proto.cookie import mac1_of
from warren.proto.door import Draw
from warren.proto.limit import Bucket, Sources
from warren.proto.noise import KeyPair, NoiseError, seal, unseal
from warren.proto.packet import Ask, Told, header
from warren.proto.refusal import Refusal

ASKS, ASK_RATE = 40, 10.0  # of one source at once, and each second
ALL = 200  # of all sources in a second: nobody's path depends on these
SOURCES = 1024  # of which the server knows how much they asked


class Answers:
    """The server's side."""

    def __init__(self, static: KeyPair, draw: Draw) -> None:
        self._public, self._draw = static.public, draw
        self._secret = blake2s(static.private + b"wrn asked").digest()
        self._sources = Sources(ASKS, ASK_RATE, SOURCES)
        self._all = Bucket(ALL, ALL, 0.0)

    def answer(self, ask: Ask, source: Address, now: float) -> Told | Refusal:
        """Answer a question, or say why not; `elsewhere` is for the caller to heed."""
        if not hmac.compare_digest(ask.mac1, mac1_of(_bare(ask), self._public)):
            return Refusal.MAC
        if ask.elsewhere and ask.proof != self._proof(source):
            return Refusal.FORGED
        if not self._sources.take(source, now) or not self._all.take(now):
            return Refusal.BUSY
        nonce = self._draw(16)
        plain = ADDRESS.write(source) + U64.write(self._proof(source))
        return Told(ask.number, nonce, seal(_key(self._public, nonce), 0, plain, ask.mac1))

    def _proof(self, source: Address) -> int:
        """Give what only who receives at this address can say; never 0."""
        return int.from_bytes(blake2s(ADDRESS.write(source), key=self._secret, digest_size=8).digest()) | 1


@dataclass(frozen=True, slots=True)
class Where:
    """What a server tells: where it sees who asked, and the proof to say back to it."""

    observed: Address
    proof: int


def question(server: bytes, number: int, proof: int = 0) -> Ask:
    """Make the question to the server with this public key; with a proof, to be answered from another port."""
    bare = Ask(number, 1 if proof else 0, proof, bytes(34), bytes(16))
    return replace(bare, mac1=mac1_of(_bare(bare), server))


def read(told: Told, ask: Ask, server: bytes) -> Where:
    """Open the answer to a question; NoiseError if it is not that."""
    plain = unseal(_key(server, told.nonce), 0, told.sealed, ask.mac1)
    try:
        observed, at = ADDRESS.read(plain, 0)
    except ValueError as error:
        raise NoiseError("no address") from error
    return Where(observed, U64.read(plain, at)[0])


def _bare(ask: Ask) -> bytes:
    return header(Ask) + ask.body()[: -len(ask.mac1)]


def _key(server: bytes, nonce: bytes) -> bytes:
    return blake2s(nonce, key=blake2s(b"warren told" + server).digest()).digest()
