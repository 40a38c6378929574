"""Who registers with a server: a host, from one of its WireGuard ports.

Most hosts have one port, for all their peers. A peer by whom a portal leaves has a device and a port of its own, which
a NAT shows to others under a mapping of its own: the host registers from there too, for that peer alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from warren.proto.noise import KEY

ALL = bytes(KEY)  # for all peers that have no port of their own


class Member(NamedTuple):
    """A host's key, and the key of the one peer for whom the port is kept."""

    who: bytes
    only: bytes = ALL


Links = Mapping[Member, frozenset[Member]]


def by_one_port(links: Mapping[bytes, frozenset[bytes]]) -> dict[Member, frozenset[Member]]:
    """Give the links of hosts that have one port each, for all."""
    return {Member(who): frozenset(map(Member, others)) for who, others in links.items()}
