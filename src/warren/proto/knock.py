"""A knock: one packet by which a member of a network asks a host to open WireGuard's port to it. Nobody ever answers.

    length, first bytes ─► mac ─► source within limit? ─► one key agreement ─► member? ─► another ─► time ─► open

It is the first message of a Noise IK handshake that never goes on: only the member and the host can make or read it. In
it is the time in microseconds, so that each knock is good once: it must be new and near to the host's own time. Who
keeps one from arriving can let it arrive from an address of their own. What opens to them then is WireGuard, which
knows them no better than before.
"""

from __future__ import annotations

import hmac
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Annotated

from warren.proto.address import Address, may_be_probed
from warren.proto.codec import Laid, Mac, Malformed, Raw, read_body
from warren.proto.limit import Bucket, Sources
from warren.proto.noise import FIRST, Initiator, KeyPair, NoiseError, Responder
from warren.proto.packet import HEADER, MAGIC, VERSION, header
from warren.proto.refusal import Refusal

PROLOGUE = b"wrn knock 1 "  # and the network's name: what is meant for one opens nothing of another
TIME = 8  # bytes
NEAR = 120_000_000  # microseconds by which the clocks of the two may differ
KEPT = 16  # knocks of a member that are remembered; what is older than all of them came too late
KNOCKS, KNOCK_RATE = 8, 1.0  # of one source at once and each second, and of one member
ALL, ALL_RATE = 64, 64.0  # of all together: key agreements are dear
SOURCES = 4096  # of which it is known how much they asked


@dataclass(frozen=True, slots=True)
class Knock(Laid):
    """A member asks a host to be let in; sealed in it is when. `mac`: knows the host. Never answered."""

    TYPE = 64
    noise: Annotated[bytes, Raw(FIRST + TIME)]
    mac: Mac


LENGTH = HEADER + FIRST + TIME + 16


def write(static: KeyPair, host: bytes, network: str, ephemeral: KeyPair, at: int) -> bytes:
    """Make the datagram with which a member knocks at the host with this public key, at a time in microseconds."""
    noise = Initiator(static, host, ephemeral, PROLOGUE + network.encode()).write(at.to_bytes(TIME))
    return header(Knock) + noise + _mac(host, header(Knock) + noise)


def parse(data: bytes) -> Knock | Refusal:
    """Take a datagram apart, whatever it is."""
    if data[:3] != MAGIC or len(data) < HEADER:
        return Refusal.FOREIGN
    if data[3] != VERSION:
        return Refusal.VERSION
    if data[4] != Knock.TYPE:
        return Refusal.TYPE
    if len(data) != LENGTH:
        return Refusal.LENGTH
    if any(data[5:HEADER]):
        return Refusal.RESERVED
    try:
        return read_body(Knock, data, HEADER)[0]
    except Malformed as error:
        return error.refusal


class Listener:
    """Says who knocked. `members` are public keys; times are of two clocks: one that only goes on, and the wall's."""

    def __init__(self, static: KeyPair, network: str, since: int) -> None:
        """Take the host's keys; `since` is the wall's clock now: what was made before could be heard a second time."""
        self._static, self._prologue = static, PROLOGUE + network.encode()
        self._since = since
        self._members: dict[bytes, _Heard] = {}
        self._sources = Sources(KNOCKS, KNOCK_RATE, SOURCES)
        self._all: Bucket | None = None

    def admit(self, members: Mapping[bytes, object]) -> None:
        """Hear these members from now on; what was heard of those that stay is remembered."""
        self._members = {key: self._members.get(key) or _Heard() for key in members}

    def receive(self, data: bytes, source: Address, now: float, wall: int) -> bytes | Refusal:
        """Give the public key of the member that knocked, or say why nobody did; `wall` is in microseconds."""
        knock = parse(data)
        if isinstance(knock, Refusal):
            return knock
        if not hmac.compare_digest(knock.mac, _mac(self._static.public, data[:-16])):
            return Refusal.MAC
        if not may_be_probed(source):
            return Refusal.VALUE
        self._all = self._all or Bucket(ALL, ALL_RATE, now)
        if not self._sources.take(source, now) or not self._all.take(now):
            return Refusal.BUSY
        responder = Responder(self._static, self._prologue)
        try:
            heard = self._members.get(responder.read(knock.noise))
            if heard is None:
                return Refusal.STRANGER
            at = int.from_bytes(responder.accept())
        except NoiseError:
            return Refusal.FORGED
        if not heard.take(at, wall, self._since):
            return Refusal.FORGED
        return responder.remote if heard.within(now) else Refusal.BUSY


class _Heard:
    """What was heard of one member: the times of its last knocks, which are good no more."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._bucket: Bucket | None = None

    def take(self, at: int, wall: int, since: int) -> bool:
        """Say whether a knock made at this time is new, and remember it."""
        floor = max(since, self._times[0] if len(self._times) == KEPT else 0)
        if floor > wall + NEAR:  # the host's clock was set back: what it said before means nothing
            floor, self._times = 0, [one for one in self._times if one <= wall + NEAR]
        if abs(at - wall) > NEAR or at <= floor or at in self._times:
            return False
        insort(self._times, at)
        del self._times[:-KEPT]
        return True

    def within(self, now: float) -> bool:
        """Say whether this member knocked seldom enough to be let in once more."""
        self._bucket = self._bucket or Bucket(KNOCKS, KNOCK_RATE, now)
        return self._bucket.take(now)


def _mac(host: bytes, data: bytes) -> bytes:
    """Make the code that only who knows the host's public key can: who scans the internet costs one hash."""
    key = blake2s(b"warren knock" + host).digest()
    return blake2s(data, key=key, digest_size=16).digest()
