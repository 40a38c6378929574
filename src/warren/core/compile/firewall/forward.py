"""The forward hook: guards by ingress for portals, and a door that opens only to what the network owes tunnels."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.failover import mark_of
from warren.core.compile.firewall.exempt import LENT
from warren.core.compile.firewall.failover import stays_with_exit
from warren.core.compile.firewall.guests import guest_chains, judge_guests, to_guests
from warren.core.compile.firewall.names import refused_resolvers
from warren.core.compile.firewall.publish import let_in
from warren.core.compile.firewall.sets import (
    BY_UPLINK,
    CAME_BY_TUNNEL,
    LEAVES_BY_TUNNEL,
    OF_PORTAL,
    SAVE_PORTAL,
    SAVE_UPLINK,
    came_by,
    lans_on_uplink,
    leaves_by,
    near,
    rule,
    source,
    to,
)
from warren.core.compile.firewall.sources import by_specificity, source_matches
from warren.core.compile.here import Here
from warren.core.compile.portals import identity, ways_of
from warren.model.firewall import (
    OUR_MANGLE,
    Chain,
    Counter,
    CtDirection,
    CtMark,
    CtState,
    CtStatus,
    Drop,
    Goto,
    Hook,
    Jump,
    NfProto,
    NftRule,
    Reject,
    Return,
)
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import Nat
from warren.model.prefix import Family, Prefix, covers, host_prefix
from warren.model.state import MARK_MASK


def forward_chains(here: Here) -> Iterator[Chain]:
    """Make the forward hook with a guard for each portal entered here."""
    guarded = tuple(enumerate(by_specificity(here), start=1))
    rules = [
        *judge_guests(here, "from_devices"),
        rule(CAME_BY_TUNNEL, Goto("from_tunnels")),
        rule(came_by(here.host.uplink), LEAVES_BY_TUNNEL, Jump("from_uplink")),
    ]
    if guarded:
        rules.append(rule(CtDirection("reply"), BY_UPLINK, Return(), why="answers to who came in by the uplink"))
        for gateway in here.gateways:
            by_gateway = CtMark(MARK_MASK, here.gateway_mark(gateway))
            out = leaves_by(here.device(gateway))
            rules.append(rule(CtDirection("reply"), by_gateway, out, Return(), why=f"answers to who came by {gateway}"))
    rules += refused_resolvers(here)
    for number, way in guarded:
        for matches in source_matches(way):
            rules.append(rule(*matches, Goto(f"guard_{number}"), why=f"portal {identity(way.portal)}"))
    yield Chain("forward", tuple(rules), Hook("filter", "forward", OUR_MANGLE))
    for number, way in guarded:
        yield Chain(f"guard_{number}", tuple(_guard(here, way)))
    yield Chain("from_tunnels", tuple(_from_tunnels(here)))
    yield from guest_chains(here)
    yield Chain("from_uplink", tuple(_from_uplink(here)))


def _guard(here: Here, way: Way) -> Iterator[NftRule]:
    """Out by the exit's device or not at all; near prefixes go their own way, exceptions directly."""
    devices = tuple(here.device(one.hops[1]) for one in ways_of(here.fabric.network, way.portal))
    for family in here.usable:
        yield rule(to(family, near(family)), Return())
    if way.portal.by_agent:
        yield from stays_with_exit(here, way)
    else:
        yield rule(leaves_by(*devices), SAVE_PORTAL, Return())
    for family in here.usable:
        exceptions = tuple(prefix for prefix in way.portal.exceptions if prefix.version == family)
        if exceptions:
            yield rule(to(family, exceptions), Return(), why="excepted: leaves directly")
    if way.portal.by_marks:
        yield rule(LENT, Return(), why="exempted: leaves directly")
    yield rule(Counter(), Reject(), why=f"leaves by {' or '.join(devices)} or not at all")


def _from_tunnels(here: Here) -> Iterator[NftRule]:
    """What comes in by a tunnel may reach announced LANs, leave by the uplink we are exit for, or be relayed."""
    yield from _relays(here)
    yield from _answers_stay_here(here)
    yield rule(CtState(("established", "related")), Return())
    yield from to_guests(here)
    for family in here.carried:
        lans = tuple(prefix for prefix in here.open_lans if prefix.version == family)
        if lans:
            yield rule(to(family, lans), Return(), why="our announced LANs")
        mapped = tuple(pair.own for pair in here.mapped if pair.own.version == family)
        if mapped:
            yield rule(CtStatus("dnat"), to(family, mapped), Return(), why="our mapped LANs, under their mapped prefix")
        if here.is_hub:
            yield rule(LEAVES_BY_TUNNEL, to(family, near(family)), Return(), why="hub")
        for device, sources in exit_sources(here, family):
            yield rule(
                came_by(device),
                leaves_by(here.host.uplink),
                source(family, sources),
                SAVE_UPLINK,
                Return(),
                why="exit for these sources",
            )
    yield rule(Counter(), Reject(), why="nothing of the network asks for this")


