"""How a host shows a relay that it may use a pair's port, and the relay that it has understood: one keyed hash each.

A relay that lives in the kernel keeps only two addresses, so what moves them must be authentic and newer than the last.
"""

from __future__ import annotations

import hmac
from hashlib import blake2s

from warren.proto.packet import RelayHello, RelayWelcome, header


def hello(grant: int, secret: bytes, who: bytes, counter: int) -> RelayHello:
    """Make a hello; `counter` rises with each of this host under this grant."""
    return RelayHello(grant, who, counter, _mac(secret, header(RelayHello), grant, who, counter))


def welcome(to: RelayHello, secret: bytes) -> RelayWelcome:
    """Answer a hello."""
    return RelayWelcome(to.grant, to.counter, _mac(secret, header(RelayWelcome), to.grant, to.who, to.counter))


def is_authentic(packet: RelayHello | RelayWelcome, secret: bytes, who: bytes) -> bool:
    """Say whether it was made with the grant's secret, by or for this host."""
    expected = _mac(secret, header(type(packet)), packet.grant, who, packet.counter)
    return hmac.compare_digest(packet.mac, expected)


def _mac(secret: bytes, head: bytes, grant: int, who: bytes, counter: int) -> bytes:
    return blake2s(head + grant.to_bytes(8) + who + counter.to_bytes(8), key=secret, digest_size=16).digest()
