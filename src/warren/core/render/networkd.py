"""A host's state for systemd-networkd (systemd.netdev(5), systemd.network(5)).

/etc/systemd/network/70-warren-portals.netdev     each device: WireGuard's side of it
/etc/systemd/network/70-warren-portals.network    and its addresses and routes
/etc/systemd/network/60-warren-portals.network    for `lo`, which is always there: rules, and what is unreachable
/etc/systemd/network/warren-portals.key           the keys, which networkd must be able to read
/etc/systemd/system/warren-portals.service        loads the firewall, before there is any network
/etc/sysctl.d/70-warren-portals.conf              udev sets those of a device when it appears
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.core.render.ip import rule_words
from warren.core.render.networkd_rules import rule_lines, translated
from warren.core.render.systemd import Section, not_done, surrounding_files, surrounding_steps, unit_text
from warren.core.render.tree import SECRET_MODE, File, Rendered, Secret, preshared_key, private_key, unspoken
from warren.core.render.unsaid import Unsaid
from warren.core.render.wg import placeholder
from warren.model.state import HostState, Peer, Route, RouteKind, WgInterface

NETWORK = "etc/systemd/network"
SPOKEN = ("routes", "rules", "tables", "sysctls", "consents", "dns", "forget", "lan_addresses", "services", "names")


def render_networkd(state: HostState) -> Rendered:
    """Render a host for systemd-networkd."""
    unsaid = (*_lost(state), *unspoken(state, "systemd-networkd", SPOKEN))
    return Rendered(tuple(_files(state)), unsaid, tuple(_steps(state)))


def _files(state: HostState) -> Iterator[File]:
    ours = {interface.name for interface in state.interfaces}
    if state.rules or any(route.device not in ours for route in state.routes):
        shared = [route for route in state.routes if route.device not in ours]
        yield File(f"{NETWORK}/60-{state.table_name}.network", unit_text(_loopback(state, shared)))
    for interface in state.interfaces:
        base = f"{NETWORK}/70-warren-{interface.name}"
        routes = [route for route in state.routes if route.device == interface.name]
        yield File(f"{base}.netdev", unit_text(_netdev(state, interface)))
        yield File(f"{base}.network", unit_text(_network(state, interface, routes)))
    for path, secret in _keys(state).items():
        yield File(path, f"{placeholder(0)}\n", SECRET_MODE, (secret,))
    yield from surrounding_files(state)


# --- devices ---------------------------------------------------------------------------------------------


def _netdev(state: HostState, interface: WgInterface) -> Iterator[Section]:
    yield "NetDev", [f"Name={interface.name}", "Kind=wireguard", f"MTUBytes={interface.mtu}"]
    lines = [f"PrivateKeyFile=/{_key_path(state, interface)}"]
    if interface.listen_port:
        lines.append(f"ListenPort={interface.listen_port}")
    if interface.fwmark:
        lines.append(f"FirewallMark={interface.fwmark:#x}")
    yield "WireGuard", [*lines, "RouteTable=off"]
    for peer in interface.peers:
        yield "WireGuardPeer", list(_peer(state, peer))


def _peer(state: HostState, peer: Peer) -> Iterator[str]:
    if peer.name:
        yield f"# {peer.name}"
    yield f"PublicKey={peer.public_key}"
    if peer.psk is not None:
        yield f"PresharedKeyFile=/{_psk_path(state, peer)}"
    yield from (f"AllowedIPs={prefix}" for prefix in peer.allowed_ips)
    if peer.endpoint is not None:
        yield f"Endpoint={peer.endpoint}"
    if peer.keepalive:
        yield f"PersistentKeepalive={peer.keepalive}"


def _network(state: HostState, interface: WgInterface, routes: Sequence[Route]) -> Iterator[Section]:
    yield "Match", [f"Name={interface.name}"]
    yield "Link", ["RequiredForOnline=no"]
    lines = ["LinkLocalAddressing=no", "IPv6AcceptRA=no"]
    for config in state.dns:
        if config.device == interface.name:
            lines += [f"DNS={server}" for server in config.servers]
            # `~.` asks these servers for every name, as wg-quick does it.
            lines += [f"Domains={' '.join((*config.search, '~.'))}"] if config.servers else []
    yield "Network", lines
    yield from (("Address", [f"Address={address}"]) for address in interface.addresses)
    yield from (("Route", _route(route)) for route in _ordered(routes))


def _loopback(state: HostState, routes: Sequence[Route]) -> Iterator[Section]:
    """Say what has no device of ours. Whatever others gave `lo` stays."""
    yield "Match", ["Name=lo"]
    yield "Link", ["RequiredForOnline=no"]
    yield "Network", ["KeepConfiguration=static", "LinkLocalAddressing=no", "IPv6AcceptRA=no"]
    yield from (("Route", _route(route)) for route in _ordered(routes))
    yield from (("RoutingPolicyRule", rule_lines(one)) for _, said in translated(state.rules) for one in said)


def _ordered(routes: Sequence[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (route.prefix.version, route.kind is RouteKind.UNICAST))


def _route(route: Route) -> list[str]:
    lines = [f"Destination={route.prefix}", f"Table={route.table}"]
    if route.via is not None:
        lines.append(f"Gateway={route.via}")
    if route.kind is not RouteKind.UNICAST:
        lines.append(f"Type={route.kind.value}")
    if route.source is not None:
        lines.append(f"PreferredSource={route.source}")
    if route.metric:
        lines.append(f"Metric={route.metric}")
    if route.mtu:
        lines.append(f"MTUBytes={route.mtu}")
    return [*lines, f"Protocol={route.protocol}"]


# --- keys ------------------------------------------------------------------------------------------------


def _key_path(state: HostState, interface: WgInterface) -> str:
    """Say where the private key goes: a network's devices share it."""
    return f"{NETWORK}/{interface.name if state.is_conf else state.table_name}.key"


def _psk_path(state: HostState, peer: Peer) -> str:
    return f"{NETWORK}/{state.table_name}-{peer.name or peer.public_key.replace('/', '_')}.psk"


def _keys(state: HostState) -> dict[str, Secret]:
    """Pair the files that hold a key with what belongs into them."""
    found: dict[str, Secret] = {}
    for interface in state.interfaces:
        found[_key_path(state, interface)] = private_key(state, interface)
        for peer in interface.peers:
            if peer.psk is not None:
                found[_psk_path(state, peer)] = preshared_key(peer.psk, peer)
    return found


# --- what is left ----------------------------------------------------------------------------------------


def _lost(state: HostState) -> Iterator[Unsaid]:
    for rule, said in translated(state.rules):
        if not said:
            yield Unsaid(
                f"the {rule.family.word} rule `{rule_words(rule)}`",
                "systemd-networkd takes a mark of 0 for none",
                f"in a unit of your own, run: ip -{rule.family.value} rule add {rule_words(rule)}",
            )
    yield from not_done(state, "networkd", "the .network file of {device} says IPv6AcceptRA=yes")


def _steps(state: HostState) -> Iterator[str]:
    if not state.interfaces:
        return
    yield f"copy the files to {state.host}, as root"
    names = " ".join(f"/{path}" for path in _keys(state))
    yield f"chgrp systemd-network {names}; chmod 640 {names}"
    yield from surrounding_steps(state)
    yield "networkctl reload"
