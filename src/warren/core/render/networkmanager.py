"""A host's state for NetworkManager: a keyfile for each device (nm-settings-keyfile(5)), which NetworkManager keeps up.

    /etc/NetworkManager/system-connections/portals.nmconnection     a device: peers, addresses, routes, keys
    /etc/systemd/system/warren-portals.service                      the firewall, of which NetworkManager knows nothing

The first connection also carries what belongs to no device: the rules and what is unreachable. Peers get no routes of
their own and no default route by itself (peer-routes, ip4-auto-default-route): all routes are written out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.core.render.ip import prefix_word, route_words, rule_words
from warren.core.render.networkd_rules import translated
from warren.core.render.systemd import Section, not_done, surrounding_files, surrounding_steps, unit_text
from warren.core.render.tree import SECRET_MODE, File, Rendered, Secret, preshared_key, private_key, unspoken
from warren.core.render.unsaid import Unsaid
from warren.core.render.wg import placeholder
from warren.model.prefix import FAMILIES, Family, family_of
from warren.model.state import Action, HostState, Peer, Route, RouteKind, Rule, WgInterface

CONNECTIONS = "etc/NetworkManager/system-connections"
SPOKEN = ("routes", "rules", "tables", "sysctls", "consents", "dns", "forget", "lan_addresses", "services", "names")
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58}


def render_networkmanager(state: HostState) -> Rendered:
    """Render a host for NetworkManager."""
    ours = {interface.name for interface in state.interfaces}
    files: list[File] = []
    for interface in state.interfaces:
        own = [route for route in state.routes if route.device == interface.name]
        shared = [route for route in state.routes if route.device not in ours]
        files.append(_connection(state, interface, own, () if files else state.rules, () if files else shared))
    unsaid = (*_lost(state), *unspoken(state, "NetworkManager", SPOKEN))
    return Rendered((*files, *surrounding_files(state)), unsaid, tuple(_steps(state)))


def _connection(
    state: HostState, interface: WgInterface, own: Sequence[Route], rules: Sequence[Rule], shared: Sequence[Route]
) -> File:
    secrets = [private_key(state, interface)]
    sections: list[Section] = [
        ("connection", (f"id={interface.name}", "type=wireguard", f"interface-name={interface.name}")),
        ("wireguard", tuple(_device(interface))),
    ]
    sections += [(f"wireguard-peer.{peer.public_key}", tuple(_peer(peer, secrets))) for peer in interface.peers]
    ordered = sorted((*own, *shared), key=lambda route: route.kind is RouteKind.UNICAST)
    for family in FAMILIES:
        routes = [route for route in ordered if route.prefix.version == family]
        said = [one for rule, those in translated(rules) if rule.family == family for one in those]
        sections.append((f"ipv{family.value}", tuple(_family(state, interface, family, routes, said))))
    return File(f"{CONNECTIONS}/{interface.name}.nmconnection", unit_text(sections), SECRET_MODE, tuple(secrets))


def _device(interface: WgInterface) -> Iterator[str]:
    yield f"private-key={placeholder(0)}"
    yield "private-key-flags=0"
    if interface.listen_port:
        yield f"listen-port={interface.listen_port}"
    if interface.fwmark:
        yield f"fwmark={interface.fwmark}"
    if interface.mtu:
        yield f"mtu={interface.mtu}"
    yield from ("peer-routes=false", "ip4-auto-default-route=0", "ip6-auto-default-route=0")


def _peer(peer: Peer, secrets: list[Secret]) -> Iterator[str]:
    if peer.name:
        yield f"# {peer.name}"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    if peer.psk is not None:
        yield f"preshared-key={placeholder(len(secrets))}"
        yield "preshared-key-flags=0"
        secrets.append(preshared_key(peer.psk, peer))
    if peer.keepalive:
        yield f"persistent-keepalive={peer.keepalive}"
    if peer.allowed_ips:
        yield f"allowed-ips={''.join(f'{prefix};' for prefix in peer.allowed_ips)}"


def _family(
    state: HostState, interface: WgInterface, family: Family, routes: Sequence[Route], rules: Sequence[Rule]
) -> Iterator[str]:
    """Write [ipv4] or [ipv6]."""
    addresses = [address for address in interface.addresses if family_of(address) == family]
    if not addresses and (family is Family.IPV4 or not (routes or rules)):
        yield "method=disabled"
        return
    # Without an address of ours, IPv6 still has routes and rules where it has a link-local address.
    yield "method=manual" if addresses else "method=link-local"
    yield from (f"address{at}={address}" for at, address in enumerate(addresses, 1))
    yield from _dns(state, interface, family)
    for at, route in enumerate(routes, 1):
        yield f"route{at}={_route(route)}"
        yield f"route{at}_options={_options(route)}"
    yield from (f"routing-rule{at}={routing_rule(rule)}" for at, rule in enumerate(rules, 1))


def _dns(state: HostState, interface: WgInterface, family: Family) -> Iterator[str]:
    """Have these servers asked for every name, as wg-quick does it."""
    for config in state.dns:
        servers = [server for server in config.servers if server.version == family]
        if config.device == interface.name and servers:
            yield f"dns={''.join(f'{server};' for server in servers)}"
            yield f"dns-search={''.join(f'{word};' for word in ('~.', *config.search))}"
            yield "dns-priority=-50"


def _route(route: Route) -> str:
    if route.via is None and not route.metric:
        return str(route.prefix)
    nowhere = "0.0.0.0" if route.prefix.version == 4 else "::"
    metric = f",{route.metric}" if route.metric else ""
    return f"{route.prefix},{route.via or nowhere}{metric}"


def _options(route: Route) -> str:
    words = [f"mtu={route.mtu}"] if route.mtu else []
    if route.source is not None:
        words.append(f"src={route.source}")
    words.append(f"table={route.table}")
    if route.kind is not RouteKind.UNICAST:
        words.append(f"type={route.kind.value}")
    return ",".join(words)


def routing_rule(rule: Rule) -> str:
    """Write a rule as nm-settings(5) has it: nearly ip-rule(8)'s words, in an order of its own."""
    words = [f"priority {rule.priority}"]
    if rule.invert:
        words.append("not")
    if rule.source is not None or rule.destination is None:
        words.append(f"from {prefix_word(rule.source or rule.family.everything)}")
    if rule.destination is not None:
        words.append(f"to {prefix_word(rule.destination)}")
    if rule.iif:
        words.append(f"iif {rule.iif}")
    if rule.oif:
        words.append(f"oif {rule.oif}")
    if rule.mark:
        mask = f"/{rule.mark_mask:#x}" if rule.mark_mask not in (0, 0xFFFFFFFF) else ""
        words.append(f"fwmark {rule.mark:#x}{mask}")
    if rule.ipproto:
        words.append(f"ipproto {_PROTOCOLS.get(rule.ipproto, rule.ipproto)}")
    if rule.sport:
        words.append(f"sport {rule.sport}")
    if rule.dport:
        words.append(f"dport {rule.dport}")
    if rule.suppress_prefixlength >= 0:
        words.append(f"suppress_prefixlength {rule.suppress_prefixlength}")
    words.append(f"table {rule.table}" if rule.action is Action.LOOKUP else f"type {rule.action.value}")
    return " ".join(words)


