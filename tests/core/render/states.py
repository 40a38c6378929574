"""A host's state made by hand: an entry with one portal, a LAN on the far side, a peer with a preshared key."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from warren.model.endpoint import Endpoint
from warren.model.firewall import (
    OUR_MANGLE,
    SRCNAT,
    Chain,
    Counter,
    Hook,
    IfName,
    MssClamp,
    NfProto,
    NftRule,
    Reject,
    Set,
    SetRef,
    SetType,
    Snat,
    Table,
    TcpSyn,
)
from warren.model.key import PublicKey, SecretRef, encode_key
from warren.model.prefix import FAMILIES, Family
from warren.model.state import (
    BEHIND,
    MAIN,
    MARK_MASK,
    OUTER_MARK,
    Action,
    Backend,
    ConsentRule,
    ForgetFlows,
    HostState,
    Peer,
    Route,
    RouteKind,
    Rule,
    Sysctl,
    WgInterface,
)

PARIS, TOKYO = (PublicKey(encode_key(bytes([n]) * 32)) for n in (1, 2))
NEAR, EXIT = 7700, 7701


def nyc(
    backend: Backend = Backend.KERNEL, key: str = "/etc/warren/private.key", psk: str = "/etc/warren/t.psk"
) -> HostState:
    """nyc.eth2 leaves by paris; tokyo is a plain peer with a preshared key."""
    addresses = (ip_interface("10.77.0.1/32"), ip_interface("fd77:7:7::1/128"))
    everything = tuple(family.everything for family in FAMILIES)
    paris = Peer(PARIS, everything, name="paris")
    tokyo = Peer(
        TOKYO,
        (ip_network("10.77.0.3/32"), ip_network("fd77:7:7::3/128")),
        Endpoint("203.0.113.30", 51820),
        25,
        SecretRef(psk),
        "0123456789abcdef",
        "tokyo",
    )
    shared = WgInterface("portals", PARIS, SecretRef(key), 51820, OUTER_MARK, 1420, addresses, (tokyo,))
    dedicated = replace(shared, name="portals-paris", listen_port=51821, peers=(paris,))
    routes = [Route(prefix, NEAR, "portals") for prefix in tokyo.allowed_ips]
    routes += [Route(ip_network("192.168.22.0/24"), NEAR, "portals-paris")]
    routes += [
        Route(ip_network(p), NEAR, kind=RouteKind.UNREACHABLE, metric=BEHIND) for p in ("10.77.0.0/24", "fd77:7:7::/64")
    ]
    rules = []
    for family in FAMILIES:
        source = ip_address("10.77.0.1") if family is Family.IPV4 else ip_address("fd77:7:7::1")
        routes.append(Route(family.everything, EXIT, "portals-paris", source=source))
        routes.append(Route(family.everything, EXIT, kind=RouteKind.UNREACHABLE, metric=BEHIND))
        rules += [
            Rule(family, 7700, MAIN, mark=OUTER_MARK, mark_mask=MARK_MASK),
            Rule(family, 7712, NEAR),
            Rule(family, 7730, action=Action.UNREACHABLE, mark_mask=MARK_MASK, invert=True),
            Rule(family, 7778, EXIT, iif="eth2"),
        ]
    return HostState(
        "nyc",
        "portals",
        backend,
        (shared, dedicated),
        tuple(routes),
        tuple(rules),
        (_table(),),
        (
            Sysctl("net.ipv4.ip_forward", "1", "packets pass between LANs, tunnels and the uplink"),
            Sysctl("net.ipv6.conf.eth0.accept_ra", "2", "forwarding would delete the learned default route"),
            Sysctl("net.ipv6.conf.all.forwarding", "1", "packets pass between LANs, tunnels and the uplink"),
            Sysctl("net.ipv4.conf.portals.rp_filter", "2", "answers come in by the tunnel"),
        ),
        (ConsentRule("docker", Family.IPV4, "forward-in", "portals-paris"),),
        forget=(ForgetFlows(ip_network("192.168.21.0/24"), "portal nyc.eth2 -> paris"),),
    )


def changed(state: HostState) -> HostState:
    """The same host a week later: tokyo's key is no longer preshared, the far LAN is another, a port moves."""
    shared, dedicated = state.interfaces
    tokyo = replace(
        shared.peers[0], psk=None, psk_fingerprint="", keepalive=0, endpoint=Endpoint("203.0.113.31", 51820)
    )
    routes = tuple(
        replace(route, prefix=ip_network("192.168.23.0/24")) if str(route.prefix) == "192.168.22.0/24" else route
        for route in state.routes
    )
    routes = tuple(replace(r, device="portals-paris") if str(r.prefix) == "10.77.0.3/32" else r for r in routes)
    table = state.tables[0]
    chains = tuple(c if c.name != "srcnat" else replace(c, rules=c.rules[:1]) for c in table.chains)
    return replace(
        state,
        interfaces=(replace(shared, peers=(tokyo,), mtu=1400), replace(dedicated, listen_port=51830)),
        routes=routes,
        rules=tuple(replace(rule, iif="eth3") if rule.iif == "eth2" else rule for rule in state.rules),
        tables=(replace(table, chains=chains),),
        consents=(),
        forget=(ForgetFlows(ip_network("192.168.21.0/24"), "portal nyc.eth3 -> paris"),),
    )


def _table() -> Table:
    tunnels = Set("tunnels", SetType.IFNAME, ("portals", "portals-paris"))
    guard = NftRule(
        (IfName("iif", ("eth2",)), IfName("oif", ("portals-paris",), negate=True)),
        (Counter(), Reject()),
        "portal nyc.eth2 -> paris",
    )
    clamp = NftRule((IfName("oif", SetRef("tunnels")), TcpSyn()), (MssClamp(),))
    out = IfName("oif", ("portals-paris",))
    snat = (
        NftRule((out, NfProto(Family.IPV4)), (Snat(ip_address("10.77.0.1")),)),
        NftRule((out, NfProto(Family.IPV6)), (Snat(ip_address("fd77:7:7::1")),)),
    )
    return Table(
        "warren-portals",
        (tunnels,),
        (
            Chain("forward", (guard,), Hook("filter", "forward", OUR_MANGLE)),
            Chain("postrouting", (clamp,), Hook("filter", "postrouting", OUR_MANGLE)),
            Chain("srcnat", snat, Hook("nat", "postrouting", SRCNAT)),
        ),
    )
