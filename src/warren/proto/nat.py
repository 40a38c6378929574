"""A NAT or firewall as RFC 4787 describes them: what it makes of a packet, given what it has seen and the time.

    mapping     does one inside address and port look the same to everybody, or another to each address (and port)?
    filtering   who may send to the outside port: anybody, an address that was sent to, or that address and port?
    ports       which outside port: the inside one where it is free, the next, or any
    timeout     seconds without a packet from inside after which a mapping is forgotten
    hairpin     may two hosts inside meet at their outside addresses?

IPv6 is not translated, only filtered; a firewall without NAT does the same to IPv4. What comes from inside refreshes,
what comes from outside does not (RFC 4787, REQ-6, the stricter reading).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from warren.model.lab import Mapping, Ports
from warren.proto.address import Address

FIRST_PORT, LAST_PORT = 1024, 65535


class Chance(Protocol):
    """What random.Random gives; an argument, so that a world can be had again."""

    def random(self) -> float: ...
    def randrange(self, start: int, stop: int, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What kind of NAT it is; `translates` False: a firewall. `blocks_udp`: nothing of ours passes."""

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Mapping = Mapping.ADDRESS_AND_PORT_DEPENDENT
    ports: Ports = Ports.PRESERVING
    timeout: float = 120.0
    hairpin: bool = False
    translates: bool = True
    blocks_udp: bool = False
    most: int = 4096  # mappings at once


@dataclass(slots=True)
class _Entry:
    inside: Address
    outside: Address
    used: float
    let_in: dict[object, float] = field(default_factory=dict)


class Nat:
    """One box: `out` and `into` say how a packet looks on the other side, or None where it ends here."""

    def __init__(self, behaviour: Behaviour, outside: Address, chance: Chance) -> None:
        self.behaviour = behaviour
        self._ip = outside.ip
        self._chance = chance
        self._by_inside: dict[object, _Entry] = {}
        self._by_outside: dict[Address, _Entry] = {}
        self._next_port = FIRST_PORT + chance.randrange(0, 40_000)

    @property
    def mappings(self) -> int:
        """How many entries are kept."""
        return len(self._by_outside)

    def forget(self) -> None:
        """Be switched off and on again."""
        self._by_inside.clear()
        self._by_outside.clear()

    def out(self, source: Address, to: Address, now: float) -> Address | None:
        """Say what the source of a packet from inside becomes."""
        if self.behaviour.blocks_udp:
            return None
        key = _seen_by(self.behaviour.mapping, source, to) if self._translates(source) else source
        entry = self._by_inside.get(key)
        if entry is not None and self._is_over(entry, now):
            self._drop(key, entry)
            entry = None
        if entry is None:
            outside = self._outside(source, now)
            if outside is None:
                return None
            entry = _Entry(source, outside, now)
            self._by_inside[key] = self._by_outside[outside] = entry
        entry.used = now
        entry.let_in[_filtered(self.behaviour.filtering, to)] = now
        return entry.outside

    def into(self, source: Address, to: Address, now: float) -> Address | None:
        """Say whose a packet from outside is."""
        entry = self._by_outside.get(to)
        if self.behaviour.blocks_udp or entry is None or self._is_over(entry, now):
            return None
        asked = entry.let_in.get(_filtered(self.behaviour.filtering, source))
        return entry.inside if asked is not None and now - asked <= self.behaviour.timeout else None

    def _translates(self, source: Address) -> bool:
        return self.behaviour.translates and source.ip.version == 4

    def _is_over(self, entry: _Entry, now: float) -> bool:
        return now - entry.used > self.behaviour.timeout

    def _drop(self, key: object, entry: _Entry) -> None:
        self._by_inside.pop(key, None)
        if self._by_outside.get(entry.outside) is entry:  # else the port has gone to somebody else since
            del self._by_outside[entry.outside]

    def _outside(self, source: Address, now: float) -> Address | None:
        if self.mappings >= self.behaviour.most:
            for key, entry in [one for one in self._by_inside.items() if self._is_over(one[1], now)]:
                self._drop(key, entry)
            if self.mappings >= self.behaviour.most:
                return None
        if not self._translates(source):
            return source
        for port in self._choices(source.port):
            wanted = Address(self._ip, port)
            taken = self._by_outside.get(wanted)
            if taken is None or self._is_over(taken, now):
                return wanted
        return None

    def _choices(self, port: int) -> Iterator[int]:
        """Give ports in the order in which they are tried; enough of them for a table of `most`."""
        span = LAST_PORT + 1 - FIRST_PORT
        tries = min(2 * self.behaviour.most, span)
        match self.behaviour.ports:
            case Ports.PRESERVING:
                yield port
                yield from (self._chance.randrange(FIRST_PORT, LAST_PORT + 1) for _ in range(64))
            case Ports.SEQUENTIAL:
                start = self._next_port
                self._next_port = FIRST_PORT + (start + 1 - FIRST_PORT) % span
                yield from (FIRST_PORT + (start + n - FIRST_PORT) % span for n in range(tries))
            case Ports.RANDOM:
                yield from (self._chance.randrange(FIRST_PORT, LAST_PORT + 1) for _ in range(64))


def _seen_by(mapping: Mapping, source: Address, to: Address) -> object:
    match mapping:
        case Mapping.ENDPOINT_INDEPENDENT:
            return (source,)
        case Mapping.ADDRESS_DEPENDENT:
            return (source, to.ip)
        case Mapping.ADDRESS_AND_PORT_DEPENDENT:
            return (source, to)


def _filtered(filtering: Mapping, far: Address) -> object:
    match filtering:
        case Mapping.ENDPOINT_INDEPENDENT:
            return None
        case Mapping.ADDRESS_DEPENDENT:
            return far.ip
        case Mapping.ADDRESS_AND_PORT_DEPENDENT:
            return far
