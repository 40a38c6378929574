"""What warren does for the machines on a LAN: addresses, radio, and the device itself where warren makes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.prefix import Address

LEASE = 12 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Static:
    """A machine that is always given the same IPv4 address, by its MAC (lower case)."""

    mac: str
    address: Address
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class Dhcp:
    """Leases of IPv4 addresses: out of `first` to `last` (None: worked out from the subnet), for `lease` seconds."""

    first: Address | None = None
    last: Address | None = None
    lease: int = LEASE
    static: tuple[Static, ...] = ()
    at: Where | None = None


class Band(StrEnum):
    """Where a radio sends, in GHz."""

    TWO = "2.4"
    FIVE = "5"


class Security(StrEnum):
    """How machines prove that they know the passphrase: WPA2 (PSK), WPA3 (SAE), or either."""

    EITHER = "wpa2+wpa3"
    WPA2 = "wpa2"
    WPA3 = "wpa3"


@dataclass(frozen=True, slots=True)
class Wifi:
    """A hotspot on a LAN's device. `country` is where it stands (ISO 3166): what may be sent there is its law."""

    ssid: str
    passphrase_file: str
    country: str
    band: Band = Band.TWO
    channel: int = 6
    hidden: bool = False
    security: Security = Security.EITHER
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class Vlan:
    """A LAN's device is VLAN `id` of the device `of` (IEEE 802.1Q)."""

    of: str
    id: int
