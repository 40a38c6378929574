"""A NAT box by RFC 4787: how it maps what goes out, and whom it lets in.

Mapping says when two packets of one inside endpoint share an outside port: always, per remote address, or per
remote address and port. Filtering says who may send to that port: anybody, addresses that were sent to, or
exactly the endpoints that were. IPv6 is not translated; a stateful firewall filters it alike (RFC 6092).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zlib import crc32

from warren.core.walk.packet import Packet
from warren.model.lab import Mapping, NatBox, Ports
from warren.model.prefix import Family

Remote = tuple[int, int]
_FIRST_PORT = 1024
_PORTS = 65536 - _FIRST_PORT


@dataclass(slots=True)
class _Entry:
    """One mapping: the inside endpoint, and whom it has sent to."""

    inside: Remote
    outside_port: int
    addresses: set[int] = field(default_factory=set)
    endpoints: set[Remote] = field(default_factory=set)


class NatState:
    """The mappings of one box."""

    def __init__(self, box: NatBox) -> None:
        self.box = box
        self._by_inside: dict[tuple[object, ...], _Entry] = {}
        self._by_outside: dict[tuple[str, int, int], _Entry] = {}
        self._next = _FIRST_PORT

    def outward(self, packet: Packet, outside: int | None) -> str:
        """Let a packet out and remember it; rewrites the source to the box's `outside` address if it translates.

        Returns what was done, in words.
        """
        translates = packet.family is Family.IPV4 and outside is not None
        remote = (packet.destination, packet.dport)
        inside = (packet.source, packet.sport)
        key = (packet.family, packet.proto, inside, *_scope(self.box.mapping, remote))
        entry = self._by_inside.get(key)
        known = entry is not None
        if entry is None:
            port = self._port(packet, outside or 0) if translates else packet.sport
            entry = _Entry(inside, port)
            self._by_inside[key] = entry
            self._by_outside[packet.proto, outside if translates and outside else packet.source, port] = entry
        entry.addresses.add(remote[0])
        entry.endpoints.add(remote)
        if not translates or outside is None:
            return "lets it out and will let answers in"
        packet.source, packet.sport = outside, entry.outside_port
        return f"{'keeps its' if known else 'makes an'} {self.box.mapping} mapping to port {entry.outside_port}"

    def inward(self, packet: Packet) -> tuple[bool, str]:
        """Let a packet in or not, rewriting its destination; says why."""
        entry = self._by_outside.get((packet.proto, packet.destination, packet.dport))
        if entry is None:
            return False, "has no mapping for it: nothing inside has sent from there"
        filtering = self.box.filtering
        allowed = (
            filtering is Mapping.ENDPOINT_INDEPENDENT
            or (filtering is Mapping.ADDRESS_DEPENDENT and packet.source in entry.addresses)
            or (packet.source, packet.sport) in entry.endpoints
        )
        if not allowed:
            return False, f"its {filtering} filter has not seen the inside send to this sender"
        packet.destination, packet.dport = entry.inside
        return True, f"its {filtering} filter knows the sender"

    def _port(self, packet: Packet, outside: int) -> int:
        """Choose an outside port by the box's habit, round those that are taken."""
        if self.box.ports is Ports.PRESERVING:
            port = packet.sport
        elif self.box.ports is Ports.SEQUENTIAL:
            port = self._next
            self._next += 1
        else:  # any port nobody can guess will do; the same one each time keeps walks repeatable
            port = _FIRST_PORT + crc32(f"{packet.tuple()}".encode()) % _PORTS
        while (packet.proto, outside, port) in self._by_outside:
            port = _FIRST_PORT + (port + 1 - _FIRST_PORT) % _PORTS
        return port


def _scope(mapping: Mapping, remote: Remote) -> tuple[int, ...]:
    if mapping is Mapping.ENDPOINT_INDEPENDENT:
        return ()
    return remote[:1] if mapping is Mapping.ADDRESS_DEPENDENT else remote
