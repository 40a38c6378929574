"""What a portal asks of each host on its way.

    nyc ──(dedicated device)──► paris ──(dedicated device)──► tokyo ──uplink──► internet
    entry                       relay                          exit

A host holds each next hop on a *dedicated* device, because it must accept any address from it; towards the
hosts whose exit or relay it is, its shared device will do. A gateway that publishes something here with its source
kept is held on such a device too. A portal of more than one tunnel is a *chain*: its
entry rewrites the source to overlay addresses of the chain's own, by which the later hops know it. Portals that
share a chain's first tunnel have such addresses too: without nft no packet of one is taken for another's.
"""

from __future__ import annotations

from warren.core.compile.publishes import kept_gateways
from warren.model.network import Network, Way
from warren.model.portal import Portal


def hops(network: Network, portal: Portal) -> tuple[str, ...]:
    """List a portal's hosts from entry to its first exit."""
    return next(way.hops for way in network.ways if way.portal is portal)


def identity(portal: Portal) -> str:
    """Name a portal by what it joins, not by its place in the file: the key of its lock entry.

    Its spare exits are not part of it: one more or less moves neither its addresses nor its table.
    """
    return f"{portal.source} -> {','.join((*portal.via, portal.exit))}"


def ways_from(network: Network, host: str) -> tuple[Way, ...]:
    """List the portals a host is the entry of, in the file's order, each with its way to its first exit."""
    return tuple(way for way, at in network.ways_by_host.get(host, ()) if at == 0 and way.rank == 0)


def ways_of(network: Network, portal: Portal) -> tuple[Way, ...]:
    """List the ways of a portal, one for each exit, the preferred first."""
    return tuple(
        way for way, at in network.ways_by_host.get(portal.source.host, ()) if at == 0 and way.portal is portal
    )


def ways_through(network: Network, host: str) -> tuple[tuple[Way, int], ...]:
    """List the portals that reach a host through a tunnel, and at which hop it stands."""
    return tuple((way, at) for way, at in network.ways_by_host.get(host, ()) if at > 0)


def dedicated_peers(network: Network, host: str) -> tuple[str, ...]:
    """List the peers that a host holds on devices of their own, sorted by name: its next hops, and its gateways."""
    on = network.ways_by_host.get(host, ())
    return tuple(
        sorted({way.hops[at + 1] for way, at in on if at + 1 < len(way.hops)} | {*kept_gateways(network, host)})
    )


def peers_apart(network: Network, host: str) -> frozenset[str]:
    """Name the peers that a host holds on devices of their own, also where no lock says what is delegated."""
    delegating = {delegate.source for delegate in network.delegates if delegate.to == host}
    return frozenset((*dedicated_peers(network, host), *delegating))


def addressed_portals(network: Network, host: str) -> tuple[Portal, ...]:
    """List the portals entered at a host that need overlay addresses of their own: chains and their siblings."""
    return tuple(way.portal for way, at in network.ways_by_host.get(host, ()) if at == 0 and way.addressed)
