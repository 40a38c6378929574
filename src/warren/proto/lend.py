"""Relays to lend: two ports for each pair, one for each side, from a declared range.

A ──► relay:40000 ═══► from relay:40001 to B          each host has one endpoint for its peer: its own port
A ◄── from relay:40000 ◄═══ relay:40001 ◄── B

A server that has addresses of both families lends the same two ports at both, so that a host of one family meets one of
the other: each is told the address of the family in which it speaks to the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.agenda import Agenda
from warren.proto.door import Draw
from warren.proto.message import Grant
from warren.proto.noise import KEY

LIFETIME = 600  # seconds; a host asks again before half of it is over


@dataclass(slots=True)
class Lent:
    """A relay that a pair has; the smaller key's port is `port`, the other's the next."""

    pair: tuple[bytes, bytes]
    ips: tuple[IPv4Address | IPv6Address, ...]
    port: int
    grant: int
    secret: bytes
    ends: float
    stale: bool = False  # one of the two has started anew, and cannot know which counters it has used

    def port_of(self, who: bytes) -> int:
        """Give the port of one of the two."""
        return self.port + self.pair.index(who)

    def grant_for(self, who: bytes, peer: bytes, now: float, version: int) -> Grant:
        """Say to one of the two what it has: the relay's address of this IP version, or the first if there is none."""
        ip = next((one for one in self.ips if one.version == version), self.ips[0])
        place = Address(ip, self.port_of(who))
        return Grant(peer, place, self.grant, self.secret, max(int(self.ends - now), 0))

    def __repr__(self) -> str:
        return f"Lent({', '.join(map(str, self.ips))}, {self.port}, grant={self.grant})"


class Lender:
    """What a server can lend: so many pairs as there are ports for, at its address, or at one of each family."""

    def __init__(self, ips: tuple[IPv4Address | IPv6Address, ...], ports: range, draw: Draw) -> None:
        self._ips, self._draw = ips, draw
        self._free = [port for port in reversed(ports[::2]) if port + 1 in ports]
        self._lent: dict[tuple[bytes, bytes], Lent] = {}
        self._ends: Agenda[tuple[bytes, bytes]] = Agenda()

    def __len__(self) -> int:
        return len(self._lent)

    def lend(self, one: bytes, other: bytes, now: float) -> tuple[Lent | None, bool]:
        """Lend or prolong a pair's relay, and say whether it, or its secret, is new; None when all are lent."""
        pair = _pair(one, other)
        lent = self._lent.get(pair)
        if lent is not None and lent.ends > now:
            lent.ends = now + LIFETIME
            renewed, lent.stale = lent.stale, False
            if renewed:
                lent.grant, lent.secret = int.from_bytes(self._draw(8)), self._draw(KEY)
            return lent, renewed
        if lent is not None or not self._free:
            return None, False  # its end has come and `ended` has not been asked yet, or nothing is left
        number = int.from_bytes(self._draw(8))
        self._lent[pair] = lent = Lent(pair, self._ips, self._free.pop(), number, self._draw(KEY), now + LIFETIME)
        self._ends.plan(pair, lent.ends)
        return lent, True

    @property
    def lent(self) -> tuple[Lent, ...]:
        """What is lent now."""
        return tuple(self._lent.values())

    def take_up(self, lent: Lent) -> bool:
        """Go on with what was lent in an earlier run, and say whether its ports are still ours to lend."""
        if lent.ips != self._ips or lent.port not in self._free or lent.pair in self._lent:
            return False
        self._free.remove(lent.port)
        self._lent[lent.pair] = lent
        self._ends.plan(lent.pair, lent.ends)
        return True

    def withdraw(self, lent: Lent) -> None:
        """Take back what cannot be carried, and never lend its ports again: somebody else has them."""
        self._lent.pop(lent.pair, None)

    def renew(self, who: bytes, peers: Iterable[bytes]) -> list[bytes]:
        """Have a host that started anew get new secrets for its relays to these peers when they are next lent.

        Gives those of them that have one.
        """
        found = [peer for peer in peers if _pair(who, peer) in self._lent]
        for peer in found:
            self._lent[_pair(who, peer)].stale = True
        return found

    def next_end(self) -> float | None:
        """Say when the first of them ends, if nobody has prolonged it meanwhile."""
        return self._ends.next()

    def ended(self, now: float) -> list[Lent]:
        """Take back those that nobody prolonged."""
        over = []
        for pair in self._ends.due(now):
            lent = self._lent.get(pair)
            if lent is not None and lent.ends > now:
                self._ends.plan(pair, lent.ends)
            elif lent is not None:
                over.append(self._lent.pop(pair))
                self._free.insert(0, lent.port)
        return over


def _pair(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    return (one, other) if one < other else (other, one)
