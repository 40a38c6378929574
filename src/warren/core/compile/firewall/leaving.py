"""Postrouting and source NAT: the last look at what leaves, and with which source."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.compile.dns import asking, by_uplink
from warren.core.compile.failover import mark_of
from warren.core.compile.firewall.exempt import exempt_source
from warren.core.compile.firewall.forward import exit_sources
from warren.core.compile.firewall.guests import keep_source, masquerade_guests
from warren.core.compile.firewall.publish import sources_of_clients
from warren.core.compile.firewall.sets import (
    BY_UPLINK,
    LEAVES_BY_TUNNEL,
    OF_PORTAL,
    UNMARKED,
    came_by,
    lans_on_uplink,
    leaves_by,
    near,
    ours,
    rule,
    source,
    to,
)
from warren.core.compile.firewall.sources import by_specificity
from warren.core.compile.here import Here
from warren.core.compile.ledger import mac_mark
from warren.core.compile.portals import identity, ways_of
from warren.model.firewall import (
    OUR_MANGLE,
    SRCNAT,
    Addr,
    Chain,
    Counter,
    CtDirection,
    CtMark,
    CtState,
    Drop,
    FibType,
    Goto,
    Hook,
    Icmp6Type,
    Jump,
    L4Proto,
    Mark,
    Masquerade,
    Match,
    MssClamp,
    NfProto,
    NftRule,
    Port,
    Return,
    Snat,
    SnatPrefix,
    TcpSyn,
)
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import Nat
from warren.model.prefix import Address, Family, host_prefix, overlaps
from warren.model.state import MARK_MASK

LINK_LOCAL = ip_network("fe80::/10")
NEIGHBOUR_DISCOVERY = (
    "nd-router-solicit",
    "nd-router-advert",
    "nd-neighbor-solicit",
    "nd-neighbor-advert",
    "mld-listener-report",
    "mld2-listener-report",
)


def leaving_chains(here: Here) -> Iterator[Chain]:
    """Make the chains that a packet meets after it is routed."""
    yield Chain("postrouting", tuple(_postrouting(here)), Hook("filter", "postrouting", OUR_MANGLE))
    yield Chain("to_tunnels", (rule(TcpSyn(), MssClamp()),))
    yield Chain("far_guard", tuple(_far_guard(here)))
    if here.dedicated:
        yield Chain("portal_errors", tuple(_portal_errors(here)))
    for number, way in _own_ways(here):
        yield Chain(f"own_guard_{number}", tuple(_own_guard(here, way)))
    yield Chain("repair", tuple(_repair(here)))
    yield Chain("srcnat", tuple(_srcnat(here)), Hook("nat", "postrouting", SRCNAT))


def _postrouting(here: Here) -> Iterator[NftRule]:
    yield rule(LEAVES_BY_TUNNEL, Goto("to_tunnels"))
    for family in here.usable:
        yield rule(to(family, near(family)), leaves_by("lo", negate=True), Goto("far_guard"))
        yield from _own_addresses(here, family)
    if here.dedicated:
        yield rule(OF_PORTAL, leaves_by(here.host.uplink), FibType("saddr", "local"), Goto("portal_errors"))
    for peer in here.chosen_exits:
        of_exit = CtMark(MARK_MASK, mark_of(here, peer))
        yield rule(of_exit, leaves_by(here.host.uplink), FibType("saddr", "local"), Goto("portal_errors"))
    for gateway in here.gateways:
        yield rule(
            CtDirection("reply"),
            CtMark(MARK_MASK, here.gateway_mark(gateway)),
            leaves_by(here.host.uplink),
            Counter(),
            Drop(),
            why=f"who came by {gateway} is answered by it or not at all",
        )
    for number, way in _own_ways(here):
        families = (NfProto(way.portal.families[0]),) if len(way.portal.families) == 1 else ()
        begins: tuple[tuple[Match, ...], ...] = ((L4Proto(("tcp",), negate=True),), (TcpSyn(),))
        for match in begins:
            yield rule(
                UNMARKED,
                CtDirection("original"),
                *families,
                *match,
                leaves_by(here.host.uplink),
                FibType("saddr", "local"),
                Goto(f"own_guard_{number}"),
                why=f"portal {identity(way.portal)}",
            )


def _own_addresses(here: Here, family: Family) -> Iterator[NftRule]:
    """What has a tunnel's address never leaves beside the tunnels, also where a flow of the host's own is led there."""
    own = tuple(host_prefix(address) for address in here.locked.addresses if address.version == family)
    # What a set exempts has that address until it is rewritten, which comes after.
    exempted = (UNMARKED,) if any(way.portal.by_marks for _, way in _own_ways(here)) else ()
    if own and family in here.carried:
        if here.exits_own_traffic:
            # The kernel gives it the address that the host's own traffic would have; on the wire it has the uplink's.
            yield rule(
                source(family, own),
                CtState(("related",)),
                BY_UPLINK,
                Return(),
                why="an error about what we are exit for, translated like its flow",
            )
        yield rule(
            source(family, own),
            leaves_by("lo", negate=True),
            *exempted,
            Counter(),
            Drop(),
            why="the tunnels' own addresses leave by tunnels only",
        )


def _far_guard(here: Here) -> Iterator[NftRule]:
    """What leaves by anything but a tunnel towards a prefix of the network must be for a LAN of ours.

    And not by the uplink, where a foreign rule may lead even an answer to a machine of the LAN.

    Where a prefix of the uplink's own link is delegated, its gateway may have an address of it, and asks for ours.
    """
    if here.proxied:
        yield rule(leaves_by(here.host.uplink), Icmp6Type(NEIGHBOUR_DISCOVERY), Return())
    for family in here.usable:
        own = tuple(prefix for prefix in here.own_lans if prefix.version == family)
        beyond = (*lans_on_uplink(here, family), *here.surroundings.on_link(here.host.uplink))
        inside = tuple(prefix for prefix in own if not any(overlaps(prefix, other) for other in beyond))
        if inside:
            yield rule(
                leaves_by(here.host.uplink), to(family, inside), Counter(), Drop(), why="our own LANs are on this side"
            )
        if own:
            yield rule(to(family, own), Return(), why="our own LANs")
    yield rule(Counter(), Drop(), why="the network's own prefixes leave by tunnels only")


def _portal_errors(here: Here) -> Iterator[NftRule]:
    """Errors that this host itself has to send about a portal's packets reach the network's own addresses only.

    The other end of the flow, which can provoke one (an answer whose TTL ends here), would be told where the portal
    begins: they are routed like any packet of the host, out by the uplink.
    """
    for family in here.usable:
        yield rule(to(family, near(family)), Return())
    yield rule(Counter(), Drop(), why="would show the far end of a portal's flow where it begins")


def _own_ways(here: Here) -> tuple[tuple[int, Way], ...]:
    ways = [way for way in here.entering if way.portal.source.kind is PlaceKind.HOST]
    return tuple(enumerate(ways, start=1))


def _own_guard(here: Here, way: Way) -> Iterator[NftRule]:
    """Flows that the host itself begins do not leave by the uplink.

    Left alone: neighbours on the link, the address configuration that keeps the link alive, and exceptions.
    TCP is judged by its SYN, so that a session older than conntrack (the operator's) is never taken for new.
    """
    for family in way.portal.families:
        if family not in here.usable:
            continue
        on_link = tuple(p for p in here.surroundings.on_link(here.host.uplink) if p.version == family)
        if family is Family.IPV6:
            on_link += (LINK_LOCAL,)
        around = on_link + tuple(prefix for prefix in way.portal.exceptions if prefix.version == family)
        if around:
            yield rule(to(family, around), Return(), why="on the uplink's own link, or excepted")
        for resolver, port in by_uplink(here, way, family):
            for proto in ("udp", "tcp"):
                asked = to(family, (resolver,)), Port(proto, "dport", (port,))
                yield rule(*asked, Return(), why="a resolver that is asked directly")
        client, server = (68, 67) if family is Family.IPV4 else (546, 547)
        yield rule(Port("udp", "sport", (client,)), Port("udp", "dport", (server,)), Return(), why="DHCP")
    yield rule(Icmp6Type(NEIGHBOUR_DISCOVERY), Return())
    yield rule(FibType("daddr", "unicast", negate=True), Return())
    yield rule(Counter(), Drop(), why="the host's own traffic leaves by its exit or not at all")


def _srcnat(here: Here) -> Iterator[NftRule]:
    for entering in (*by_specificity(here), *(way for _, way in _own_ways(here))):
        for way in ways_of(here.fabric.network, entering.portal):
            yield from _portal_source(here, way)
    yield from _questions_source(here)
    yield from keep_source(here)
    yield from sources_of_clients(here)
    yield rule(LEAVES_BY_TUNNEL, Jump("repair"))
    yield from exempt_source(here)
    for family in here.carried:
        for device, sources in exit_sources(here, family, translated=True):
            yield rule(came_by(device), leaves_by(here.host.uplink), source(family, sources), Masquerade())
    yield from masquerade_guests(here)


def _repair(here: Here) -> Iterator[NftRule]:
    """Sources that the far side could not answer become ours: also an overlapping or closed LAN's way out.

    A mapped LAN's become those that it is known by. No tunnel carries a flow that was mapped on its way in.
    """
    for pair in here.mapped:
        family = Family(pair.own.version)
        yield rule(source(family, (pair.own,)), SnatPrefix(pair.seen), why=f"the network knows it as {pair.seen}")
    for family in here.carried:
        address = here.locked.address(family)
        if address is not None:
            yield rule(source(family, ours(family), negate=True), Snat(address))


def _portal_source(here: Here, way: Way) -> Iterator[NftRule]:
    """Rewrite the source to the portal's own addresses if it has some, and for `nat: snat` to ours.

    A narrower portal that is to keep its source says so before a wider one rewrites it.
    """
    portal = way.portal
    rewritten = way.addressed or portal.nat is Nat.SNAT
    if not rewritten and not any(other.portal.nat is Nat.SNAT for other in here.entering):
        return
    leaves = leaves_by(here.device(way.hops[1]))
    for family in portal.families:
        if family not in here.carried:
            continue
        does = Snat(_replacement(here, way, family)) if rewritten else Goto("repair")
        not_near = to(family, near(family), negate=True)
        for matches in _origin(here, way, family):
            yield rule(*matches, leaves, not_near, does, why=f"portal {identity(portal)}")


def _questions_source(here: Here) -> Iterator[NftRule]:
    """Give this host's own questions to a LAN's resolvers the addresses by which their way knows its packets."""
    for entering in asking(here):
        for way in ways_of(here.fabric.network, entering.portal):
            if not way.addressed or way.portal.dns is None:
                continue
            for family in here.carried:
                for one in way.portal.dns.trusted:
                    if one.address.version == family:
                        leaves = leaves_by(here.device(way.hops[1])), to(family, near(family), negate=True)
                        asked = to(family, (host_prefix(one.address),)), *leaves
                        does = Snat(_replacement(here, way, family))
                        yield rule(FibType("saddr", "local"), *asked, does, why=f"names for {way.portal.source}")


def _replacement(here: Here, way: Way, family: Family) -> Address:
    addresses = here.chain(way) if way.addressed else here.locked.addresses
    return next(address for address in addresses if address.version == family)


def _origin(here: Here, way: Way, family: Family) -> Iterator[tuple[Match, ...]]:
    """Match what a portal sends, after routing: its mark, its LAN and prefix, or the host itself."""
    place = way.portal.source
    if place.kind is PlaceKind.MAC:
        yield (came_by(place.lan), Mark(MARK_MASK, here.ledger.mark(mac_mark(identity(way.portal)))))
    elif place.kind is PlaceKind.HOST:
        yield (FibType("saddr", "local"), Addr("saddr", family, (family.everything,)))
    elif place.prefix is None:
        yield (came_by(place.lan), Addr("saddr", family, (family.everything,)))
    elif place.prefix.version == family:
        yield (came_by(place.lan), source(family, (place.prefix,)))