def _answers_stay_here(here: Here) -> Iterator[NftRule]:
    """An answer to a portal's source, to a forged one too, is for this side of the uplink, or a LAN on that device."""
    if not here.entering:
        return
    lans = {family: lans_on_uplink(here, family) for family in here.usable}
    elsewhere = [(to(family, held, negate=True),) if held else (NfProto(family),) for family, held in lans.items()]
    of_exits = (CtMark(MARK_MASK, mark_of(here, peer)) for peer in here.chosen_exits)
    for of_portal in (OF_PORTAL, *of_exits):
        for matches in elsewhere if any(lans.values()) else [()]:
            yield rule(
                of_portal,
                *matches,
                leaves_by(here.host.uplink),
                Counter(),
                Drop(),
                why="an answer to a portal's source, forged ones too, is for this side of the uplink",
            )


def _relays(here: Here) -> Iterator[NftRule]:
    """Pass on the chains that have a relay here."""
    for way, at in here.through:
        if at + 1 == len(way.hops):
            continue
        for family in here.carried:
            addresses = tuple(host_prefix(a) for a in here.chain(way) if a.version == family)
            if addresses and family in way.portal.families:
                yield rule(
                    came_by(here.device(way.hops[at - 1])),
                    leaves_by(here.device(way.hops[at + 1])),
                    source(family, addresses),
                    SAVE_PORTAL,
                    Return(),
                    why=f"relay of {identity(way.portal)}",
                )
                yield rule(
                    came_by(here.device(way.hops[at - 1])),
                    source(family, addresses),
                    Counter(),
                    Reject(),
                    why="goes on by its next tunnel or not at all",
                )


def _from_uplink(here: Here) -> Iterator[NftRule]:
    """What comes in by the uplink enters a tunnel as an answer, or where something is published, and not else.

    A stranger on the uplink's own wire could otherwise use this host as his gateway to the others' private LANs.
    """
    yield rule(CtDirection("reply"), Return())
    yield rule(CtState(("related",)), Return())
    for family in here.usable:
        lans = lans_on_uplink(here, family)
        if lans:
            yield rule(source(family, lans), Return(), why="a LAN that shares its device with the uplink")
    yield from let_in(here)
    yield rule(Counter(), Drop(), why="nobody beyond the uplink is of the network")


def exit_sources(here: Here, family: Family, *, translated: bool = False) -> tuple[tuple[str, tuple[Prefix, ...]], ...]:
    """List, by device, the sources that leave by our uplink: those of the portals that end here.

    `translated`: only those that leave with the uplink's address; what is delegated leaves as it is.
    """
    found: dict[str, list[Prefix]] = {}
    for way, at in here.through:
        if at + 1 != len(way.hops) or family not in way.portal.families or (translated and way.portal.delegated):
            continue
        sources = _sources_at_exit(here, way)
        found.setdefault(here.device(way.hops[at - 1]), []).extend(p for p in sources if p.version == family)
    return tuple((device, tuple(dict.fromkeys(sources))) for device, sources in sorted(found.items()) if sources)


def _sources_at_exit(here: Here, way: Way) -> tuple[Prefix, ...]:
    """Give the sources with which a portal's packets come to its exit: no more, or another's could leave here too.

    Machines of a LAN may have addresses that the file does not know; the entry rewrites these to its own. Where the
    entry watches its exits or asks resolvers there, it asks with its own.
    """
    asks = way.portal.dns is not None and not way.addressed
    asking = here.fabric.addresses(way.hops[0]) if way.portal.by_agent or asks else ()
    return tuple(dict.fromkeys((*asking, *_portal_sources(here, way))))


def _portal_sources(here: Here, way: Way) -> tuple[Prefix, ...]:
    if way.addressed:
        return tuple(host_prefix(address) for address in here.chain(way))
    entry, nat = way.hops[0], way.portal.nat
    announced = () if nat is Nat.SNAT else here.fabric.announced.get(entry, ())
    prefixes = here.seen_sources(way.portal)
    routed = tuple(prefix for prefix in prefixes if any(covers(lan, prefix) for lan in announced))
    if nat is Nat.ROUTED or (way.portal.source.kind is PlaceKind.PREFIX and routed):
        return routed
    return here.fabric.addresses(entry) + routed
