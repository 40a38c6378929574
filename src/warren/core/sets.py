"""Countries and lists that portals name: their contents put into the network, and what is exempted by them.

Contents are values that come from without (a registry's files, list files), as keys and the lock do; what could not be
had stays in the network as the reason why, and `core.check` says it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from warren.core.domains import DOMAIN
from warren.model.dns import Dns
from warren.model.named_set import ListSource, NamedSet, SetUse
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Address, Family, Prefix, Span, family_of, merge, span_of, subtract

# Gives the contents of `country:CN`, or of a list, whose file is then told.
ReadSet = Callable[[str, ListSource | None], NamedSet]


def fill(network: Network, read: ReadSet | None) -> Network:
    """Put the contents of every set that a portal names into the network, each read once."""
    files = {f"list:{one.name}": one for one in network.lists}
    names = dict.fromkeys(use.name for portal in network.portals for use in (*portal.uses, *_of_dns(portal)))
    names |= dict.fromkeys(name for portal in network.portals if portal.dns is not None for name in portal.dns.lists)
    if not names:
        return network
    filled = replace(network, named=tuple(_read(name, files.get(name), read) for name in names))
    return replace(filled, portals=tuple(_resolved(filled, portal) for portal in filled.portals))


def _resolved(network: Network, portal: Portal) -> Portal:
    """Have a host's own names resolved at its exit, where it is steered by names and the file does not say by whom.

    Its own resolver cannot be asked: it is pointed at the network's, which fills the sets.
    """
    by_name = any(network.named_domains(use.name) for use in portal.uses)
    if portal.dns is not None or portal.source.kind is not PlaceKind.HOST or not by_name:
        return portal
    return replace(portal, dns=Dns(at_exit=True, at=portal.at))


def _of_dns(portal: Portal) -> tuple[SetUse, ...]:
    """The sets by which its answers are judged, which need not be among what it excepts."""
    return tuple(one for one in portal.judged_by if isinstance(one, SetUse))


def _read(name: str, file: ListSource | None, read: ReadSet | None) -> NamedSet:
    if name.startswith(DOMAIN):
        return NamedSet(name, domains=(name.removeprefix(DOMAIN),))
    if read is None or (file is None and name.startswith("list:")):
        return NamedSet(name, missing="its addresses are not at hand", remedy="Read the file where they are.")
    return read(name, file)


@dataclass(frozen=True)
class Exempted:
    """The destinations of one family that a portal leaves to the entry's own way out, as sorted, disjoint spans.

    Prefixes that are excepted one by one are not among them: rules of routing know these, and need no marks.
    """

    spans: tuple[Span, ...]
    family: Family

    def holds(self, address: Address) -> bool:
        """Say whether a destination is exempted."""
        at = bisect_right(self.spans, (int(address), 1 << 128)) - 1
        return address.version == self.family and at >= 0 and int(address) <= self.spans[at][1]

    def rest(self) -> Exempted:
        """Give what is left to the portal in the same form."""
        return Exempted(tuple(subtract([span_of(self.family.everything)], self.spans)), self.family)


def exempts(network: Network, portal: Portal, family: Family) -> bool:
    """Say whether marks exempt anything of a family that the portal claims.

    Rules refuse a family that the overlay lacks. A host's own packets are asked for a way before they are marked; and
    the way back to who answers by IPv4 is looked up as if the answer came from the LAN, without a mark (rp_filter).
    """
    if family in network.families or portal.source.kind is PlaceKind.MAC:
        return True
    return family is Family.IPV6 and portal.source.kind is not PlaceKind.HOST


def exempted(network: Network, portal: Portal, family: Family) -> Exempted:
    """Work out what countries, lists and `only:` exempt from a portal."""
    if not portal.only:
        return Exempted(tuple(merge(_spans(network, portal.excepted, family))), family)
    return Exempted(tuple(subtract([span_of(family.everything)], _spans(network, portal.only, family))), family)


def _spans(network: Network, named: tuple[Prefix | SetUse, ...], family: Family) -> Iterator[Span]:
    for one in named:
        if isinstance(one, SetUse):
            yield from map(span_of, network.named_prefixes(one.name, family))
        elif family_of(one) is family:
            yield span_of(one)
