"""What is published: at the gateway into a tunnel, at home to the machine, and the answers back by the way they came.

    client ──► gateway: publish ─┬─ a socket of its own ──► itself
                                 └─ by a map of ports ──► tunnel ──► home: admitted, its connection marked ──► service
    client ◄── gateway ◄── the gateway's own table ◄── home: the mark lent to whatever answers ◄───────────────┘

The gateway asks for the address by `fib daddr type local`: where a provider translates it 1:1, the machine does not
have the address that the world knows. Only what begins a flow is sent on. TCP is judged by its SYN, so that no
session older than conntrack is ever taken for new, the operator's first of all.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import (
    LEAVES_BY_TUNNEL,
    OPEN_UDP,
    OWN_TCP,
    OWN_UDP,
    came_by,
    lans_on_uplink,
    leaves_by,
    near,
    rule,
    source,
    to,
)
from warren.core.compile.here import Here
from warren.core.compile.openings import Opening
from warren.core.compile.publishes import gateways_of, literal
from warren.model.firewall import (
    DSTNAT,
    Chain,
    Counter,
    CtStatus,
    Dnat,
    DnatMap,
    Drop,
    EchoRequest,
    FibType,
    Goto,
    Hook,
    L4Proto,
    Match,
    NfProto,
    NftRule,
    Port,
    Return,
    SetCtMark,
    Snat,
    Statement,
    TcpOpens,
)
from warren.model.prefix import Address, Family, host_prefix
from warren.model.state import MARK_MASK

_PLAIN = ("tcp", "udp", "icmp", "ipv6-icmp")
# Tunnels that the kernel carries without a socket, by ip-link(8)'s word: their packets are the gateway's own.
_CARRIED = {
    "gre": "gre",
    "gretap": "gre",
    "ip6gre": "gre",
    "ipip": "ipencap",
    "sit": "ipv6",
    "vti": "esp",
    "xfrm": "esp",
}
Service = tuple[Match, ...]


def publish_chains(here: Here) -> Iterator[Chain]:
    """Make the chains that translate destinations."""
    hook = Hook("nat", "prerouting", DSTNAT)
    if here.openings:
        begins = rule(came_by(here.host.uplink), FibType("daddr", "local"), Goto("published"))
        yield Chain("publish", (begins,), hook)
        yield Chain("published", tuple(_published(here)))
    inside = tuple(_hairpin(here))
    if inside:
        yield Chain("hairpin", inside, hook)


# --- the gateway ---------------------------------------------------------------------------------------------


def _published(here: Here) -> Iterator[NftRule]:
    for family in here.usable:
        shared = lans_on_uplink(here, family)
        own = (source(family, shared, negate=True),) if shared else ()
        yield rule(source(family, near(family)), *own, Return(), why="nobody beyond the uplink is of the network")
    yield rule(Port("tcp", "dport", OWN_TCP), Return(), why="what listens here stays here")
    yield rule(Port("udp", "dport", OWN_UDP), Return(), why="WireGuard, DHCP and what listens here stay here")
    yield rule(
        Port("udp", "dport", OPEN_UDP), Return(), why="waits for an answer to what it sent before conntrack was there"
    )
    carried = tuple(sorted({_CARRIED[link.kind] for link in here.surroundings.links if link.kind in _CARRIED}))
    if carried:
        yield rule(L4Proto(carried), Return(), why="this host's own tunnels")
    for family in here.carried:
        yield from translations(tuple(one for one in here.openings if one.family is family and not one.routed))


def translations(openings: tuple[Opening, ...], *only: Match, inside: bool = False) -> Iterator[NftRule]:
    """Translate the destination of new flows to the openings of one family: by maps, then pings, then `all`."""
    for proto in ("tcp", "udp"):
        begins: Service = (TcpOpens(),) if proto == "tcp" else ()
        for moved in (True, False):
            entries = tuple(one.entry(inside) for one in openings if one.proto == proto and bool(one.port) is moved)
            if entries:
                yield rule(*only, *begins, DnatMap(proto, openings[0].family, entries))
    for one in openings:
        if one.proto == "icmp":
            yield rule(*only, EchoRequest(one.family), Dnat(one.inside if inside else one.to))
    for one in openings:
        if not one.proto:
            yield from _everything(one)


def _everything(one: Opening) -> Iterator[NftRule]:
    of_family = NfProto(one.family)
    for kept in one.publish.exceptions:
        if kept.proto == "icmp":
            yield rule(EchoRequest(one.family), Return(), why="excepted: stays here")
        else:
            yield rule(of_family, Port(kept.proto, "dport", ((kept.first, kept.last),)), Return(), why="excepted")
    why = f"all to {one.publish.to}"
    yield rule(of_family, TcpOpens(), Dnat(one.to), why=why)
    yield rule(of_family, L4Proto(("udp",)), Dnat(one.to), why=why)
    yield rule(EchoRequest(one.family), Dnat(one.to), why=why)
    yield rule(of_family, L4Proto(_PLAIN, negate=True), Dnat(one.to), why=why)


def let_in(here: Here) -> Iterator[NftRule]:
    """Let what was sent on enter a tunnel, and what is published at an address that is routed here anyhow."""
    for family in here.carried:
        led = (one for one in here.openings if one.family is family and not one.routed)
        targets = tuple(dict.fromkeys(host_prefix(one.to) for one in led))
        if targets:
            yield rule(CtStatus("dnat"), to(family, targets), Return(), why="published")
    routed = tuple(one for one in here.openings if one.routed and one.family in here.carried)
    for one in routed:
        at = to(one.family, (host_prefix(one.to),))
        for kept in one.publish.exceptions if not one.proto else ():
            ports = Port(kept.proto, "dport", ((kept.first, kept.last),))
            asked = EchoRequest(one.family) if kept.proto == "icmp" else ports
            yield rule(at, asked, Counter(), Drop(), why="excepted")
    for _, service, _ in _services(routed):
        yield rule(*service, Return(), why="published: its address is routed here")


def sources_of_clients(here: Here) -> Iterator[NftRule]:
    """Keep the sources of clients where that is promised; the others' are repaired to our tunnel address.

    At home, who went out by a gateway's address to his own LAN gets the router's address: the answer must pass it.
    """
    for routed in (False, True):
        status: Service = () if routed else (CtStatus("dnat"),)
        from_clients = (came_by(here.host.uplink), LEAVES_BY_TUNNEL, *status)
        for _, service, kept in _services(tuple(one for one in here.openings if one.routed is routed)):
            does: Statement = Return() if kept else Goto("repair")
            yield rule(*from_clients, *service, does, why="" if kept else "published without the client's source")
    for family in here.usable:
        led = (one for _, openings in _hairpins(here, family) for one in openings)
        targets = tuple(dict.fromkeys(host_prefix(one.inside) for one in led if one.inside not in here.own_addresses))
        for lan in here.host.lans if targets else ():
            address = next((address.ip for address in lan.addresses if address.version == family), None)
            if address is not None and lan.name in _lans(here):
                inside = (came_by(lan.name), leaves_by(lan.name), CtStatus("dnat"), to(family, targets))
                yield rule(*inside, Snat(address), why="hairpin: the answer comes by here")


def _services(openings: tuple[Opening, ...]) -> Iterator[tuple[Family, Service, bool]]:
    """List what is published, as the service itself sees it, and whether with its clients' sources; ports first."""
    ported: dict[tuple[Address, str, bool], list[tuple[int, int]]] = {}
    for one in openings:
        if one.proto:
            ported.setdefault((one.to, one.proto, one.kept), []).append(one.service)
    for (address, proto, kept), ports in ported.items():
        family = Family(address.version)
        at = to(family, (host_prefix(address),))
        asked = EchoRequest(family) if proto == "icmp" else Port(proto, "dport", tuple(dict.fromkeys(ports)))
        yield family, (at, asked), kept
    for one in openings:
        if not one.proto:
            yield one.family, (to(one.family, (host_prefix(one.to),)),), one.kept


