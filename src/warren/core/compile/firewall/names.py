"""Domains: destinations that are told from others by what a resolver of ours answered (`core.domains`).

    prerouting, output ──► exempt_1:   except   in a, or in b: leaves directly
                                       only     everything, while the sets are young: through the exit
                                                in a: also into b, through the exit; in b: also into a

So of `only:` an address that is in use stays in the sets, by whatever means its user learned it the last time; of
`except:` only answers keep one there. Each errs towards the exit.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import FAMILY_TYPE, MARK_UPLINK, SAVE_UPLINK, rule, to
from warren.core.compile.here import Here
from warren.core.domains import KEPT, MOST, TOLD, TURN, set_pair, sets_name, young
from warren.model.firewall import Learn, NftRule, Return, Set, SetRef, SetType
from warren.model.named_set import NameSets, SetUse
from warren.model.place import Place
from warren.model.portal import Portal
from warren.model.prefix import Family


def uses_by_name(here: Here, source: Place | None = None) -> tuple[SetUse, ...]:
    """List the domains and lists of domains that portals entered here name, each once; with `source`, of that one."""
    network = here.fabric.network
    uses = {
        use.name: use
        for way in here.entering
        if source is None or way.portal.source == source
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
