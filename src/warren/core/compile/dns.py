"""What `dns:` makes of a host: who is asked for names, by which way, and the programs that do it.

    entry    dnsmasq ──► resolvers, each by a socket bound to the tunnel's device          plain resolvers
             dnsmasq ──► `warren dns` on a loopback address ──► both sides, or TLS, HTTPS  what is judged, or sealed
    exit     dnsmasq on the tunnels, which asks whoever the exit itself asks               `exit`

A bound socket's packets leave by its device or not at all. Where the agent chooses among exits there is no one device:
then a rule leads what is sent to the resolver's port into the portal's own table, behind whose exits nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from zlib import crc32

from warren.core.compile.failover import table_of
from warren.core.compile.here import Here
from warren.core.compile.portals import ways_of
from warren.core.dns_config import Asked, DnsConfig, write_config
from warren.core.resolving import Record, Resolving, Upstream
from warren.model.dns import Dns, Privacy, Resolver, Transport
from warren.model.named_set import SetUse
from warren.model.network import Network, Way
from warren.model.place import PlaceKind
from warren.model.prefix import Address, Family, Prefix, covers, host_prefix
from warren.model.state import DnsConfig as HostDns
from warren.model.state import Program, Service

AT_EXIT = "exit-names"
JUDGES = int(IPv4Address("127.78.0.0"))  # the /16 of the first network's programs; the next network's is the next


def asking(here: Here) -> tuple[Way, ...]:
    """List the portals entered here that say how names are resolved."""
    kinds = (PlaceKind.LAN, PlaceKind.HOST)
    return tuple(way for way in here.entering if way.portal.dns is not None and way.portal.source.kind in kinds)


def resolving_for(here: Here, lan: str, records: tuple[Record, ...]) -> Resolving | None:
    """Say whom dnsmasq asks for a LAN, or for the host's own programs (empty); None if no portal says it."""
    for way in asking(here):
        if way.portal.source.lan != lan:
            continue
        dns = _dns(way)
        if dns.judged or dns.sealed:
            upstreams: tuple[Upstream, ...] = (Upstream(judge_address(here, lan)),)
        elif dns.at_exit:
            upstreams = tuple(Upstream(address) for address in _exit_addresses(here, way))
        else:
            upstreams = tuple(Upstream(one.address, _by(here, way, one), one.port) for one in dns.trusted)
        if not lan:
            upstreams += tuple(_for_endpoints(here, way))
        return Resolving(upstreams, in_order=dns.at_exit, records=records)
    return None


def lay_dns_services(here: Here) -> tuple[Service, ...]:
    """List the programs that judge answers here, or speak what dnsmasq does not."""
    return tuple(_judge(here, way) for way in asking(here) if _dns(way).judged or _dns(way).sealed)


def resolves_for_others(here: Here) -> bool:
    """Say whether a portal has its names resolved here, at its exit."""
    ends = (way for way, at in here.through if at + 1 == len(way.hops))
    return any(way.portal.dns is not None and way.portal.dns.at_exit for way in ends)


def lay_own_dns(here: Here, address: Address) -> tuple[HostDns, ...]:
    """Point the host's own programs at the resolver that is theirs, where a portal says how names are resolved."""
    own = any(way.portal.source.kind is PlaceKind.HOST for way in asking(here))
    return (HostDns(here.devices[0], (address,), ()),) if own and here.devices else ()


def judge_address(here: Here, lan: str) -> IPv4Address:
    """Give the loopback address at which a LAN's answers are judged: its name says which, others do not."""
    taken: set[int] = set()
    at = 0
    for name in sorted(way.portal.source.lan for way in asking(here)):
        at = 256 + crc32(name.encode()) % 0xF000
        while at in taken:
            at += 1
        taken.add(at)
        if name == lan:
            break
    return IPv4Address(JUDGES + (here.ledger.slot << 16) + at)


def by_uplink(here: Here, way: Way, family: Family) -> Iterator[tuple[Prefix, int]]:
    """List the resolvers, with their ports, that are asked directly although the host's own traffic is not."""
    directly = [(one.address, one.port) for one in _dns(way).domestic] if way.portal.dns is not None else []
    directly += [(one.address, one.port) for one in _for_endpoints(here, way)] if way.portal.dns is not None else []
    for address, port in dict.fromkeys(directly):
        if address.version == family:
            yield host_prefix(address), port


