"""A relay: what comes to one port of a pair leaves by the other, to the host that showed its grant there.

It forwards what it cannot read, between two addresses that authentic and ever newer hellos have told; nothing else
moves them, and nothing is sent anywhere before. Where the kernel can do the forwarding it is told what is `joined`, and
only hellos come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from warren.proto import grant, packet
from warren.proto.address import Address
from warren.proto.lend import Lent
from warren.proto.packet import LARGEST, RelayHello
from warren.proto.refusal import Refusal


@dataclass(slots=True)
class _Side:
    who: bytes
    other: int  # the other side's port
    lent: Lent
    address: Address | None = None
    counter: int = -1


@dataclass(frozen=True, slots=True)
class Joined:
    """One way through a relay: what comes from `source` to `port` is to leave by the port `other`, for `target`."""

    port: int
    source: Address
    other: int
    target: Address


@dataclass
class Relay:
    """All pairs of one relay, by port. `receive` gives what to send: bytes, to where, from which port."""

    _sides: dict[int, _Side] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._sides)

    def open(self, lent: Lent) -> None:
        """Carry a pair; one that has a new secret keeps its addresses until new hellos come."""
        ports = [lent.port_of(who) for who in lent.pair]
        for who, port, other in zip(lent.pair, ports, reversed(ports), strict=True):
            known = self._sides.get(port)
            address = known.address if known and known.who == who else None
            self._sides[port] = _Side(who, other, lent, address)

    def close(self, lent: Lent) -> None:
        """Carry it no more."""
        for who in lent.pair:
            self._sides.pop(lent.port_of(who), None)

    def known(self, lent: Lent) -> tuple[tuple[Address | None, int], ...]:
        """Give where the two hosts of a pair are, and the counters of their last hellos, in the pair's order."""
        sides = [self._sides[lent.port_of(who)] for who in lent.pair]
        return tuple((side.address, side.counter) for side in sides)

    def remember(self, lent: Lent, known: Iterable[tuple[Address | None, int]]) -> None:
        """Carry a pair on from where an earlier run left it."""
        self.open(lent)
        for who, (address, counter) in zip(lent.pair, known, strict=True):
            side = self._sides[lent.port_of(who)]
            side.address, side.counter = address, counter

    def joined(self) -> Iterator[Joined]:
        """Give each way between two hosts that have both shown where they are."""
        for port, side in self._sides.items():
            far = self._sides[side.other].address
            if side.address is not None and far is not None:
                yield Joined(port, side.address, side.other, far)

    def receive(self, data: bytes, source: Address, port: int) -> tuple[bytes, Address, int] | Refusal:
        """Take a datagram that came to a port; what is to leave by the same port is the answer to a hello."""
        side = self._sides.get(port)
        if side is None:
            return Refusal.UNKNOWN
        hello = packet.parse(data) if len(data) <= LARGEST else Refusal.FOREIGN
        if isinstance(hello, RelayHello):
            return self._hello(side, hello, source, port)
        far = self._sides[side.other].address
        if source != side.address or far is None:
            return Refusal.UNKNOWN
        return data, far, side.other

    def _hello(
        self, side: _Side, hello: RelayHello, source: Address, port: int
    ) -> tuple[bytes, Address, int] | Refusal:
        if (hello.grant, hello.who) != (side.lent.grant, side.who):
            return Refusal.STRANGER
        if not grant.is_authentic(hello, side.lent.secret, side.who) or hello.counter <= side.counter:
            return Refusal.FORGED
        side.address, side.counter = source, hello.counter
        return packet.write(grant.welcome(hello, side.lent.secret)), source, port
