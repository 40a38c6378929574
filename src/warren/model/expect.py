"""Promises about packets."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.place import Place
from warren.model.prefix import Address, Family


@dataclass(frozen=True, slots=True)
class Target:
    """Where an expectation's packet is sent: a place, an address, or a name; and to which port.

    Exactly one of `place`, `address` and `name` is set. `proto` is `tcp`, `udp` or `icmp` (the default).
    """

    place: Place | None = None
    address: Address | None = None
    name: str = ""
    proto: str = "icmp"
    port: int = 0

    def __str__(self) -> str:
        where = str(self.place) if self.place else str(self.address) if self.address else self.name
        return where if self.proto == "icmp" else f"{where} {self.proto}/{self.port}"


@dataclass(frozen=True, slots=True)
class Down:
    """What an expectation breaks first: a host, or the tunnel between two hosts (`a-b`)."""

    host: str = ""
    tunnel: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.host or "-".join(self.tunnel or ())


@dataclass(frozen=True, slots=True)
class Expect:
    """A promise about packets that `verify` proves offline and `lab test` proves with real ones.

    `arrives` is True (at the target), a place, or None; `source` is `kept`, a host's name (the packet comes
    out with an address of that host) or empty; no family means every one that both ends have.
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
