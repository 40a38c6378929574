"""What routing by name asks of a resolver: that its answers fill sets, and nobody learns addresses past it.

fills      each domain of a portal, with every set whose domains it is at or below: dnsmasq takes the longest alone
cached 0   an answer out of a cache would fill nothing (`core.domains`)
told       how long whoever asks may remember
hidden     HTTPS and SVCB records have addresses in them (RFC 9460, ipv4hint and ipv6hint) that would fill nothing
denied     names by which programs ask whether they may resolve past the network's resolver
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from warren.core.compile.firewall.names import uses_by_name
from warren.core.compile.here import Here
from warren.core.domains import TOLD, set_pair
from warren.core.geo.domains import parents
from warren.core.resolving import Fill, Resolving
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.state import HostState

HIDDEN = ("HTTPS", "SVCB")
# Firefox; iCloud Private Relay, by the words of their makers for networks that resolve for a reason.
CANARIES = ("use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com")


def filling(here: Here, lan: str, resolving: Resolving | None) -> Resolving | None:
    """Have the resolver of a LAN, or with an empty name the host's own, fill the sets of the portals entered there."""
    fills = tuple(_fills(here, lan)) if resolving is not None else ()
    if resolving is None or not fills:
        return resolving
    return replace(resolving, fills=fills, cached=0, max_ttl=0, told=TOLD, hidden=HIDDEN, denied=CANARIES)


def asks_by_name(here: Here, lan: str) -> bool:
    """Say whether a portal that is entered there names a domain."""
    return bool(uses_by_name(here, lambda portal: entered_at(portal, lan)))


def entered_at(portal: Portal, lan: str) -> bool:
    """Say whether a portal is entered at a LAN, or with an empty name by the host's own traffic."""
    source = portal.source
    return source.kind is PlaceKind.HOST if not lan else source.lan == lan


def _fills(here: Here, lan: str) -> Iterator[Fill]:
    """Give the domains by the sets that their answers go to, each domain once."""
    network = here.fabric.network
    uses = uses_by_name(here, lambda portal: entered_at(portal, lan))
    named: dict[str, list[str]] = defaultdict(list)
    for use in uses:
        for domain in network.named_domains(use.name):
            named[domain].append(use.name)
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for domain in named:
        together[tuple(dict.fromkeys(use for above in parents(domain) for use in named.get(above, ())))].append(domain)
    table = HostState(here.host.name, network.name).table_name
    for held, domains in together.items():
        sets = (
            f"{family.value}#inet#{table}#{name}"
            for use in held
            for family in here.usable
            for name in set_pair(use, family)
        )
        yield Fill(tuple(domains), tuple(sets))
