"""/etc/config/network: interfaces with their peers, routes and rules, in netifd's words.

What netifd does not say as ip does:

- A rule's `in` names an interface of netifd's, not a device. A LAN's device gets one more interface, without a protocol
  or with the addresses that we add, as `wan6` stands beside `wan`; locally made packets are `loopback`'s.
- What goes nowhere belongs to `loopback` too, which is always up.
- A metric is a signed number there, so BEHIND is the largest of those.
- `source` of a route is the address to send from in IPv4, but in IPv6 the packets it is for. There the kernel takes the
  device's own address by itself (RFC 6724 rule 5).
- It knows no ports: rules with such are made by our script, each time that an interface has come up.
- No host routes to endpoints (`nohostroute`) and none from allowed IPs: rules and tables do that.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2s

from warren.core.render.openwrt.names import safe, section_name
from warren.core.render.openwrt.uci import TAG, Section
from warren.core.render.unsaid import Unsaid
from warren.model.endpoint import Endpoint
from warren.model.state import BEHIND, MAIN, Action, HostState, Peer, Route, RouteKind, Rule, WgInterface

LARGEST_METRIC = 2**31 - 1
LOOPBACK = "loopback"
Options = list[tuple[str, str | tuple[str, ...]]]


def network_sections(state: HostState) -> Iterator[Section]:
    """List the sections of /etc/config/network."""
    for interface in state.interfaces:
        yield _interface(state, interface)
        for at, peer in enumerate(interface.peers):
            yield _peer(state, interface, at, peer)
    for device in foreign_devices(state):
        given = [one.address for one in state.lan_addresses if one.device == device]
        options: Options = [("proto", "static" if given else "none"), ("device", device)]
        for option, version in (("ipaddr", 4), ("ip6addr", 6)):
            own = tuple(str(address) for address in given if address.version == version)
            options += [(option, own)] if own else []
        yield _section(state, "interface", on_device(state, device), options)
    for at, route in enumerate(state.routes):
        yield _section(state, f"route{_six(route.prefix.version)}", _numbered(state, "route", at), _route(route))
    for at, rule in enumerate(state.rules):
        if _can_say(rule):
            options = list(_rule(state, rule))
            yield _section(state, f"rule{_six(rule.family)}", _numbered(state, "rule", at), options)


def network_unsaid(state: HostState) -> Iterator[Unsaid]:
    """Name the routes that netifd has no words for."""
    for route in state.routes:
        if route.source is not None and route.prefix.version == 6 and not _held(state, route):
            yield Unsaid(
                f"the address {route.source} to send from, of the route to {route.prefix}",
                "netifd has no word for it in IPv6, and the device has another address",
            )


def more_rules(state: HostState) -> tuple[Rule, ...]:
    """List the rules that netifd has no words for, which a script has to make: those with protocols and ports."""
    return tuple(rule for rule in state.rules if not _can_say(rule))


def foreign_devices(state: HostState) -> tuple[str, ...]:
    """Name the devices of others that rules speak of, or that get addresses of ours."""
    own = {interface.name for interface in state.interfaces} | {"lo"}
    ruled = {name for rule in state.rules for name in (rule.iif, rule.oif) if name}
    return tuple(sorted((ruled | {one.device for one in state.lan_addresses}) - own))


def on_device(state: HostState, device: str) -> str:
    """Name the interface that we put on a device of others: 15 letters at most, and another one for each network."""
    digest = blake2s(f"{state.owner}/{device}".encode(), digest_size=2).hexdigest()
    return f"w_{safe(device)[:8]}_{digest}"


def peer_section(state: HostState, interface: WgInterface, at: int) -> str:
    """Name the section of a device's peer."""
    return section_name(state.owner, "peer", interface.name, str(at + 1))


def _numbered(state: HostState, kind: str, at: int) -> str:
    return section_name(state.owner, kind, str(at + 1))


def _section(state: HostState, kind: str, name: str, options: Options) -> Section:
    return Section("network", kind, name, ((TAG, safe(state.owner)), *options))


def _interface(state: HostState, interface: WgInterface) -> Section:
    options: Options = [
        ("proto", "wireguard"),
        ("listen_port", str(interface.listen_port)),
        ("mtu", str(interface.mtu)),
        ("fwmark", f"{interface.fwmark:#x}"),
        ("nohostroute", "1"),
        ("addresses", tuple(str(address) for address in interface.addresses)),
    ]
    return _section(state, "interface", interface.name, options)


def _peer(state: HostState, interface: WgInterface, at: int, peer: Peer) -> Section:
    options: Options = [("description", peer.name or peer.public_key), ("public_key", peer.public_key)]
    options += [("allowed_ips", tuple(str(prefix) for prefix in peer.allowed_ips)), ("route_allowed_ips", "0")]
    options += _endpoint(peer.endpoint) if peer.endpoint is not None else []
    options += [("persistent_keepalive", str(peer.keepalive))] if peer.keepalive else []
    return _section(state, f"wireguard_{interface.name}", peer_section(state, interface, at), options)


def _endpoint(endpoint: Endpoint) -> Options:
    return [("endpoint_host", endpoint.host), ("endpoint_port", str(endpoint.port))]


def _route(route: Route) -> Options:
    options: Options = [("interface", route.device or LOOPBACK), ("target", str(route.prefix))]
    options += [("type", route.kind.value)] if route.kind is not RouteKind.UNICAST else []
    options += [("gateway", str(route.via))] if route.via is not None else []
    options += [("table", _table(route.table))]
    options += [("source", str(route.source))] if route.source is not None and route.source.version == 4 else []
    if route.metric:
        options += [("metric", str(LARGEST_METRIC if route.metric == BEHIND else route.metric))]
    options += [("mtu", str(route.mtu))] if route.mtu else []
    return [*options, ("proto", str(route.protocol))]


def _rule(state: HostState, rule: Rule) -> Iterator[tuple[str, str]]:
    yield "priority", str(rule.priority)
    if rule.invert:
        yield "invert", "1"
    if rule.source is not None:
        yield "src", str(rule.source)
    if rule.destination is not None:
        yield "dest", str(rule.destination)
    if rule.iif:
        yield "in", _interface_of(state, rule.iif)
    if rule.oif:
        yield "out", _interface_of(state, rule.oif)
    if rule.mark or rule.mark_mask:
        yield "mark", f"{rule.mark:#x}/{rule.mark_mask or 0xFFFFFFFF:#x}"
    if rule.action is Action.LOOKUP:
        yield "lookup", _table(rule.table)
    else:
        yield "action", rule.action.value
    if rule.suppress_prefixlength >= 0:
        yield "suppress_prefixlength", str(rule.suppress_prefixlength)


def _interface_of(state: HostState, device: str) -> str:
    if device == "lo":
        return LOOPBACK
    own = {interface.name for interface in state.interfaces}
    return device if device in own else on_device(state, device)


def _can_say(rule: Rule) -> bool:
    return not (rule.ipproto or rule.sport or rule.dport or rule.opaque)


def _held(state: HostState, route: Route) -> bool:
    held = {address.ip for one in state.interfaces if one.name == route.device for address in one.addresses}
    return route.source in held


def _table(table: int) -> str:
    return "main" if table == MAIN else str(table)


def _six(version: int) -> str:
    return "6" if version == 6 else ""
