"""What delegated prefixes make of a host: a router's addresses on LANs, and the programs that tell of them.

    r1   announces to br-lan: this /64, this router; the agent says when it is no way to the internet any more
         and gives routers on the LAN prefixes of their own, where `downstream` says how long (DHCPv6-PD, RFC 8415)
    r2   with `proxy: true`: answers on its uplink's link for whoever of the /64 is asked for

dnsmasq(8) reads the prefixes off the LAN's own addresses (`constructor:`). So a new prefix is announced as soon as the
address is there, and the old one is announced as deprecated for as long as machines may still use it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from warren.core.compile.devices import link_mtu
from warren.core.compile.here import Here
from warren.core.delegates import pool_of
from warren.model.prefix import Family, Prefix, host_prefix, prefixes_of, span_of, subtract
from warren.model.state import LanAddress, Program, Service

ANNOUNCER, DELEGATOR, ANSWERER = "ra", "pd", "nd-proxy"
LIFETIME = 3600  # seconds for which a machine may use an announced prefix without hearing of it again
INTERVAL = 60  # seconds between advertisements, at most; who asks is answered at once
ROUTER_LIFETIME = 1800  # seconds; 0 stands for: a prefix, but no way to the internet (RFC 4861 section 4.2)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a LAN is told: a prefix, and that we are the way to the internet; `mtu` is what fits through the tunnel."""

    lan: str
    prefix: Prefix
    mtu: int
    off_link: bool = False


def lay_lan_addresses(here: Here) -> tuple[LanAddress, ...]:
    """List the addresses of delegated prefixes that this host has on its LANs."""
    if Family.IPV6 not in here.carried:
        return ()
    return tuple(LanAddress(lan.name, address) for lan in here.host.lans for address in lan.delegated)


def announcements(here: Here) -> tuple[Announcement, ...]:
    """Say what each LAN with a delegated prefix is told, sorted by LAN and prefix."""
    if Family.IPV6 not in here.carried:
        return ()
    told_of = {address.network: lan.name for lan in here.host.lans for address in lan.delegated}
    found = []
    for way in here.entering:
        subnet = way.portal.source.prefix
        if not way.portal.delegated or subnet is None or told_of.get(subnet) != way.portal.source.lan:
            continue
        peer = way.portal.exit
        found.append(
            Announcement(
                lan=way.portal.source.lan,
                prefix=subnet,
                mtu=link_mtu(here, here.fabric.network.by_name[peer]),
                off_link=any(one.proxy and (one.to, one.source) == (here.host.name, peer) for one in here.delegates),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.lan, one.prefix.network_address)))


def lay_services(here: Here) -> tuple[Service, ...]:
    """List the programs that delegated prefixes need on this host."""
    return tuple(service for service in (_announcer(here), _delegator(here), _answerer(here)) if service is not None)


# --- routers' advertisements ---------------------------------------------------------------------------------


def _announcer(here: Here) -> Service | None:
    told = announcements(here)
    if not told:
        return None
    lans = dict.fromkeys(one.lan for one in told)
    live = _advertised(told)
    return Service(
        ANNOUNCER,
        Program.DNSMASQ,
        _config(told, here.fabric.network.name, live),
        live=live,
        announces=tuple(one.prefix for one in told),
        why=f"machines on {', '.join(lans)} learn their addresses and their way out",
    )


def _config(told: tuple[Announcement, ...], network: str, live: str) -> str:
    """Write what is compared. So it says what the agent's part begins with: that has the MTU in it."""
    off_link = {one.lan: any(other.off_link for other in told if other.lan == one.lan) for one in told}
    lines = [
        f"# Made by warren for the network {network}: routers' advertisements, and nothing else.",
        "port=0",
        "bind-dynamic",
        *(f"interface={lan}" for lan in off_link),
        *(
            f"dhcp-range=::,constructor:{lan},ra-only{',off-link' if off else ''},64,{LIFETIME}"
            for lan, off in off_link.items()
        ),
        *(f"# at first: {line}" for line in live.splitlines()),
        "conf-file=@live@",
    ]
    return "\n".join(lines) + "\n"


