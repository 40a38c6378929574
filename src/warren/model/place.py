"""Where traffic comes from or goes to, as the file writes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.prefix import Prefix


class PlaceKind(StrEnum):
    """The forms in which a place can be written."""

    HOST = "host"
    LAN = "lan"
    PREFIX = "prefix"  # an address or a prefix of one of the host's LANs
    MAC = "mac"  # one device of a LAN
    DEVICE = "device"  # a stock WireGuard app of `devices:`
    INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Place:
    """`host`, `host.lan`, `host.prefix`, `host.lan.MAC`, `device` or `internet`.

    `lan` is filled in for a PREFIX too (the LAN that holds it); `mac` is lower case with colons. Of a DEVICE,
    `device` is its name and `host` the one its tunnel ends at.
    """

    kind: PlaceKind
    host: str = ""
    lan: str = ""
    prefix: Prefix | None = None
    mac: str = ""
    device: str = ""
    at: Where | None = None

    def __str__(self) -> str:
        if self.kind is PlaceKind.INTERNET:
            return "internet"
        if self.kind is PlaceKind.DEVICE:
            return self.device
        if self.kind is PlaceKind.HOST:
            return self.host
        if self.kind is PlaceKind.LAN:
            return f"{self.host}.{self.lan}"
        if self.kind is PlaceKind.MAC:
            return f"{self.host}.{self.lan}.{self.mac}"
        assert self.prefix is not None
        bare = self.prefix.network_address if self.prefix.num_addresses == 1 else self.prefix
        return f"{self.host}.{bare}"
