"""Routing tables of ours: near, and one for each device that portals leave by.

Behind every device's route stands an `unreachable`, so that a device that is gone blocks and never leaks.
"""

from __future__ import annotations

from warren.core.compile.failover import lay_live_tables
from warren.core.compile.here import Here
from warren.core.compile.ledger import exit_table
from warren.model.place import PlaceKind
from warren.model.prefix import Family, host_prefix
from warren.model.state import BEHIND, Route, RouteKind


def lay_routes(here: Here) -> tuple[Route, ...]:
    """Lay out the near table and the exit tables of a host."""
    return (*_near(here), *_exits(here), *lay_live_tables(here))


def _near(here: Here) -> list[Route]:
    table = here.ledger.table("near")
    routes: list[Route] = []
    for peer in here.peers:
        device = here.device(peer.name)
        own = here.fabric.belongings(peer.name) + here.fabric.chains_back(here.host.name, peer.name)
        for group in (own, *here.fabric.carried(here.host.name, peer.name)):
            routes += here.fabric.shared.routes(group, table, device)
    for guests in here.guests:
        addresses = (address for one in guests.members for address in here.fabric.guest_addresses(one.name))
        routes += [Route(address, table, guests.device) for address in addresses if address.version in here.carried]
    routes += _translated(here, table)
    for family in here.usable:
        routes += here.fabric.shared.routes(here.near(family), table)
    routes += here.fabric.shared.routes(here.apart, table)
    if len(here.carried) < len(here.fabric.network.families) or here.yielded:
        return [route for route in routes if route.prefix.version in here.usable and not here.yields(route.prefix)]
    return routes


def _translated(here: Here, table: int) -> list[Route]:
    """Nobody here has the addresses that chains are known by from their entry on: answers to them are translated back.

    An answer that is not (the firewall table is lost, or conntrack forgot its flow) ends in silence. An error would
    go to the far end of the portal's flow, by the uplink of the host where it begins.
    """
    addresses = (address for way in here.entering for address in here.chain(way) if address.version in here.usable)
    return [Route(host_prefix(address), table, kind=RouteKind.BLACKHOLE) for address in dict.fromkeys(addresses)]


def _exits(here: Here) -> list[Route]:
    routes = []
    for peer in here.dedicated:
        device = here.device(peer)
        table = here.ledger.table(exit_table(device))
        for family in here.usable:
            if family in here.carried or (family is Family.IPV6 and _is_own_exit(here, peer)):
                routes.append(Route(family.everything, table, device))
            routes.append(Route(family.everything, table, kind=RouteKind.UNREACHABLE, metric=BEHIND))
    return routes


def _is_own_exit(here: Here, peer: str) -> bool:
    """Say whether the host's own IPv6 leaves by a peer, though no tunnel may carry it.

    It is led into the tunnel's device all the same, which refuses it: were there no route at all, the kernel would
    try again with the uplink's address, and what has that address answers who came in by the uplink.
    """
    return any(
        way.portal.source.kind is PlaceKind.HOST and way.hops[1] == peer and Family.IPV6 in way.portal.families
        for way in here.leaving
    )
