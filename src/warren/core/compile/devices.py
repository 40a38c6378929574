"""Tunnel devices: peers, allowed IPs, endpoints, MTU.

A peer of a dedicated device may send from any address in the families whose portals go through it; on the
shared device each peer is held to what it owns.
"""

from __future__ import annotations

from ipaddress import ip_interface

from warren.core.compile.here import Here
from warren.core.compile.mtu import ETHERNET, guests_mtu, tunnel_mtu
from warren.model.device import Device
from warren.model.endpoint import Endpoint
from warren.model.host import Host
from warren.model.key import SecretRef
from warren.model.prefix import Family, Prefix
from warren.model.state import OUTER_MARK, Peer, WgInterface

KEEPALIVE = 25  # seconds; under the 30 s that many NATs keep a UDP mapping


def lay_devices(here: Here) -> tuple[WgInterface, ...]:
    """Lay out a host's WireGuard devices with their peers."""
    peers: dict[str, list[Peer]] = {name: [] for name in here.devices}
    mtu: dict[str, int] = {}
    for host in here.peers:
        name = here.device(host.name)
        peers[name].append(_peer(here, host))
        mtu[name] = min(mtu.get(name, ETHERNET), link_mtu(here, host))
    for guests in here.guests:
        peers[guests.device] = [_guest(here, device) for device in guests.members]
        mtu[guests.device] = guests_mtu(here.fabric, here.host.name, guests.dialled, guests.members, here.uplinks)
    unmarked = {guests.device for guests in here.guests if guests.nested}
    addresses = tuple(ip_interface(address) for address in here.locked.addresses if address.version in here.carried)
    return tuple(
        WgInterface(
            name=device.name,
            public_key=here.host.key,
            private_key=SecretRef(here.host.private_key),
            listen_port=device.port,
            fwmark=0 if device.name in unmarked else OUTER_MARK,
            mtu=mtu[device.name],
            addresses=addresses,
            peers=tuple(peers[device.name]),
        )
        for device in here.locked.devices
        if device.name in peers
    )


def link_mtu(here: Here, peer: Host) -> int:
    """Give the MTU of the tunnel to a peer."""
    return tunnel_mtu(here.fabric, here.host, peer, here.uplinks)


def _peer(here: Here, peer: Host) -> Peer:
    endpoint = None
    if peer.endpoint is not None:
        endpoint = Endpoint(peer.endpoint.host, here.fabric.port(peer.name, here.host.name))
    psk_path = dict(here.host.psk).get(peer.name, "")
    return Peer(
        public_key=peer.key,
        allowed_ips=_allowed_ips(here, peer.name),
        endpoint=endpoint,
        keepalive=KEEPALIVE if here.host.endpoint is None and (endpoint is not None or here.meets(peer.name)) else 0,
        psk=SecretRef(psk_path) if psk_path else None,
        psk_fingerprint=dict(here.surroundings.secrets).get(psk_path, "") if psk_path else "",
        name=peer.name,
    )


def _guest(here: Here, device: Device) -> Peer:
    """A device of `devices:`, which dials and is never dialled."""
    own = here.fabric.guest_addresses(device.name)
    carried = tuple(address for address in own if address.version in here.carried)
    return Peer(public_key=device.key, allowed_ips=carried, name=device.name)


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