def _advertised(told: tuple[Announcement, ...]) -> str:
    """Write the part that the agent alters: for how long we are a way out."""
    mtu = {lan: min(one.mtu for one in told if one.lan == lan) for lan in dict.fromkeys(one.lan for one in told)}
    return "".join(f"ra-param={lan},mtu:{fits},{INTERVAL},{ROUTER_LIFETIME}\n" for lan, fits in mtu.items())


def without_a_way_out(live: str, lans: Collection[str]) -> str:
    """Write the same for a time when some LANs have no way out by us: their router's lifetime is 0."""
    lines = []
    for line in live.splitlines():
        lan = line.removeprefix("ra-param=").partition(",")[0]
        lines.append(f"{line.rpartition(',')[0]},0" if lan in lans else line)
    return "".join(f"{line}\n" for line in lines)


# --- prefixes for other routers ------------------------------------------------------------------------------


def _delegator(here: Here) -> Service | None:
    """Give routers on our LANs prefixes (kea-dhcp6(8)): dnsmasq cannot, and kea leaves the routes to us (`@hook@`)."""
    lengths = {
        pool: one.downstream
        for one in here.delegates
        if one.to == here.host.name and (pool := pool_of(one, here.fabric.lock)) is not None
    }
    lans = [lan for lan in here.host.lans if lan.pools and lan.delegated]
    if not lans or Family.IPV6 not in here.carried:
        return None
    subnets = [
        {
            "id": number,
            "subnet": str(lan.delegated[0].network),
            "interface": lan.name,
            "pd-pools": [
                {"prefix": str(pool.network_address), "prefix-len": pool.prefixlen, "delegated-len": lengths[pool]}
                for pool in lan.pools
            ],
        }
        for number, lan in enumerate(lans, start=1)
    ]
    config = {
        # A device may be there, and its address not yet: asked again every second.
        "interfaces-config": {
            "interfaces": [lan.name for lan in lans],
            "service-sockets-max-retries": 1_000_000,
            "service-sockets-retry-wait-time": 1000,
        },
        "data-directory": "@folder@",
        "lease-database": {"type": "memfile", "persist": True, "name": "@leases@", "lfc-interval": 3600},
        "hooks-libraries": [{"library": "@run-script@", "parameters": {"name": "@hook@", "sync": False}}],
        "preferred-lifetime": LIFETIME,
        "valid-lifetime": 2 * LIFETIME,
        "subnet6": subnets,
        "loggers": [{"name": "kea-dhcp6", "severity": "WARN", "output_options": [{"output": "stderr"}]}],
    }
    head = f"# Made by warren for the network {here.fabric.network.name}: prefixes for routers on LANs.\n"
    return Service(
        DELEGATOR,
        Program.KEA,
        head + json.dumps({"Dhcp6": config}, indent=1) + "\n",
        routes=tuple(pool for lan in lans for pool in lan.pools),
        why=f"routers on {', '.join(lan.name for lan in lans)} get prefixes of their own",
    )


# --- neighbour discovery -------------------------------------------------------------------------------------


def _answerer(here: Here) -> Service | None:
    """Answer for a link's prefix, but for its gateway: that one is there, and answers for itself."""
    if not here.proxied or Family.IPV6 not in here.carried:
        return None
    gateway = here.surroundings.default_route(Family.IPV6, here.host.uplink)
    mine = [host_prefix(gateway.via)] if gateway is not None and gateway.via is not None else []
    mine += [host_prefix(address) for address in here.surroundings.addresses(here.host.uplink) if address.version == 6]
    answers = tuple(_without(here.proxied, mine))
    rules = "\n".join(f"  rule {prefix} {{\n    static\n  }}" for prefix in answers)
    config = (
        f"# Made by warren for the network {here.fabric.network.name}: who asks on the link is answered for these.\n"
        f"proxy {here.host.uplink} {{\n  router no\n  ttl 30000\n{rules}\n}}\n"
    )
    peers = ", ".join(sorted({one.to for one in here.delegates if one.proxy and one.source == here.host.name}))
    return Service(
        ANSWERER,
        Program.NDPPD,
        config,
        answers=answers,
        why=f"what the link of {here.host.uplink} sends to machines behind {peers} comes to this host",
    )


def _without(wholes: tuple[Prefix, ...], taken: list[Prefix]) -> Iterator[Prefix]:
    for whole in wholes:
        yield from prefixes_of(subtract([span_of(whole)], [span_of(one) for one in taken]), Family.IPV6)
