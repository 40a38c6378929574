"""Stock WireGuard apps, on which warren never runs."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.key import PublicKey
from warren.model.place import Place
from warren.model.prefix import Address


@dataclass(frozen=True, slots=True)
class Device:
    """A stock WireGuard app: its configuration is rendered, and warren never runs on it.

    Its tunnel ends at the host `into`, through the gateway `via` where `into` cannot be dialled itself. It may
    begin flows to `reach` and nothing else; `full_tunnel`: also to the internet, by the uplink of `into`. `dns` are
    the resolvers it is told. `mtu` is the most its tunnel may carry, where its own way to the internet is narrow.
    """

    name: str
    key: PublicKey
    into: str
    via: str = ""
    reach: tuple[Place, ...] = ()
    full_tunnel: bool = False
    dns: tuple[Address, ...] = ()
    mtu: int | None = None
    at: Where | None = None
