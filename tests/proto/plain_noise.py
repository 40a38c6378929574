"""Noise IK once more, by nothing but integers and the text of RFC 7748, RFC 8439 and the Noise specification.

Slow and plain on purpose: it shares no line and no library call with warren.proto.noise but BLAKE2s, so what both
compute alike was not computed wrongly by one of them.
"""

from __future__ import annotations

import struct
from hashlib import blake2s

P = 2**255 - 19


def x25519(private: bytes, public: bytes) -> bytes:
    k = int.from_bytes(private, "little") & ~7 & (2**255 - 1) | 2**254
    u = int.from_bytes(public, "little") & (2**255 - 1)
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in bin(k)[2:]:
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
        plus, minus = (x2 + z2) ** 2, (x2 - z2) ** 2
        cross_a, cross_b = (x3 - z3) * (x2 + z2), (x3 + z3) * (x2 - z2)
        e = plus - minus
        x3, z3 = (cross_a + cross_b) ** 2 % P, u * (cross_a - cross_b) ** 2 % P
        x2, z2 = plus * minus % P, e * (plus + 121665 * e) % P
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public(private: bytes) -> bytes:
    return x25519(private, bytes([9]) + bytes(31))


def rotate(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & 0xFFFFFFFF


def chacha20_block(key: bytes, count: int, nonce: bytes) -> bytes:
    start = [
        *struct.unpack("<4I", b"expand 32-byte k"),
        *struct.unpack("<8I", key),
        count,
        *struct.unpack("<3I", nonce),
    ]
    x = list(start)
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for a, b, c, d in (columns + diagonals) * 10:
        for to, add, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] = x[to] + x[add] & 0xFFFFFFFF
            x[turned] = rotate(x[turned] ^ x[to], by)
    return struct.pack("<16I", *(one + two & 0xFFFFFFFF for one, two in zip(x, start, strict=True)))


def chacha20(key: bytes, nonce: bytes, data: bytes) -> bytes:
    stream = b"".join(chacha20_block(key, 1 + at // 64, nonce) for at in range(0, len(data), 64))
    return bytes(one ^ two for one, two in zip(data, stream, strict=False))


def poly1305(key: bytes, data: bytes) -> bytes:
    r, s = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, int.from_bytes(key[16:], "little")
    sum_ = 0
    for at in range(0, len(data), 16):
        sum_ = (sum_ + int.from_bytes(data[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return (sum_ + s & 2**128 - 1).to_bytes(16, "little")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def encrypt(key: bytes, count: int, ad: bytes, plain: bytes) -> bytes:
    nonce = bytes(4) + struct.pack("<Q", count)
    cipher = chacha20(key, nonce, plain)
    checked = padded(ad) + padded(cipher) + struct.pack("<QQ", len(ad), len(cipher))
    return cipher + poly1305(chacha20_block(key, 0, nonce)[:32], checked)


def hmac(key: bytes, data: bytes) -> bytes:
    inner, outer = (bytes(one ^ pad for one in key.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    return blake2s(outer + blake2s(inner + data).digest()).digest()


def hkdf(ck: bytes, secret: bytes) -> tuple[bytes, bytes]:
    temp = hmac(ck, secret)
    one = hmac(temp, b"\x01")
    return one, hmac(temp, one + b"\x02")


def handshake(
    i_static: bytes,
    i_ephemeral: bytes,
    r_static: bytes,
    r_ephemeral: bytes,
    prologue: bytes,
    payloads: tuple[bytes, bytes],
) -> tuple[bytes, bytes, bytes, bytes]:
    """Both messages and both keys (initiator to responder first) of a whole handshake, told from above."""
    rs, ie, re = public(r_static), public(i_ephemeral), public(r_ephemeral)
    ck = h = blake2s(b"Noise_IK_25519_ChaChaPoly_BLAKE2s").digest()

    def mixed(h: bytes, *data: bytes) -> bytes:
        for one in data:
            h = blake2s(h + one).digest()
        return h

    h = mixed(h, prologue, rs, ie)
    ck, k = hkdf(ck, x25519(i_ephemeral, rs))
    who = encrypt(k, 0, h, public(i_static))
    h = mixed(h, who)
    ck, k = hkdf(ck, x25519(i_static, rs))
    said = encrypt(k, 0, h, payloads[0])
    h = mixed(h, said, re)
    ck, k = hkdf(ck, x25519(r_ephemeral, ie))
    ck, k = hkdf(ck, x25519(r_ephemeral, public(i_static)))
    answered = encrypt(k, 0, h, payloads[1])
    return ie + who + said, re + answered, *hkdf(ck, b"")