def _lost(state: HostState) -> Iterator[Unsaid]:
    for rule, said in translated(state.rules):
        if not said:
            yield Unsaid(
                f"the {rule.family.word} rule `{rule_words(rule)}`",
                "it asks for a mark of 0, which is not to be relied on there",
                f"in a dispatcher script, run: ip -{rule.family.value} rule add {rule_words(rule)}",
            )
    yield from _without_address(state)
    accept = "the connection of {device} has ipv6.method auto; then there is nothing to do"
    yield from not_done(state, "NetworkManager", accept)


def _without_address(state: HostState) -> Iterator[Unsaid]:
    """Name the IPv4 that a connection without an IPv4 address does not take."""
    ours = {interface.name for interface in state.interfaces}
    for at, interface in enumerate(state.interfaces):
        if any(address.version == 4 for address in interface.addresses):
            continue
        lost = [
            f"ip route add {route_words(route)}"
            for route in state.routes
            if route.prefix.version == 4 and (route.device == interface.name or not (at or route.device in ours))
        ]
        if not at:
            lost += [f"ip rule add {rule_words(rule)}" for rule in state.rules if rule.family == Family.IPV4]
        for line in lost:
            yield Unsaid(
                f"`{line}`",
                f"{interface.name} has no IPv4 address, and NetworkManager then takes no IPv4 routes or rules",
                "run it in a dispatcher script",
            )


def _steps(state: HostState) -> Iterator[str]:
    if not state.interfaces:
        return
    yield f"copy the files to {state.host}, as root, with their modes: NetworkManager reads no keyfile that others can"
    yield from surrounding_steps(state)
    yield "nmcli connection reload"
    yield from (f"nmcli connection up {interface.name}" for interface in state.interfaces)
