"""Prerouting, output and input: what a packet is taken for, by where it came in."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.devices import any_address
from warren.core.compile.firewall.exempt import (
    LENT,
    answers_to_exempted,
    exempt_chain,
    exempt_chains,
    exempt_entering,
    exempt_own,
)
from warren.core.compile.firewall.failover import goes_on, own_exits
from warren.core.compile.firewall.guests import judge_guests
from warren.core.compile.firewall.names import resolve_chain
from warren.core.compile.firewall.publish import admitted
from warren.core.compile.firewall.sets import (
    BY_UPLINK,
    CAME_BY_TUNNEL,
    CAME_ELSEWHERE,
    MARK_UPLINK,
    SAVE_UPLINK,
    UNMARKED,
    came_by,
    lans_on_uplink,
    leaves_by,
    near,
    rule,
    source,
    to,
)
from warren.core.compile.here import Here
from warren.core.compile.knock import close, hear_traceroute, wireguard_ports
from warren.core.compile.ledger import mac_mark
from warren.core.compile.meeting import refuse_left
from warren.core.compile.portals import identity
from warren.model.firewall import (
    DSTNAT,
    OUR_MANGLE,
    Chain,
    Counter,
    CtDirection,
    CtMark,
    CtState,
    CtStatus,
    DnatPrefix,
    Drop,
    EtherSource,
    FibType,
    Goto,
    Hook,
    Jump,
    L4Proto,
    Mark,
    NfProto,
    NftRule,
    Port,
    Reject,
    RejectWith,
    Return,
    SetMark,
    TcpSyn,
)
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.prefix import Family, host_prefix
from warren.model.state import MARK_MASK, OUTER_MARK

# wg-quick copies the connection's mark onto every UDP packet that comes in. A chain of its own, before those of
# other networks on this host, which lend marks too.
_UNMARK = rule(
    Mark(MARK_MASK, 0, negate=True), SetMark(MARK_MASK, 0), why="our marks are lent here, by nobody else and not before"
)


def ingress_chains(here: Here) -> Iterator[Chain]:
    """Make the chains that a packet meets before it is routed."""
    yield Chain("unmark", (_UNMARK,), Hook("filter", "prerouting", OUR_MANGLE - 1))
    yield Chain("prerouting", tuple(_prerouting(here)), Hook("filter", "prerouting", OUR_MANGLE))
    for peer in here.dedicated:
        yield Chain(_from(here, peer), tuple(_entitled(here, peer)))
    if here.entering:
        yield Chain("by_uplink", tuple(_by_uplink(here)))
    for number, way in _mac_ways(here):
        yield Chain(f"mark_mac_{number}", tuple(_mark_mac(here, way)))
    yield from exempt_chains(here)
    if here.exits_own_traffic or here.gateways:
        yield Chain("output", tuple(_output(here)), Hook("route", "output", OUR_MANGLE))
    yield from resolve_chain(here)
    yield Chain("input", tuple(_input(here)), Hook("filter", "input", OUR_MANGLE))
    if here.mapped:
        yield Chain("mapped", tuple(_mapped(here)), Hook("nat", "prerouting", DSTNAT))


def _prerouting(here: Here) -> Iterator[NftRule]:
    uplink = here.host.uplink
    yield from refuse_left(here)
    yield from hear_traceroute(here, CAME_ELSEWHERE)
    yield rule(
        Port("udp", "dport", wireguard_ports(here)),
        CAME_ELSEWHERE,
        FibType("daddr", "local"),
        SetMark(MARK_MASK, OUTER_MARK),
        Return(),
        why="outer packets: a foreign full tunnel's reverse-path check must follow table main",
    )
    if here.entering:
        yield rule(
            CtDirection("reply"),
            BY_UPLINK,
            came_by(uplink, negate=True),
            MARK_UPLINK,
            Return(),
            why="replies leave by the uplink their flow came in by",
        )
    for gateway in here.gateways:
        mark = here.gateway_mark(gateway)
        yield rule(
            CtDirection("reply"),
            CtMark(MARK_MASK, mark),
            came_by(here.device(gateway), negate=True),
            SetMark(MARK_MASK, mark),
            Return(),
            why=f"who came by {gateway} is answered by it",
        )
    yield from goes_on(here)
    for peer in here.dedicated:
        yield rule(came_by(here.device(peer)), Jump(_from(here, peer)), why=f"what {peer} may send")
    if here.entering:
        yield rule(
            CtDirection("original"), came_by(uplink), Jump("by_uplink"), why="flows that begin beyond the uplink"
        )
    for number, way in _mac_ways(here):
        source_place = way.portal.source
        families = way.portal.families
        only = (NfProto(families[0]),) if len(families) == 1 else ()
        yield rule(
            came_by(source_place.lan),
            EtherSource((source_place.mac,)),
            *only,
            Goto(f"mark_mac_{number}"),
            why=f"portal {identity(way.portal)}",
        )
    yield from exempt_entering(here)


def _from(here: Here, peer: str) -> str:
    return f"from_{here.dedicated.index(peer) + 1}"


def _entitled(here: Here, peer: str) -> Iterator[NftRule]:
    """New flows of a peer that WireGuard lets send from any address: only from what it owns.

    Answers come from anywhere: that is what the device is for.
    """
    yield rule(CtState(("established", "related")), Return())
    anything = any_address(here, peer)
    reached = here.fabric.reached(here.host.name, peer)
    for family in here.carried:
        if family not in anything:
            yield rule(NfProto(family), Return(), why="held to its allowed IPs by WireGuard")
            continue
        own = tuple(prefix for prefix in reached if prefix.version == family)
        if own:
            yield rule(source(family, own), Return())
    if peer in here.gateways:
        yield from admitted(here, peer)
    yield rule(Counter(), Drop(), why=f"{peer} is not entitled to this source")


def _by_uplink(here: Here) -> Iterator[NftRule]:
    """Save that a flow began beyond the uplink, where that is certain, so that its answers leave there again.

    A flow older than conntrack, or forgotten by it, looks as if its next packet began it: answers to a portal's
    own old flows must not be taken for flows of strangers, or the portal's packets would follow them out. A SYN
    and an echo request truly begin a flow; what is for this host, or is sent on by a port forwarding, is no answer
    to a portal's source. Other packets that are sent straight to a LAN's address leave no trace.
    """
    for family in here.usable:
        lans = lans_on_uplink(here, family)
        if lans:
            yield rule(source(family, lans), Return(), why="a LAN that shares its device with the uplink")
    yield rule(CtStatus("dnat"), SAVE_UPLINK, Return())
    yield rule(CtState(("new",), negate=True), Return())
    yield rule(FibType("daddr", "local"), SAVE_UPLINK)
    yield rule(L4Proto(("icmp", "ipv6-icmp")), SAVE_UPLINK)
    yield rule(TcpSyn(), SAVE_UPLINK)


def _mac_ways(here: Here) -> tuple[tuple[int, Way], ...]:
    ways = [way for way in here.entering if way.portal.source.kind is PlaceKind.MAC]
    return tuple(enumerate(ways, start=1))


def _mark_mac(here: Here, way: Way) -> Iterator[NftRule]:
    for family in here.usable:
        yield rule(to(family, near(family)), Return())
        exceptions = tuple(prefix for prefix in way.portal.exceptions if prefix.version == family)
        if exceptions:
            yield rule(to(family, exceptions), MARK_UPLINK, Return(), why="excepted: leaves directly")
    if way.portal.by_marks:
        yield rule(Jump(exempt_chain(here, way)))
        yield rule(LENT, Return(), why="exempted: leaves directly")
    yield rule(FibType("daddr", "unicast", negate=True), Return())
    yield rule(SetMark(MARK_MASK, here.ledger.mark(mac_mark(identity(way.portal)))))


def _output(here: Here) -> Iterator[NftRule]:
    yield rule(Mark(MARK_MASK, 0, negate=True), Return(), why="WireGuard's own packets keep their mark")
    yield rule(
        UNMARKED,
        BY_UPLINK,
        MARK_UPLINK,
        Return(),
        why="the operator's ssh is answered by the way it came in; so are errors about what we are exit for",
    )
    for gateway in here.gateways:
        mark = here.gateway_mark(gateway)
        yield rule(
            CtDirection("reply"),
            CtMark(MARK_MASK, mark),
            SetMark(MARK_MASK, mark),
            Return(),
            why=f"who came by {gateway} is answered by it",
        )
    if here.exits_own_traffic:
        yield from goes_on(here)
    yield from exempt_own(here)
    yield from own_exits(here)
    for way in here.leaving:
        if way.portal.source.kind is PlaceKind.HOST:
            for family in way.portal.families:
                if family in here.usable and family not in here.carried:
                    yield rule(
                        leaves_by(here.device(way.hops[1])),
                        NfProto(family),
                        Counter(),
                        Reject(RejectWith.NO_ROUTE),
                        why="no tunnel carries this family",
                    )


def _mapped(here: Here) -> Iterator[NftRule]:
    """What comes by a tunnel to a LAN's mapped prefix goes to the machine with the same number in its own."""
    for pair in here.mapped:
        family = Family(pair.own.version)
        yield rule(
            CAME_BY_TUNNEL, to(family, (pair.seen,)), DnatPrefix(pair.own), why=f"the network knows {pair.own} as this"
        )


def _input(here: Here) -> Iterator[NftRule]:
    """Keep tunnel addresses from being reached by the uplink or a device that is not of the network."""
    yield from close(here, CAME_ELSEWHERE)
    yield from judge_guests(here, "devices_in")
    yield from answers_to_exempted(here)
    inside = (*(lan.name for lan in here.host.lans if lan.name != here.host.uplink), "lo")
    for family in here.carried:
        address = here.locked.address(family)
        if address is None:
            continue
        own = to(family, (host_prefix(address),))
        neighbours = lans_on_uplink(here, family)
        if neighbours:
            yield rule(own, came_by(here.host.uplink), source(family, neighbours), Return())
        yield rule(
            own,
            CAME_ELSEWHERE,
            came_by(*inside, negate=True),
            Counter(),
            Drop(),
            why="a tunnel address is reached by tunnels and LANs only",
        )
