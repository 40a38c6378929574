"""The other side of a device of `devices:`: what a stock WireGuard app makes of the configuration it is given.

It is a wg-quick conf like any other, so it is compiled as one: the state says what the app will do, `render` writes the
conf, `walk` follows packets through it.

The network's prefixes always go into the tunnel, also those out of the device's reach: they are refused where the
tunnel ends, instead of being sent to whoever has such an address in a café.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from warren.core.compile.devices import KEEPALIVE
from warren.core.compile.fabric import Fabric
from warren.core.compile.guests import reached_prefixes, resolvers
from warren.core.compile.mtu import guests_mtu
from warren.core.conf.compile import compile_conf
from warren.core.conf.conf import Conf, ConfPeer
from warren.core.conf.values import order
from warren.model.device import Device
from warren.model.endpoint import Endpoint
from warren.model.key import SecretRef
from warren.model.lock import Lock, kept_for_devices
from warren.model.network import Network
from warren.model.prefix import FAMILIES, Prefix, aggregate, covers
from warren.model.state import HostState
from warren.model.surroundings import Surroundings


def compile_device(network: Network, lock: Lock, name: str, surroundings: Surroundings) -> HostState:
    """Compile a device's own side; KeyError if it is not of the network, or not locked.

    It is written once and then lies there, so it goes by the file alone: a way that carries less than the file says is
    for `verify` to find. The private key is on the device, and no file is named for it.
    """
    fabric = Fabric(network, lock)
    device = network.devices_by_name[name]
    into = network.by_name[device.into]
    dialled = network.dials(device)
    peer = ConfPeer(
        public_key=into.key,
        allowed_ips=tuple(sorted(_allowed_ips(fabric, device), key=order)),
        endpoint=_endpoint(fabric, device, dialled),
        keepalive=KEEPALIVE,  # so that the network reaches it too
    )
    conf = Conf(
        name=network.name,
        path=f"{network.name}.conf",
        private_key=SecretRef(""),
        addresses=tuple(ip_interface(address) for address in fabric.guest_addresses(name)),
        dns=tuple(resolver.network_address for resolver in resolvers(fabric, device)),
        mtu=guests_mtu(fabric, into.name, dialled, network.guests[into.name][dialled], {}),
        peers=(peer,),
    )
    state = compile_conf(conf, surroundings, public_key=device.key, host=name)
    named = (
        replace(tunnel, peers=tuple(replace(one, name=into.name) for one in tunnel.peers))
        for tunnel in state.interfaces
    )
    return replace(state, interfaces=tuple(named))


def _endpoint(fabric: Fabric, device: Device, dialled: str) -> Endpoint | None:
    """Give the address of the host that is dialled, with the port at which the device is held or published."""
    endpoint = fabric.network.by_name[dialled].endpoint
    port = fabric.locked(device.into).device(kept_for_devices(dialled)).port
    return Endpoint(endpoint.host, port) if endpoint is not None else None


def _allowed_ips(fabric: Fabric, device: Device) -> tuple[Prefix, ...]:
    families = fabric.network.families
    if device.full_tunnel:
        return tuple(family.everything for family in families)
    near = (prefix for family in FAMILIES for prefix in fabric.near[family])
    wanted = (
        *near,
        *reached_prefixes(fabric, device),
        *(one for one in resolvers(fabric, device) if _is_ours(fabric, one)),
    )
    return tuple(prefix for prefix in aggregate(wanted) if prefix.version in families)


def _is_ours(fabric: Fabric, resolver: Prefix) -> bool:
    """Say whether a resolver stands in the network; another's is asked past the tunnel."""
    return any(covers(prefix, resolver) for prefix in fabric.everything)
