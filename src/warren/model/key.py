"""WireGuard keys: 32 bytes, written as 44 characters of base64 (see wg(8)).

Public keys are ordinary values. Private and preshared keys are never values of the model: they stay in
files, and a `SecretRef` says which. What can be compared of a secret is its fingerprint.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from hashlib import blake2s
from typing import NewType

PublicKey = NewType("PublicKey", str)

KEY_BYTES = 32
KEY_CHARS = 44
_P = 2**255 - 19
_A = 486662
_ORDER = 2**252 + 27742317777372353535851937790883648493


def decode_key(text: str) -> bytes:
    """Decode a key; `ValueError` says in words what is wrong with it."""
    if len(text) != KEY_CHARS:
        raise ValueError(f"a key has {KEY_CHARS} characters, this has {len(text)}")
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise ValueError("a key is written in base64 (A-Z a-z 0-9 + / and one = at the end)") from error
    if len(raw) != KEY_BYTES or binascii.b2a_base64(raw, newline=False).decode() != text:
        raise ValueError("a key is exactly 32 bytes of base64; this holds stray bits")
    return raw


def encode_key(raw: bytes) -> str:
    """Write 32 bytes as wg does."""
    return binascii.b2a_base64(raw, newline=False).decode()


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret lies on the host that needs it; never the secret.

    `path` is a file that holds the key alone or, with `conf_key` set, a wg-quick file and the place in it:
    `PrivateKey`, or `PresharedKey <public key>`. With `passphrase` it holds a hotspot's passphrase and no key.
    """

    path: str
    conf_key: str = ""
    passphrase: bool = False


def fingerprint(secret: bytes) -> str:
    """Give 16 hex digits by which two copies of a high-entropy secret can be told equal."""
    return blake2s(secret, digest_size=8, person=b"warrenfp").hexdigest()


def looks_private(raw: bytes) -> bool:
    """Say whether these 32 bytes cannot be a public key but could be a private one.

    `wg genkey` clamps (RFC 7748 section 5), and every public key is a point of Curve25519's prime-order
    subgroup. Bytes that are clamped and no such point are a private key; no true public key is ever flagged,
    and one private key in sixteen goes unseen.
    """
    clamped = raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40
    return clamped and not is_public_point(raw)


def is_public_point(raw: bytes) -> bool:
    """Say whether some private key has these 32 bytes as its public key (RFC 7748 section 5)."""
    u = int.from_bytes(raw, "little") & (2**255 - 1)
    if u == 0 or u >= _P or pow(u**3 + _A * u * u + u, (_P - 1) // 2, _P) != 1:
        return False
    return _ladder(_ORDER, u) == 0


def _ladder(scalar: int, u: int) -> int:
    """Multiply the point with coordinate `u` by `scalar`, RFC 7748; 0 stands for the point at infinity."""
    x1, x2, z2, x3, z3, swap = u, 1, 0, u, 1, 0
    for at in range(254, -1, -1):
        bit = scalar >> at & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % _P, b * b % _P, d * a % _P, c * b % _P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, e * (aa + (_A - 2) // 4 * e) % _P
    if swap:
        x2, z2 = x3, z3
    return x2 * pow(z2, _P - 2, _P) % _P
