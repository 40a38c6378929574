"""One dnsmasq for each LAN that warren serves: leases, routers' advertisements and names, on that device alone.

    lan-wlan0    DHCPv4 and DNS on wlan0, and its advertisements unless a delegate's announcer makes them
    own-names    DNS for the host's own programs, on a loopback address that is the network's own
    exit-names   DNS on the tunnels, for portals that end here with `dns: exit`

`bind-dynamic` has it hold sockets of that device's addresses only and look at where a question came in, so it answers
on no tunnel and on no LAN that it was not given, and stands beside systemd-resolved and other networks' resolvers.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from warren.core.compile.devices import link_mtu
from warren.core.compile.dns import AT_EXIT, resolves_for_others
from warren.core.compile.here import Here
from warren.core.compile.resolving import known_names, lan_resolving, own_resolving
from warren.core.leases import leased_subnet, leases, pool
from warren.core.render.dnsmasq import resolving_lines
from warren.core.resolving import DOMAIN, Resolving
from warren.model.host import Lan
from warren.model.prefix import Family
from warren.model.state import Program, Service

OWN = "own-names"
LIFETIME = 3600  # seconds for which an announced prefix may be used without hearing of it again
INTERVAL, ROUTER_LIFETIME = 60, 1800  # seconds between advertisements; for how long we are the way out after each
# A machine that calls itself `wpad` would be the proxy of everybody who looks for one (CERT VU#598349).
_NO_PROXY = ("dhcp-name-match=set:impostor,wpad", "dhcp-ignore-names=tag:impostor")


def lay_lan_services(here: Here) -> tuple[Service, ...]:
    """List the programs that serve this host's LANs, and its own traffic."""
    lans = (_lan_service(here, lan) for lan in here.host.lans)
    own = own_resolving(here)
    mine = [own_service(here, own)] if own is not None else []
    mine += [_exit_service(here)] if resolves_for_others(here) else []
    return (*(service for service in lans if service is not None), *mine)


def service_name(lan: str) -> str:
    """Name the service of a LAN."""
    return f"lan-{lan}"


def own_resolver(here: Here) -> IPv4Address:
    """Give the loopback address at which the host's own programs are answered; every network of a host has another."""
    return IPv4Address("127.77.0.1") + here.ledger.slot


def own_service(here: Here, resolving: Resolving) -> Service:
    """Make the resolver for the host's own traffic."""
    lines = (f"listen-address={own_resolver(here)}", "bind-interfaces", *resolving_lines(resolving))
    return _dnsmasq(here, OWN, lines, "names for this host's own programs")


def _exit_service(here: Here) -> Service:
    """Make the resolver for portals that end here: it answers on tunnels, and asks whoever this host asks."""
    tunnels = dict.fromkeys(here.device(peer.name) for peer in here.peers)
    lines = [*(f"interface={tunnel}" for tunnel in tunnels), "except-interface=lo", "bind-dynamic"]
    lines += resolving_lines(Resolving(system=True, records=known_names(here)))
    return _dnsmasq(here, AT_EXIT, lines, "names for portals that end here")


def _lan_service(here: Here, lan: Lan) -> Service | None:
    resolving = lan_resolving(here, lan)
    if resolving is None and lan.dhcp is None and not lan.ra:
        return None
    lines = [f"interface={lan.name}", "except-interface=lo", "bind-dynamic"]
    lines += ["port=0"] if resolving is None else resolving_lines(resolving)
    lines += [*_leases(here, lan), *_advertisements(here, lan)]
    does = ["addresses"] if lan.dhcp is not None or lan.ra else []
    does += ["names"] if resolving is not None else []
    return _dnsmasq(here, service_name(lan.name), lines, f"{' and '.join(does)} for machines on {lan.name}")


def _dnsmasq(here: Here, name: str, lines: Iterator[str] | list[str] | tuple[str, ...], why: str) -> Service:
    head = f"# Made by warren for the network {here.fabric.network.name}: {why}."
    return Service(name, Program.DNSMASQ, "".join(f"{line}\n" for line in (head, *lines)), why=why)


def _leases(here: Here, lan: Lan) -> Iterator[str]:
    """Write what DHCP gives; the file of leases outlives restarts (`@leases@`)."""
    router, ends = leased_subnet(lan), pool(lan)
    if lan.dhcp is None or router is None or ends is None:
        return
    yield f"dhcp-range={ends[0]},{ends[1]},{router.netmask},{lan.dhcp.lease}s"
    yield from (f"dhcp-host={one.mac},{one.address}" for one in lan.dhcp.static)
    yield f"dhcp-option=option:router,{router.ip}"
    yield f"dhcp-option=option:dns-server,{router.ip}"
    yield f"dhcp-lease-max={leases(lan)}"
    yield "dhcp-leasefile=@leases@"
    yield "dhcp-authoritative"
    yield f"domain={here.host.name}.{DOMAIN}"
    yield from _NO_PROXY
    yield "quiet-dhcp"


def _advertisements(here: Here, lan: Lan) -> Iterator[str]:
    """Announce the LAN's own prefixes; where something is delegated to it, its announcer tells of these, too."""
    if not lan.ra or Family.IPV6 not in here.usable or lan.delegated:
        return
    yield f"dhcp-range=::,constructor:{lan.name},ra-only,64,{LIFETIME}"
    fits = _mtu(here, lan)
    yield f"ra-param={lan.name}{f',mtu:{fits}' if fits else ''},{INTERVAL},{ROUTER_LIFETIME}"
    yield "quiet-ra"


def _mtu(here: Here, lan: Lan) -> int:
    """Give what fits through the tunnels that the LAN's portals lead into; 0 if it has none."""
    firsts = {way.hops[1] for way in here.leaving if way.portal.source.lan == lan.name}
    return min((link_mtu(here, here.fabric.network.by_name[peer]) for peer in firsts), default=0)
