"""Noise_IK_25519_ChaChaPoly_BLAKE2s (noiseprotocol.org, revision 34): the handshake and what it leaves behind.

    <- s                          the initiator knows the responder's public key beforehand
    ...
    -> e, es, s, ss   payload     the responder learns who asks, and can refuse before it spends more
    <- e, ee, se      payload     both have two keys, one for each direction

IK is WireGuard's own pattern without its preshared key. Ephemeral keys are arguments: whoever calls has the randomness,
and must never give one twice.
"""

from __future__ import annotations

import hmac
from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2s

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from warren.proto.window import MAX_COUNTER, Window

PROTOCOL = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
KEY = 32  # bytes of a key, public or not
TAG = 16  # bytes that encryption adds
FIRST = KEY + KEY + TAG + TAG  # bytes of the first message without its payload
SECOND = KEY + TAG


class NoiseError(ValueError):
    """These bytes are not what the other side would have sent. Nothing more is said, so that nobody learns from it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its public half; shows only the public one."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def of(cls, private: bytes) -> KeyPair:
        """Derive the public half of 32 bytes."""
        return cls(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    def agree(self, public: bytes) -> bytes:
        """Compute the shared secret; NoiseError for a point of small order, with which everybody would share it."""
        try:
            return X25519PrivateKey.from_private_bytes(self.private).exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise NoiseError("no shared secret with this key") from error


def seal(key: bytes, counter: int, plaintext: bytes, bound: bytes = b"") -> bytes:
    """Encrypt with Noise's nonce: 4 zero bytes, then the counter, little-endian; `bound` is authenticated with it."""
    if not 0 <= counter <= MAX_COUNTER:
        raise NoiseError("this key has sealed all it may")
    return ChaCha20Poly1305(key).encrypt(bytes(4) + counter.to_bytes(8, "little"), plaintext, bound)


def unseal(key: bytes, counter: int, sealed: bytes, bound: bytes = b"") -> bytes:
    """Decrypt; NoiseError if any of the bytes is not what was sealed with this key, counter and `bound`."""
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(4) + counter.to_bytes(8, "little"), sealed, bound)
    except (InvalidTag, ValueError) as error:
        raise NoiseError("not authentic") from error


class Transport:
    """The two keys after a handshake: one seals what is sent, the other opens what comes, once and in any order."""

    def __init__(self, sending: bytes, receiving: bytes) -> None:
        self._sending = sending
        self._receiving = receiving
        self._window = Window()
        self.sent = 0  # the counter of the next packet

    def seal(self, plaintext: bytes, bound: bytes = b"") -> tuple[int, bytes]:
        """Encrypt the next packet; gives its counter, which travels beside it."""
        counter = self.sent
        sealed = seal(self._sending, counter, plaintext, bound)
        self.sent += 1
        return counter, sealed

    def open(self, counter: int, sealed: bytes, bound: bytes = b"") -> bytes:
        """Decrypt a packet; NoiseError if it is forged, was seen before or is too old."""
        if not self._window.accepts(counter):
            raise NoiseError("seen before")
        plaintext = unseal(self._receiving, counter, sealed, bound)
        self._window.note(counter)
        return plaintext


class _Symmetric:
    """The chaining key and the hash of all that was said; Noise section 5.2."""

    def __init__(self, prologue: bytes) -> None:
        # The name is 33 bytes, one more than a hash, so it is hashed.
        self.hash = self._chain = blake2s(PROTOCOL).digest()
        self._key = b""
        self._counter = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        self.hash = blake2s(self.hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        self._chain, self._key = _derive(self._chain, secret)
        self._counter = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        sealed = seal(self._key, self._counter, plaintext, self.hash)
        self._counter += 1
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        plaintext = unseal(self._key, self._counter, sealed, self.hash)
        self._counter += 1
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        return _derive(self._chain, b"")


def _derive(chain: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """HKDF with two outputs; Noise section 4.3."""
    extracted = hmac.digest(chain, secret, "blake2s")
    first = hmac.digest(extracted, b"\x01", "blake2s")
    return first, hmac.digest(extracted, first + b"\x02", "blake2s")


class Initiator:
    """The side that knows whom it calls. `write`, then `read`; each once."""

    def __init__(self, static: KeyPair, remote: bytes, ephemeral: KeyPair, prologue: bytes) -> None:
        self._static, self._remote, self._ephemeral = static, remote, ephemeral
        self._state = _Symmetric(prologue)
        self._state.mix_hash(remote)

    def write(self, payload: bytes = b"") -> bytes:
        """Give the first message; its payload is secret, but could be replayed to the responder."""
        state = self._state
        state.mix_hash(self._ephemeral.public)
        state.mix_key(self._ephemeral.agree(self._remote))
        who = state.encrypt(self._static.public)
        state.mix_key(self._static.agree(self._remote))
        return self._ephemeral.public + who + state.encrypt(payload)

    def read(self, message: bytes) -> tuple[bytes, Transport]:
        """Take the second message: its payload and the keys.

        NoiseError leaves everything as it was: whoever can send from the responder's address could else end a handshake
        with one packet of garbage, and the true answer may still come.
        """
        if len(message) < SECOND:
            raise NoiseError("too short")
        state, theirs = copy(self._state), message[:KEY]
        state.mix_hash(theirs)
        state.mix_key(self._ephemeral.agree(theirs))
        state.mix_key(self._static.agree(theirs))
        payload = state.decrypt(message[KEY:])
        sending, receiving = state.split()
        return payload, Transport(sending, receiving)


class Responder:
    """The side that is called: `read` says who calls, `accept` proves that it was them, `write` answers; each once."""

    def __init__(self, static: KeyPair, prologue: bytes) -> None:
        self._static = static
        self._state = _Symmetric(prologue)
        self._state.mix_hash(static.public)
        self._theirs = self._sealed = self.remote = b""

    def read(self, message: bytes) -> bytes:
        """Take the first message; gives the public key of who says to call, after one of the two key agreements."""
        if len(message) < FIRST:
            raise NoiseError("too short")
        self._theirs = message[:KEY]
        self._state.mix_hash(self._theirs)
        self._state.mix_key(self._static.agree(self._theirs))
        self.remote = self._state.decrypt(message[KEY : KEY + KEY + TAG])
        self._sealed = message[KEY + KEY + TAG :]
        return self.remote

    def accept(self) -> bytes:
        """Give the payload of the first message: only the holder of `remote`'s private key can have made it."""
        self._state.mix_key(self._static.agree(self.remote))
        return self._state.decrypt(self._sealed)

    def write(self, ephemeral: KeyPair, payload: bytes = b"") -> tuple[bytes, Transport]:
        """Give the second message and the keys. The initiator is proven fresh by its first packet under them."""
        state = self._state
        state.mix_hash(ephemeral.public)
        state.mix_key(ephemeral.agree(self._theirs))
        state.mix_key(ephemeral.agree(self.remote))
        message = ephemeral.public + state.encrypt(payload)
        receiving, sending = state.split()
        return message, Transport(sending, receiving)
