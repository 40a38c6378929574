"""Turn a conf into what its host must be: the same HostState a network gives, under the owner `conf:NAME`.

The numbers are those of wg-quick(8), except where that leaks or disturbs others; tests/sys/test_wg_quick.py lists
each difference. Everything carries protocol 77, by which warren knows its own again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from warren.core.conf.conf import AUTO, OFF, Conf, ConfPeer
from warren.core.conf.full import full_rules, full_sysctls, full_table, table_routes
from warren.core.conf.numbers import Numbers, choose_numbers
from warren.core.conf.values import order
from warren.model.key import PublicKey, SecretRef
from warren.model.prefix import FAMILIES, Family, Interface, Prefix, covers
from warren.model.state import MAIN, DnsConfig, HostState, Peer, Route, WgInterface
from warren.model.surroundings import Surroundings

OVERHEAD = 80  # an outer IPv6 header, UDP, and WireGuard's own (40 + 8 + 32)
ETHERNET = 1500
IPV6_LEAST = 1280  # RFC 8200 section 5
NO_KEY = SecretRef("")  # the conf names none: a hook sets it
UNKNOWN_KEY = PublicKey("")


def compile_conf(
    conf: Conf,
    surroundings: Surroundings,
    *,
    public_key: PublicKey = UNKNOWN_KEY,
    path_mtu: int | None = None,
    others: Iterable[HostState] = (),
    previous: HostState | None = None,
    host: str = "",
) -> HostState:
    """Compile a conf for one host; pure.

    `public_key` is that of the conf's private key (empty if it has none). `path_mtu` is the least MTU of the routes
    to the peers' endpoints, in bytes. `others` are the applied states of warren's other owners here, `previous` is
    that of this conf: a tunnel keeps its mark, table and rules while it lives.
    """
    conf = replace(conf, peers=tuple(peer for peer in conf.peers if peer.public_key != public_key))
    usable = FAMILIES if surroundings.ipv6 else (Family.IPV4,)
    full = tuple(family for family in conf.full if family in usable)
    numbers = choose_numbers(conf, surroundings, others, previous) if full else None
    addresses = tuple(address for address in conf.addresses if address.version in usable)
    interface = WgInterface(
        name=conf.name,
        public_key=public_key,
        private_key=conf.private_key or NO_KEY,
        listen_port=conf.listen_port,
        fwmark=numbers.table if numbers else conf.fwmark,
        mtu=conf.mtu or _mtu(path_mtu, addresses),
        addresses=addresses,
        peers=tuple(sorted(map(_peer, conf.peers), key=lambda peer: peer.public_key)),
    )
    return HostState(
        host=host,
        owner=conf.owner,
        backend=surroundings.backend,
        interfaces=(interface,),
        routes=tuple(_routes(conf, addresses, usable, numbers)),
        rules=full_rules(numbers, full) if numbers else (),
        tables=(full_table(conf, numbers, full, addresses),) if numbers else (),
        sysctls=full_sysctls(full, surroundings),
        dns=(DnsConfig(conf.name, conf.dns, conf.search),) if conf.dns else (),
        hooks=conf.hooks,
    )


def notes(conf: Conf, surroundings: Surroundings, public_key: PublicKey = UNKNOWN_KEY) -> tuple[str, ...]:
    """Say what this host does not get of a conf, and why; empty where nothing is missing."""
    told = [
        f"the peer in line {peer.at.line if peer.at else '?'} has this tunnel's own key: WireGuard takes no such peer"
        for peer in conf.peers
        if peer.public_key == public_key
    ]
    if not surroundings.ipv6:
        without = [f"the address {address}" for address in conf.addresses if address.version == 6]
        routes = sum(prefix.version == 6 for peer in conf.peers for prefix in peer.allowed_ips)
        without += [f"{routes} IPv6 route{'' if routes == 1 else 's'}"] if routes and conf.table != OFF else []
        told += [f"IPv6 is disabled on this host: left out {thing}" for thing in without]
    return tuple(told)


def _mtu(path_mtu: int | None, addresses: tuple[Interface, ...]) -> int:
    """Leave room for the outer headers, but never so little that the kernel turns IPv6 off on the device."""
    room = (path_mtu or ETHERNET) - OVERHEAD
    return max(room, IPV6_LEAST) if any(address.version == 6 for address in addresses) else room


def _peer(peer: ConfPeer) -> Peer:
    return Peer(
        public_key=peer.public_key,
        allowed_ips=peer.allowed_ips,
        endpoint=peer.endpoint,
        keepalive=peer.keepalive,
        psk=peer.psk,
        psk_fingerprint=peer.psk_fingerprint,
    )


def _routes(
    conf: Conf, addresses: tuple[Interface, ...], usable: tuple[Family, ...], numbers: Numbers | None
) -> Iterator[Route]:
    """Give a route for each allowed prefix, in the table that `Table` asks for.

    In main, wg-quick leaves out what the device's own subnets cover already, and defaults have a table of theirs.
    """
    if conf.table == OFF:
        return
    prefixes = sorted((p for peer in conf.peers for p in peer.allowed_ips if p.version in usable), key=order)
    if conf.table != AUTO:
        yield from (Route(prefix, conf.table, conf.name) for prefix in prefixes)
        return
    connected = tuple(network for network in map(_connected, addresses) if network is not None)
    for prefix in prefixes:
        if prefix.prefixlen and not any(covers(network, prefix) for network in connected):
            yield Route(prefix, MAIN, conf.name)
    if numbers:
        yield from table_routes(conf, numbers, [prefix for prefix in prefixes if not prefix.prefixlen])


def _connected(address: Interface) -> Prefix | None:
    """Give the route that the kernel makes of an address by itself; a lone IPv4 address gets none."""
    network = address.network
    return None if network.version == 4 and network.prefixlen == 32 else network
