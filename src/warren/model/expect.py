"""Promises about packets."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.place import Place
from warren.model.prefix import Address, Family

DNS = "dns"  # the protocol of a target that is a name to be resolved


@dataclass(frozen=True, slots=True)
class Target:
    """Where an expectation's packet is sent: a place, an address, or a name; and to which port.

    Exactly one of `place`, `address` and `name` is set. `proto` is `tcp`, `udp`, `icmp` (the default), or
    `dns` for a name that is asked of the place's resolver.
    """

    place: Place | None = None
    address: Address | None = None
    name: str = ""
    proto: str = "icmp"
    port: int = 0

    def __str__(self) -> str:
        where = str(self.place) if self.place else str(self.address) if self.address else self.name
        if self.proto == DNS:
            return f"{where}, resolved"
        return where if self.proto == "icmp" else f"{where} {self.proto}/{self.port}"


@dataclass(frozen=True, slots=True)
class Down:
    """What an expectation breaks first: a host, or the tunnel between two hosts (`a-b`)."""

    host: str = ""
    tunnel: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.host or "-".join(self.tunnel or ())


@dataclass(frozen=True, slots=True)
class Resolves:
    """A promise about a name: its questions leave in the clear by the uplinks of these hosts, and by no other's.

    Of a `blocked` one nobody is asked, and it stays without an answer.
    """

    name: str
    by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} by {', '.join(self.by)}" if self.by else self.name


@dataclass(frozen=True, slots=True)
class Expect:
    """A promise about packets that `verify` proves offline and `lab test` proves with real ones.

    `arrives` is True (at the target), a place, or None; `source` is `kept`, a host's name (the packet comes
    out with an address of that host) or empty; no family means every one that both ends have. `resolves`: who asks for
    a name at the place, and not a packet, is what it is about; `target` is the name then.
    """

    source_place: Place
    target: Target
    exit: str = ""
    arrives: bool | Place | None = None
    blocked: bool = False
    source: str = ""
    path: tuple[str, ...] = ()
    mtu: int | None = None
    families: tuple[Family, ...] | None = None
    down: tuple[Down, ...] = ()
    at: Where | None = None
    resolves: Resolves | None = None
