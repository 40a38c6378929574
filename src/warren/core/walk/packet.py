"""The packet that walks: mutable, with addresses as integers, because a walk touches it thousands of times.

What leaves the package are Headers; nobody outside sees a Packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from warren.model.prefix import Address, Family
from warren.model.trace import Header

if TYPE_CHECKING:
    from warren.core.walk.conntrack import Flow
    from warren.core.walk.fib import Fib

# A conntrack tuple: family, source, destination, protocol, source port, destination port.
Tuple = tuple[int, int, int, str, int, int]

TTL = 64
PING_SIZE = 84  # ping(8)'s default: 56 bytes of data, 8 of ICMP, 20 of IPv4


def to_address(number: int, family: int) -> Address:
    """Turn an address as a number back into the standard library's type."""
    return IPv4Address(number) if family == Family.IPV4 else IPv6Address(number)


@dataclass(slots=True)
class Packet:
    """One packet at one moment.

    For ICMP echoes the identifier stands in `sport` of a request and in `dport` of a reply, so that a tuple
    and its inverse work as they do for ports. `fresh` is False once conntrack has seen the other direction.
    `knocked` says that its sender knocks at whom it sends to.
    """

    family: Family
    source: int
    destination: int
    proto: str
    sport: int
    dport: int
    size: int = PING_SIZE
    mark: int = 0
    df: bool = True
    ttl: int = TTL
    mac: str = ""
    iif: str = ""
    oif: str = ""
    bound: str = ""  # the device that its socket is bound to, at the host that makes it
    flow: Flow | None = None
    replying: bool = False
    carries: int = 1 << 16  # the smallest MTU met so far
    fib: Fib | None = None  # of the host it is at
    knocked: bool = False

    def header(self) -> Header:
        """Give what a trace keeps of it."""
        return Header(
            to_address(self.source, self.family),
            to_address(self.destination, self.family),
            self.proto,
            self.sport,
            self.dport,
            self.mark,
            self.size,
        )

    def tuple(self) -> Tuple:
        """Give its conntrack tuple."""
        return (int(self.family), self.source, self.destination, self.proto, self.sport, self.dport)

    def answer(self) -> Packet:
        """Make the packet that its receiver would send back."""
        return Packet(
            self.family,
            self.destination,
            self.source,
            self.proto,
            self.dport,
            self.sport,
            self.size,
            df=self.df,
        )

    def leave_host(self) -> None:
        """Forget what only the host it leaves knows of it."""
        self.mark = 0
        self.iif = self.oif = self.bound = ""
        self.mac = ""
        self.flow = None
        self.replying = False


def invert(of: Tuple) -> Tuple:
    """Give the tuple of the opposite direction."""
    family, source, destination, proto, sport, dport = of
    return (family, destination, source, proto, dport, sport)
