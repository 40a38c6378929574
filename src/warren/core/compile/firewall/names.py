"""Domains: destinations that are told from others by what a resolver of ours answered (`core.domains`).

    prerouting, output ──► exempt_1:   except   in a, or in b: leaves directly
                                       only     everything, while the sets are young: through the exit
                                                in a: also into b, through the exit; in b: also into a

    nat prerouting ─► resolve:   questions to other resolvers come to ours, which alone fills the sets
    forward        ─► forward:   with `other_dns: refuse`, DNS over TLS and QUIC is refused; over HTTPS it looks like
                                 any other traffic

So of `only:` an address that is in use stays in the sets, by whatever means its user learned it the last time; of
`except:` only answers keep one there. Each errs towards the exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from warren.core.compile.firewall.sets import FAMILY_TYPE, MARK_UPLINK, SAVE_UPLINK, rule, to
from warren.core.compile.firewall.sources import by_specificity, source_matches
from warren.core.compile.here import Here
from warren.core.compile.portals import identity
from warren.core.domains import KEPT, MOST, TOLD, TURN, set_pair, sets_name, young
from warren.model.firewall import (
    DSTNAT,
    Chain,
    Dnat,
    FibType,
    Hook,
    Learn,
    Match,
    NfProto,
    NftRule,
    Port,
    Reject,
    Return,
    Set,
    SetRef,
    SetType,
)
from warren.model.named_set import NameSets, SetUse
from warren.model.network import Way
from warren.model.portal import OtherDns, Portal
from warren.model.prefix import FAMILIES, Address, Family

DNS, DNS_OVER_TLS = 53, 853


def uses_by_name(here: Here, which: Callable[[Portal], bool] = lambda _portal: True) -> tuple[SetUse, ...]:
    """List the domains and lists of domains that portals entered here name, each once; or only such portals."""
    network = here.fabric.network
    uses = {
        use.name: use
        for way in here.entering
        if which(way.portal)
        for use in way.portal.uses
        if network.named_domains(use.name)
    }
    return tuple(uses.values())


def by_name(here: Here, portal: Portal) -> bool:
    """Say whether a portal names a domain."""
    return any(here.fabric.network.named_domains(use.name) for use in portal.uses)


def lay_names(here: Here) -> tuple[NameSets, ...]:
    """Say which sets hold the answers to which domains."""
    network = here.fabric.network
    return tuple(NameSets(sets_name(use.name), network.named_domains(use.name)) for use in uses_by_name(here))


def name_sets(here: Here) -> tuple[Set, ...]:
    """Make the sets of domains, and what times them."""
    uses = uses_by_name(here)
    if not uses:
        return ()
    found = [
        Set(name, FAMILY_TYPE[family], live=True, points=MOST)
        for use in uses
        for family in here.usable
        for name in set_pair(use.name, family)
    ]
    found.append(Set(TURN, SetType.IPV4, live=True, timeout=KEPT, points=16))
    if any(way.portal.only and by_name(here, way.portal) for way in here.entering):
        found += [
            Set(young(family), FAMILY_TYPE[family], (family.everything,), live=True, timeout=TOLD)
            for family in here.usable
        ]
    return tuple(found)


def while_young(here: Here, portal: Portal, family: Family) -> Iterator[NftRule]:
    """Send everything of an `only:` by name through the exit at first: clients may know addresses from before."""
    if portal.only and by_name(here, portal):
        held = to(family, SetRef(young(family)))
        yield rule(held, Return(), why=f"names asked in the last {TOLD} s may be in no set yet")


def exempt_by_name(portal: Portal, use: SetUse, family: Family) -> Iterator[NftRule]:
    """Tell what a domain stands for from the rest."""
    first, second = (SetRef(name) for name in set_pair(use.name, family))
    for held, other in ((first, second), (second, first)):
        if portal.only:
            yield rule(to(family, held), Learn(other, family), Return(), why=f"{use.name} goes through the exit")
        else:
            yield rule(to(family, held), SAVE_UPLINK, MARK_UPLINK, Return(), why=f"{use.name} leaves directly")


def resolve_chain(here: Here) -> Iterator[Chain]:
    """Send questions to other resolvers to the LAN's own."""
    rules = [
        rule(
            *matches,
            NfProto(family),
            Port(proto, "dport", (DNS,)),
            FibType("daddr", "local", negate=True),
            Dnat(address),
            why=f"portal {identity(way.portal)}: asks our resolver",
        )
        for way in by_specificity(here)
        if _other_dns(here, way.portal) in (OtherDns.REDIRECT, OtherDns.REFUSE)
        for family, address in _resolvers(here, way.portal.source.lan)
        for matches in _asking(way, family)
        for proto in ("udp", "tcp")
    ]
    yield Chain("resolve", tuple(rules), Hook("nat", "prerouting", DSTNAT))


def _asking(way: Way, family: Family) -> Iterator[tuple[Match, ...]]:
    """Match who asks over a family: either tells addresses of both, so it does not matter which are the portal's."""
    prefix = way.portal.source.prefix
    if prefix is None or prefix.version == family:
        yield from source_matches(replace(way, portal=replace(way.portal, families=FAMILIES)))


def refused_resolvers(here: Here) -> Iterator[NftRule]:
    """Refuse resolvers that are asked over TLS or QUIC (RFC 7858, RFC 9250), so that programs ask in the clear."""
    for way in by_specificity(here):
        if _other_dns(here, way.portal) is OtherDns.REFUSE:
            for family in here.usable:
                for matches in _asking(way, family):
                    for proto in ("tcp", "udp"):
                        port = Port(proto, "dport", (DNS_OVER_TLS,))
                        yield rule(*matches, NfProto(family), port, Reject(), why="asks past our resolver")


def _other_dns(here: Here, portal: Portal) -> OtherDns:
    return portal.other_dns or (OtherDns.REDIRECT if by_name(here, portal) else OtherDns.LEAVE)


def _resolvers(here: Here, lan: str) -> Iterator[tuple[Family, Address]]:
    """Give the addresses at which a LAN's resolver is asked, one of each family."""
    device = here.host.lan(lan)
    for family in here.usable:
        for address in (*device.addresses, *device.delegated):
            if address.version == family:
                yield family, address.ip
                break
