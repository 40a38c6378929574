"""How names are resolved for a LAN, or for a host's own traffic: what a resolver's configuration is made of.

    machines on a LAN ──► dnsmasq there ──► upstreams, each asked by the device that its queries are pinned to
                             └─ puts what it answers into nft sets (routing by name)

`core.compile.resolving` says what it is for each LAN; `core.render.dnsmasq` writes it in dnsmasq's words (dnsmasq(8)).
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.prefix import Address

DOMAIN = "warren"  # the network's own names: home.warren
CACHED = 2000  # names


@dataclass(frozen=True, slots=True)
class Upstream:
    """A resolver that is asked: for everything, or only for names at or below `domains`.

    `device` is the one that queries leave by, whatever the routes say (SO_BINDTODEVICE); empty: as routes say.
    """

    address: Address
    device: str = ""
    port: int = 53
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fill:
    """Names, each with all below it, whose answers are put into nft sets: `4#inet#warren-portals#dom_1_4`."""

    domains: tuple[str, ...]
    sets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A name that the resolver knows by itself, with its addresses of either family."""

    name: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Resolving:
    """Who is asked, and what becomes of the answers.

    `system`: whoever the host itself asks (its resolv.conf) is asked for what no upstream is named for. `in_order`: a
    later upstream only when an earlier one is silent. `cached` names are kept at most, none for longer than `max_ttl`
    seconds (0: as long as its answer says). Whoever asks may remember an answer for `told` seconds at most (0: as long
    as it says). Records of the types `hidden` are left out of answers, and of names `denied` it is said that there are
    none.
    """

    upstreams: tuple[Upstream, ...] = ()
    system: bool = False
    in_order: bool = False
    fills: tuple[Fill, ...] = ()
    records: tuple[Record, ...] = ()
    cached: int = CACHED
    max_ttl: int = 0
    told: int = 0
    hidden: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
