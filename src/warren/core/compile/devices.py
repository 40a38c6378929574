"""Tunnel devices: peers, allowed IPs, endpoints, MTU.

A peer of a dedicated device may send from any address in the families whose portals go through it; on the
shared device each peer is held to what it owns.
"""

from __future__ import annotations

from ipaddress import ip_interface

from warren.core.compile.here import Here
from warren.model.key import SecretRef
from warren.model.network import Endpoint, Host
from warren.model.prefix import Family, Prefix
from warren.model.state import OUTER_MARK, Peer, WgInterface

ETHERNET = 1500
# WireGuard's overhead (its paper, section 5.4): IP header, UDP 8, type and counter 16, tag 16.
OVERHEAD = {Family.IPV4: 60, Family.IPV6: 80}
KEEPALIVE = 25  # seconds; under the 30 s that many NATs keep a UDP mapping


def lay_devices(here: Here) -> tuple[WgInterface, ...]:
    """Lay out a host's WireGuard devices with their peers."""
    peers: dict[str, list[Peer]] = {name: [] for name in here.devices}
    mtu: dict[str, int] = {}
    for host in here.peers:
        name = here.device(host.name)
        peers[name].append(_peer(here, host))
        mtu[name] = min(mtu.get(name, ETHERNET), link_mtu(here, host))
    addresses = tuple(ip_interface(address) for address in here.locked.addresses if address.version in here.carried)
    return tuple(
        WgInterface(
            name=device.name,
            public_key=here.host.key,
            private_key=SecretRef(here.host.private_key),
            listen_port=device.port,
            fwmark=OUTER_MARK,
            mtu=mtu[device.name],
            addresses=addresses,
            peers=tuple(peers[device.name]),
        )
        for device in here.locked.devices
        if device.name in peers
    )


def link_mtu(here: Here, peer: Host) -> int:
    """Compute the MTU of the tunnel to a peer: the uplink's less the overhead, or what either end writes out.

    Without a literal IPv4 endpoint the outer packets may be IPv6, whose header is 20 bytes longer.
    """
    families = here.fabric.endpoint_family
    known = {families[name] for name in (here.host.name, peer.name) if name in families}
    overhead = OVERHEAD[Family.IPV4 if known == {Family.IPV4} else Family.IPV6]
    link = here.surroundings.link_by_name.get(here.host.uplink)
    computed = here.host.mtu or (link.mtu if link else ETHERNET) - overhead
    return min(computed, peer.mtu or computed)


def _peer(here: Here, peer: Host) -> Peer:
    endpoint = None
    if peer.endpoint is not None:
        endpoint = Endpoint(peer.endpoint.host, here.fabric.port(peer.name, here.host.name))
    psk_path = dict(here.host.psk).get(peer.name, "")
    return Peer(
        public_key=peer.key,
        allowed_ips=_allowed_ips(here, peer.name),
        endpoint=endpoint,
        keepalive=KEEPALIVE if endpoint is not None and here.host.endpoint is None else 0,
        psk=SecretRef(psk_path) if psk_path else None,
        psk_fingerprint=dict(here.surroundings.secrets).get(psk_path, "") if psk_path else "",
        name=peer.name,
    )


def any_address(here: Here, peer: str) -> tuple[Family, ...]:
    """List the families in which a peer may send from any address: of portals through it, and of what it publishes."""
    wanted = {
        family
        for way, at in here.fabric.network.ways_by_host.get(here.host.name, ())
        if at + 1 < len(way.hops) and way.hops[at + 1] == peer
        for family in way.portal.families
    }
    wanted |= {one.family for one in (here.opened_by(peer) if peer in here.gateways else ()) if one.kept}
    return tuple(family for family in here.carried if family in wanted)


def _allowed_ips(here: Here, peer: str) -> tuple[Prefix, ...]:
    anything = any_address(here, peer) if peer in here.dedicated else ()
    reached = here.fabric.reached(here.host.name, peer)
    if not anything and len(here.carried) == len(here.fabric.network.families):
        return reached
    return tuple(family.everything for family in anything) + tuple(
        prefix for prefix in reached if prefix.version in here.carried and prefix.version not in anything
    )
