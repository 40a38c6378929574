"""A host's routed IPv6 prefix, lent to the LANs of another."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.prefix import Prefix


@dataclass(frozen=True, slots=True)
class Delegate:
    """An IPv6 prefix that is routed to the host `source`, for LANs of the host `to`, announced there and never NATed.

    `prefix` None follows what the device `follow` of `source` has. `proxy`: the prefix is only on `source`'s own link
    (a /64), so `source` answers neighbour discovery for what is behind `to`. `downstream` is the length of the prefixes
    that routers on the first LAN may ask for (0: none).
    """

    source: str
    to: str
    lans: tuple[str, ...]
    prefix: Prefix | None = None
    follow: str = ""
    proxy: bool = False
    downstream: int = 0
    at: Where | None = None