# --- home ----------------------------------------------------------------------------------------------------


def admitted(here: Here, gateway: str) -> Iterator[NftRule]:
    """Admit what a gateway publishes of ours, from anywhere but the network itself, and mark it for its answers."""
    mark = here.gateway_mark(gateway)
    openings = tuple(one for one in here.opened_by(gateway) if one.kept and one.family in here.carried)
    for family, service, _ in _services(openings):
        yield rule(
            source(family, near(family), negate=True),
            *service,
            SetCtMark(MARK_MASK, mark),
            Return(),
            why=f"published at {gateway}",
        )


def _hairpin(here: Here) -> Iterator[NftRule]:
    """Lead whoever asks from inside for a gateway's address to what it publishes here.

    Only for ports that are named: which ones `all` leaves to the gateway, only the gateway knows. Those packets go
    there and come back.
    """
    for family in here.usable:
        for address, openings in _hairpins(here, family):
            asked = (came_by(*_lans(here)), to(family, (host_prefix(address),)))
            yield from translations(openings, *asked, inside=True)


def _hairpins(here: Here, family: Family) -> Iterator[tuple[Address, tuple[Opening, ...]]]:
    """List the public addresses of gateways, and what they publish of ours by name."""
    network = here.fabric.network
    known = dict(here.surroundings.names)
    for gateway in gateways_of(network, here.host.name) if _lans(here) else ():
        endpoint = network.by_name[gateway].endpoint
        if endpoint is None:
            continue
        written = literal(endpoint)
        for address in (written,) if written is not None else known.get(endpoint.host, ()):
            openings = tuple(one for one in here.opened_by(gateway) if one.family is family and one.proto)
            if address.version == family and openings:
                yield address, openings


def _lans(here: Here) -> tuple[str, ...]:
    return tuple(lan.name for lan in here.host.lans if lan.name != here.host.uplink)