def _for_endpoints(here: Here, way: Way) -> Iterator[Upstream]:
    """Have the names of endpoints asked directly: through a tunnel that is down, nobody could learn where it goes.

    The domestic side is asked, or else whoever the host asked before.
    """
    endpoints = (peer.endpoint.host for peer in here.peers if peer.endpoint is not None)
    names = tuple(dict.fromkeys(host for host in endpoints if not _is_address(host)))
    plain = [one for one in _dns(way).domestic if one.transport is Transport.PLAIN]
    asked = [(one.address, one.port) for one in plain] or [(address, 53) for address in here.surroundings.resolvers]
    for address, port in asked if names else ():
        if address.version in here.usable and not _is_near(here, address):
            yield Upstream(address, here.host.uplink, port, names)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def led_by_port(here: Here, family: Family) -> Iterator[tuple[Prefix, int, int]]:
    """List resolvers that no device can be bound for, with port and table: the agent chooses among the exits."""
    seen: set[tuple[Prefix, int]] = set()
    for way in asking(here):
        for one in _dns(way).trusted if way.portal.by_agent else ():
            key = host_prefix(one.address), one.port
            if one.address.version == family and key not in seen and not _is_near(here, one.address):
                seen.add(key)
                yield *key, table_of(here, way)


def _judge(here: Here, way: Way) -> Service:
    dns, portal = _dns(way), way.portal
    network = here.fabric.network
    asked = [Asked(one, True, here.host.uplink) for one in dns.domestic]
    asked += [Asked(one, False, _by(here, way, one)) for one in dns.trusted]
    asked += [Asked(Resolver(address)) for address in (_exit_addresses(here, way) if dns.at_exit else ())]
    excepted, only = ((use for use in uses if isinstance(use, SetUse)) for uses in (portal.excepted, portal.only))
    config = DnsConfig(
        address=judge_address(here, portal.source.lan),
        port=53,
        asked=tuple(asked),
        judged=dns.judged,
        fast=dns.privacy is Privacy.FAST,
        domestic=tuple(_domestic(here, way)),
        domestic_names=_known(network, (*dns.domestic_names, *(use.name for use in excepted))),
        trusted_names=_known(network, (*dns.trusted_names, *(use.name for use in only))),
    )
    who = portal.source.lan or "this host's own programs"
    why = f"names for {who}: {'two sides are judged' if dns.judged else 'asked by TLS or HTTPS'}"
    text = write_config(config, f"Made by warren for the network {network.name}: {why}.")
    return Service(f"dns-{portal.source.lan or 'own'}", Program.RESOLVER, text, why=why)


def _known(network: Network, names: tuple[str, ...]) -> tuple[str, ...]:
    """Put what lists hold in their place; a country is no name."""
    found = (network.named_domains(name) if ":" in name else (name,) for name in names)
    return tuple(dict.fromkeys(one for held in found for one in held))


def _domestic(here: Here, way: Way) -> Iterator[Prefix]:
    for one in way.portal.judged_by:
        if isinstance(one, SetUse):
            for family in (Family.IPV4, Family.IPV6):
                yield from here.fabric.network.named_prefixes(one.name, family)
        else:
            yield one


def _by(here: Here, way: Way, one: Resolver) -> str:
    """Name the device by which a trusted resolver is asked; one within the network is found by its routes alone."""
    return "" if way.portal.by_agent or _is_near(here, one.address) else here.device(way.hops[1])


def _is_near(here: Here, address: Address) -> bool:
    family = Family(address.version)
    return any(covers(prefix, host_prefix(address)) for prefix in (*here.near(family), *here.apart))


def _exit_addresses(here: Here, way: Way) -> tuple[Address, ...]:
    """Give an address of each exit in the tunnels, the preferred exit's first."""
    found = []
    for one in ways_of(here.fabric.network, way.portal):
        addresses = here.fabric.locked(one.hops[-1]).addresses
        found.append(next(address for address in addresses if address.version in here.carried))
    return tuple(found)


def _dns(way: Way) -> Dns:
    assert way.portal.dns is not None
    return way.portal.dns
