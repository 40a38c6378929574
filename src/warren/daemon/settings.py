"""What a rendezvous server is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from warren.proto.address import Address
from warren.proto.member import Links
from warren.proto.noise import KeyPair

Carried = Literal["auto", "kernel", "process"]  # who carries what is relayed; auto: the kernel if it may


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is told: its key, where it is, whom it serves (names by key), and with whom each is linked."""

    key: KeyPair = field(repr=False)
    places: tuple[Address, ...]
    names: Mapping[bytes, str]
    links: Links
    relay: range | None = None
    metrics: Address | None = None
    carried: Carried = "auto"
