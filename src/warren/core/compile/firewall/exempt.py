"""Countries, lists, domains: destinations that are exempted from a portal by a mark, and never by a rule for each.

A packet of a portal's source whose destination is in the set, or with `only:` outside of it, gets the uplink's mark, so
that rules of routing lead it out by main before they ask for the portal. Only the first packet of a flow is looked up:
the connection remembers, so that a refreshed set moves no flow that has begun. Marks can only exempt: without this
table everything goes through the exit.

    prerouting   mac → mark_mac_1 ─┐         the narrower portal first; one without sets ends the search
                 lan, prefix ──────┼► exempt_1 ─► connection mark, packet mark: by the uplink
    output       own traffic ──────┘
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.compile.firewall.failover import leave_directly, only_what_begins
from warren.core.compile.firewall.names import exempt_by_name, while_young
from warren.core.compile.firewall.sets import (
    BY_UPLINK,
    FAMILY_TYPE,
    MARK_UPLINK,
    SAVE_UPLINK,
    came_by,
    leaves_by,
    near,
    rule,
    source,
    to,
)
from warren.core.compile.firewall.sources import by_specificity, source_matches
from warren.core.compile.here import Here
from warren.core.compile.portals import identity
from warren.model.firewall import (
    Chain,
    CtDirection,
    CtState,
    FibType,
    Goto,
    Jump,
    Mark,
    Masquerade,
    NfProto,
    NftRule,
    Return,
    Set,
    SetRef,
)
from warren.model.named_set import SetUse
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.prefix import Family, Prefix, covers, host_prefix
from warren.model.state import MARK_MASK, UPLINK_MARK

LENT = Mark(MARK_MASK, UPLINK_MARK)
# What no router sends on: for neighbours, not for any way out.
_LINK = {
    Family.IPV4: tuple(map(ip_network, ("169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"))),
    Family.IPV6: tuple(map(ip_network, ("fe80::/10", "ff00::/8"))),
}


def exempting(here: Here) -> tuple[Way, ...]:
    """List the portals entered here that name a country or a list, or only what they take."""
    return tuple(way for way in here.entering if way.portal.by_marks)


def exempt_chain(here: Here, way: Way) -> str:
    """Name the chain that exempts a portal's destinations."""
    return f"exempt_{exempting(here).index(way) + 1}"


def set_name(name: str, family: Family) -> SetRef:
    """Name the nft set of `country:CN` or `list:NAME` in a family: `country_cn_4`."""
    return SetRef(f"{name.lower().replace(':', '_')}_{family.value}")


def country_sets(here: Here) -> tuple[Set, ...]:
    """Make the sets of those countries and lists that are used on this host.

    Also those that are empty now: what a set holds is refreshed without the table being made anew.
    """
    network = here.fabric.network
    wanted = {
        (use.name, family): None
        for way in exempting(here)
        for use in way.portal.uses
        for family in _families(here, way)
        if not network.named_domains(use.name)
    }
    return tuple(
        Set(
            set_name(name, family).name,
            FAMILY_TYPE[family],
            network.named_prefixes(name, family),
            feed=network.named_by_name[name].feed if name in network.named_by_name else "",
        )
        for name, family in wanted
    )


def exempt_chains(here: Here) -> Iterator[Chain]:
    """Make a chain for each portal whose destinations are exempted by sets."""
    for way in exempting(here):
        name = exempt_chain(here, way)
        if way.portal.by_agent:
            begins = f"begins_{name}"
            yield Chain(name, (*_goes_on(), *only_what_begins(begins)))
            yield Chain(begins, tuple(_exempt(here, way)))
        else:
            yield Chain(name, (*_goes_on(), *_exempt(here, way)))


def exempt_entering(here: Here) -> Iterator[NftRule]:
    """Send what enters by a LAN to the chain of the narrowest portal that takes it; portals of MACs jump themselves."""
    ways = [way for way in by_specificity(here) if way.portal.source.kind is not PlaceKind.MAC]
    for way in ways:
        if not (way.portal.by_marks or any(_within(way, other) for other in ways if other.portal.by_marks)):
            continue
        ends = Goto(exempt_chain(here, way)) if way.portal.by_marks else Return()
        for matches in source_matches(way):
            yield rule(*matches, ends, why=f"portal {identity(way.portal)}")


def _within(way: Way, other: Way) -> bool:
    """Say whether a portal takes a part of what another one's source is."""
    source_, wider = way.portal.source, other.portal.source
    if source_.prefix is None or source_.lan != wider.lan or source_.prefix == wider.prefix:
        return False
    return wider.prefix is None or covers(wider.prefix, source_.prefix)


def exempt_own(here: Here) -> Iterator[NftRule]:
    """Exempt the host's own new flows; the output hook routes again what it marks."""
    for way in exempting(here):
        if way.portal.source.kind is PlaceKind.HOST:
            yield rule(CtState(("new",)), Jump(exempt_chain(here, way)), why=f"portal {identity(way.portal)}")
            yield rule(LENT, Return(), why="exempted: leaves directly")


def answers_to_exempted(here: Here) -> Iterator[NftRule]:
    """Let answers to the host's own exempted flows in: by the uplink, for the tunnel's address that they began with."""
    if any(way.portal.source.kind is PlaceKind.HOST for way in exempting(here)):
        yield rule(
            came_by(here.host.uplink), CtDirection("reply"), BY_UPLINK, Return(), why="answers to what left directly"
        )


def exempt_source(here: Here) -> Iterator[NftRule]:
    """What the host itself sends has a tunnel's address by the time it is exempted, which nobody out there can answer.

    Its segments have the tunnel's size too, which fits the uplink all the same.
    """
    if any(way.portal.source.kind is PlaceKind.HOST for way in exempting(here)):
        for family in here.carried:
            address = here.locked.address(family)
            if address is not None:
                own = source(family, (host_prefix(address),))
                yield rule(leaves_by(here.host.uplink), LENT, own, Masquerade(), why="exempted: leaves directly")


def _goes_on() -> Iterator[NftRule]:
    yield rule(BY_UPLINK, MARK_UPLINK, Return(), why="goes on directly, as it began")
    yield rule(CtState(("new",), negate=True), Return(), why="goes on through the exit, as it began")


def _exempt(here: Here, way: Way) -> Iterator[NftRule]:
    portal = way.portal
    yield rule(FibType("daddr", "local"), Return())
    for family in _families(here, way):
        yield rule(to(family, near(family)), Return())
        yield from leave_directly(here, way, family)
        if portal.only:
            yield rule(to(family, _LINK[family]), Return())
            prefixes = tuple(one for one in portal.only if not isinstance(one, SetUse) and one.version == family)
            if prefixes:
                yield rule(to(family, prefixes), Return(), why="goes through the exit")
        yield from while_young(here, portal, family)
        for use in portal.uses:
            if here.fabric.network.named_domains(use.name):
                yield from exempt_by_name(portal, use, family)
                continue
            held = to(family, set_name(use.name, family))
            if portal.only:
                yield rule(held, Return(), why=f"{use.name} goes through the exit")
            else:
                yield rule(held, SAVE_UPLINK, MARK_UPLINK, Return(), why=f"{use.name} leaves directly")
        if portal.only:
            yield rule(NfProto(family), SAVE_UPLINK, MARK_UPLINK, Return(), why="everything else leaves directly")


def _families(here: Here, way: Way) -> tuple[Family, ...]:
    prefix: Prefix | None = way.portal.source.prefix
    return tuple(
        family
        for family in way.portal.families
        if family in here.usable and (prefix is None or prefix.version == family)
    )
