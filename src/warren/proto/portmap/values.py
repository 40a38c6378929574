"""What can come of asking a router for a port."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.proto.address import Address

SERVER = 5351  # the port of PCP and NAT-PMP servers
ANNOUNCED = 5350  # where they tell everybody on the LAN that they have begun anew
LIFETIME = 7200  # seconds for which a port is asked for (RFC 6886 section 3.3)
FOREVER = float("inf")


class By(StrEnum):
    """The protocols, in the order in which they are tried."""

    PCP = "PCP"
    NATPMP = "NAT-PMP"
    UPNP = "UPnP"


class Why(StrEnum):
    """Why there is no port."""

    SILENT = "it does not answer"
    UNSPOKEN = "it does not speak it"
    REFUSED = "it refuses"
    FULL = "it has no port left"
    USELESS = "it has no address of its own outside"


@dataclass(frozen=True, slots=True)
class Granted:
    """A port that leads here: from `external`, for `lifetime` seconds (FOREVER: until somebody takes it back)."""

    external: Address
    lifetime: float


@dataclass(frozen=True, slots=True)
class Declined:
    """No port by this protocol; `wait`: for so many seconds the router wants to be left alone."""

    why: Why
    wait: float = 0.0


Outcome = Granted | Declined
