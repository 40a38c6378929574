"""A portal's source as matches, and the order in which sources are asked: the narrower first."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import came_by, source
from warren.core.compile.here import Here
from warren.model.firewall import EtherSource, Match, NfProto
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.prefix import Family


def by_specificity(here: Here) -> list[Way]:
    """Sort the portals that forward traffic: a MAC, then the longest prefix, then LANs."""
    order = {PlaceKind.MAC: 0, PlaceKind.PREFIX: 1, PlaceKind.LAN: 2}
    ways = [way for way in here.entering if way.portal.source.kind in order]

    def key(way: Way) -> tuple[int, int]:
        prefix = way.portal.source.prefix
        return order[way.portal.source.kind], -prefix.prefixlen if prefix is not None else 0

    return sorted(ways, key=key)


def source_matches(way: Way) -> Iterator[tuple[Match, ...]]:
    """Give the matches that hold a portal's source, one tuple for each rule that is needed."""
    portal = way.portal
    lan = came_by(portal.source.lan)
    families = (NfProto(portal.families[0]),) if len(portal.families) == 1 else ()
    if portal.source.kind is PlaceKind.MAC:
        yield (lan, EtherSource((portal.source.mac,)), *families)
    elif portal.source.prefix is None:
        yield (lan, *families)
    elif portal.source.prefix.version in portal.families:
        yield (lan, source(Family(portal.source.prefix.version), (portal.source.prefix,)))
