"""Where a datagram comes from and may go, and the places at which a host may perhaps be reached."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a UDP port."""

    ip: IPv4Address | IPv6Address
    port: int

    @classmethod
    def of(cls, text: str, port: int) -> Address:
        """Read the IP address from its text; ValueError if it is none."""
        return cls(ip_address(text), port)

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"


class Origin(IntEnum):
    """How a candidate became known (RFC 8445 section 5.1.1); the numbers are those of the wire."""

    HOST = 1  # an address of the host itself
    OBSERVED = 2  # what a server saw
    MAPPED = 3  # a port that the router opened (PCP, NAT-PMP, UPnP)
    CONFIGURED = 4  # the network file's endpoint
    PEER = 5  # what the peer itself saw


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place at which a host may be reached."""

    origin: Origin
    address: Address


def may_be_probed(address: Address) -> bool:
    """Say whether a probe may be sent there: one machine on some network, and not this one itself."""
    ip = address.ip
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        return False  # IPv4 in disguise: what it hides would not be looked at
    return not (ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip == BROADCAST or address.port == 0)
