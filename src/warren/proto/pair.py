"""The keys that two hosts share without ever having spoken: from their WireGuard keys and the runs they are in.

A host draws its *epoch* at random when it starts, and learns its peer's from a server. Both are in the keys, so nothing
that was recorded in an earlier run means anything in this one, and counters can begin at zero without a clock.
"""

from __future__ import annotations

from hashlib import blake2s

from warren.proto.noise import KeyPair, NoiseError, Transport
from warren.proto.packet import Between, header


class Pair:
    """What seals and opens packets between two hosts in their present runs."""

    def __init__(self, static: KeyPair, epoch: int, peer: bytes, peer_epoch: int) -> None:
        shared = static.agree(peer)
        out = _key(shared, static.public, epoch, peer, peer_epoch)
        back = _key(shared, peer, peer_epoch, static.public, epoch)
        self.tag_out, self.tag_in = _tag(out), _tag(back)
        self._transport = Transport(out, back)

    def seal(self, plain: bytes) -> Between:
        """Seal a padded message to the peer."""
        counter = self._transport.sent
        _, sealed = self._transport.seal(plain, _bound(self.tag_out, counter))
        return Between(self.tag_out, counter, sealed)

    def open(self, packet: Between) -> bytes:
        """Open what came from the peer; NoiseError if it is forged or came before."""
        if packet.tag != self.tag_in:
            raise NoiseError("of another pair")
        return self._transport.open(packet.counter, packet.sealed, _bound(packet.tag, packet.counter))


def _key(shared: bytes, sender: bytes, epoch: int, receiver: bytes, peer_epoch: int) -> bytes:
    said = b"warren pair 1" + sender + epoch.to_bytes(8) + receiver + peer_epoch.to_bytes(8)
    return blake2s(said, key=shared).digest()


def _tag(key: bytes) -> bytes:
    return blake2s(b"warren tag", key=key, digest_size=8).digest()


def _bound(tag: bytes, counter: int) -> bytes:
    return header(Between) + tag + counter.to_bytes(8)
