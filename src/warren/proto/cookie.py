"""Two codes on a Hello that cost the server one hash each, before it computes anything dear; WireGuard's mac1 and mac2.

`mac1` needs only the server's public key: who scans the internet is answered with silence. `mac2` is made with a cookie
that the server sends to the source address while it is under load: who sends from addresses that are not theirs never
gets one. The server remembers nothing of it but its own secret, which it changes every two minutes.
"""

from __future__ import annotations

import hmac
from hashlib import blake2s

from warren.proto.address import Address
from warren.proto.codec import ADDRESS
from warren.proto.noise import seal, unseal
from warren.proto.packet import CookieReply, Hello, header

ROTATES = 120.0  # seconds for which a secret, and so a cookie, is good


def _mac(key: bytes, data: bytes) -> bytes:
    return blake2s(data, key=key, digest_size=16).digest()


def _key(label: bytes, public: bytes) -> bytes:
    return blake2s(label + public).digest()


def mac1_of(bare: bytes, server: bytes) -> bytes:
    """Make the code that only needs the server's public key; `bare` is all of the packet that comes before it."""
    return _mac(_key(b"warren mac1", server), bare)


def signed(sender: int, noise: bytes, server: bytes, cookie: bytes = b"") -> Hello:
    """Make the Hello to the server with this public key, with `mac2` where it has sent a cookie."""
    bare = header(Hello) + sender.to_bytes(4) + noise
    mac1 = mac1_of(bare, server)
    return Hello(sender, noise, mac1, _mac(cookie, bare + mac1) if cookie else bytes(16))


def knows_server(hello: Hello, server: bytes) -> bool:
    """Say whether the sender knew the server's public key."""
    bare = header(Hello) + hello.sender.to_bytes(4) + hello.noise
    return hmac.compare_digest(hello.mac1, mac1_of(bare, server))


def receives_there(hello: Hello, cookie: bytes) -> bool:
    """Say whether the sender has this cookie, which was only ever sent to its source address."""
    bare = header(Hello) + hello.sender.to_bytes(4) + hello.noise
    return hmac.compare_digest(hello.mac2, _mac(cookie, bare + hello.mac1))


def cookie_for(source: Address, secret: bytes) -> bytes:
    """Give the cookie of a source address, which the server need not remember."""
    return _mac(secret, ADDRESS.write(source))


def cookie_reply(hello: Hello, source: Address, server: bytes, secret: bytes, nonce: bytes) -> CookieReply:
    """Seal the cookie, so that only who knows the server and sent this very Hello can read it."""
    sealed = seal(_cookie_key(server, nonce), 0, cookie_for(source, secret), hello.mac1)
    return CookieReply(hello.sender, nonce, sealed)


def read_cookie(reply: CookieReply, mac1: bytes, server: bytes) -> bytes:
    """Open the answer to the Hello that had this `mac1`; NoiseError if it is not that."""
    return unseal(_cookie_key(server, reply.nonce), 0, reply.cookie, mac1)


def _cookie_key(server: bytes, nonce: bytes) -> bytes:
    """A key for each nonce: 16 random bytes do not repeat, the twelve of the cipher's own might."""
    return blake2s(nonce, key=_key(b"warren cookie", server)).digest()
