"""How a host is shown to others by the NAT in front of it, told from what servers saw (RFC 4787 section 4.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address


class Shown(StrEnum):
    """What everybody sees of one port of a host."""

    NO_NAT = "no-nat"  # the very address and port that it has
    SAME = "same-port"  # one address and port, the same to everybody: endpoint-independent mapping
    EACH = "port-for-each"  # another to each
    UNKNOWN = "unknown"  # fewer than two servers of the family have said


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server saw."""

    server: Address
    observed: Address


def shown(seen: Iterable[Seen], own: Collection[IPv4Address | IPv6Address], port: int) -> Shown:
    """Tell how a host is shown by what servers of one family saw; `own` are its addresses, `port` it sends from.

    Two servers at one address count as two: a NAT may give another port to each port. That nothing is translated one
    server can tell.
    """
    by_server = {one.server: one.observed for one in seen}
    observed = set(by_server.values())
    if len(observed) > 1:
        return Shown.EACH
    if observed and all(one.port == port and one.ip in own for one in observed):
        return Shown.NO_NAT
    return Shown.SAME if len(by_server) > 1 else Shown.UNKNOWN
