"""Portals with several exits, or with another way out: what the agent chooses from, and what keeps flows apart.

    rule     the portal's source ─► its own table: the exits' devices by metric, and behind them an `unreachable`
    mark     each exit has one for connections: a flow goes on by the exit it began with, and by no other
    rule     that mark ─► the exit's table
    rule     a socket bound to the exit's device ─► the exit's table: so its health is asked

A flow whose exit is dead is ended by the agent, which forgets its connection. What then comes of it is taken for a new
flow without a beginning: TCP is reset, anything else begins anew by the exit that is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from warren.core.compile.here import Here
from warren.core.compile.ledger import exit_mark, exit_table, live_table
from warren.core.compile.portals import identity, ways_of
from warren.model.choice import FIRST_METRIC, Candidate, Choice
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import IfDown, Portal
from warren.model.prefix import Address, Family
from warren.model.state import BEHIND, Route, RouteKind

# Asked where the file names nobody: two public resolvers each that answer pings from anywhere.
USUAL: dict[Family, tuple[Address, ...]] = {
    Family.IPV4: (ip_address("1.1.1.1"), ip_address("9.9.9.9")),
    Family.IPV6: (ip_address("2606:4700:4700::1111"), ip_address("2620:fe::fe")),
}


def by_agent(here: Here) -> tuple[Portal, ...]:
    """List the portals entered here whose exit the agent chooses."""
    return tuple(way.portal for way in here.entering if way.portal.by_agent)


def mark_of(here: Here, peer: str) -> int:
    """Give the mark of connections that stay with an exit."""
    return here.ledger.mark(exit_mark(here.device(peer)))


def table_of(here: Here, way: Way) -> int:
    """Give the table that a portal's source looks up: its own where the agent chooses, else its exit's."""
    if way.portal.by_agent:
        return here.ledger.table(live_table(identity(way.portal)))
    return here.ledger.table(exit_table(here.device(way.hops[1])))


def direct_set(here: Here, way: Way, family: Family) -> str:
    """Name the live set that exempts everything; empty where nothing is to leave directly.

    It has the number of the portal's table, which stays: no other portal ever finds it filled.
    """
    return f"direct_{table_of(here, way)}_{family.value}" if way.portal.if_down is IfDown.DIRECT else ""


def lay_choices(here: Here) -> tuple[Choice, ...]:
    """Say what the agent chooses from on this host, by portal and family."""
    return tuple(choice for way in here.entering if way.portal.by_agent for choice in _choices(here, way))


def _choices(here: Here, way: Way) -> Iterator[Choice]:
    portal = way.portal
    exits = tuple(
        Candidate(one.hops[-1], here.device(one.hops[1]), mark_of(here, one.hops[1]))
        for one in ways_of(here.fabric.network, portal)
    )
    whole = portal.source.prefix
    for family in portal.families:
        if family not in here.carried or (whole is not None and whole.version != family):
            continue
        # Machines of a LAN may have addresses that the file does not know.
        sources = tuple(one for one in here.source_prefixes(portal) if one.version == family) or (family.everything,)
        asked = tuple(address for address in portal.health if address.version == family) or USUAL[family]
        direct = direct_set(here, way, family)
        yield Choice(identity(portal), family, table_of(here, way), exits, sources, asked, direct)


def lay_live_tables(here: Here) -> Iterator[Route]:
    """Lay out the tables that the agent's choices are made in: the exits by metric, and behind them what blocks."""
    for way in here.entering:
        if not way.portal.by_agent:
            continue
        table = table_of(here, way)
        for family in here.usable:
            for one in ways_of(here.fabric.network, way.portal):
                if leads(here, way, family):
                    device = here.device(one.hops[1])
                    yield Route(family.everything, table, device, metric=FIRST_METRIC + one.rank)
            yield Route(family.everything, table, kind=RouteKind.UNREACHABLE, metric=BEHIND)


def leads(here: Here, way: Way, family: Family) -> bool:
    """Say whether a family is led into the tunnel's device: a host's own IPv6 is even where no tunnel carries it."""
    own = way.portal.source.kind is PlaceKind.HOST and family is Family.IPV6 and family in way.portal.families
    return family in here.carried or own
