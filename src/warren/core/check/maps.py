"""Checks of `map:`: that each LAN's own prefix has one as long in the network, which nobody else has."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.check.nesting import OwnedLan, lans_of, nested
from warren.core.check.subject import Check, Subject, family_name, finding
from warren.core.maps import wanted
from warren.model.diagnostic import Diagnostic
from warren.model.host import Host, Lan
from warren.model.prefix import FAMILIES, PRIVATE, Family, covers, family_of, overlaps


def fits(subject: Subject) -> Iterator[Diagnostic]:
    """A map has a prefix for each subnet of the families that it names, as long as the subnet."""
    for host in subject.network.hosts:
        for lan in host.lans:
            if lan.maps and lan.addresses:
                for family in FAMILIES:
                    yield from _family_fits(subject, host, lan, family)


def _family_fits(subject: Subject, host: Host, lan: Lan, family: Family) -> Iterator[Diagnostic]:
    own = list(dict.fromkeys(prefix for prefix in lan.prefixes if prefix.version == family))
    maps = [(at, prefix) for at, prefix in enumerate(lan.maps) if prefix.version == family]
    name = f"`{host.name}.{lan.name}`"
    for number, (at, prefix) in enumerate(maps):
        where = subject.spots(lan.at, "map", at)
        if number >= len(own):
            has = f"has {len(own)} {family_name(family)} subnets" if own else f"has no {family_name(family)}"
            yield finding("W142", where, f"{name} {has}, so `{prefix}` maps nothing.", "Take it out.")
        elif own[number].prefixlen != prefix.prefixlen:
            says = f"`{prefix}` is not as long as `{own[number]}`, the subnet of {name}: a map is 1:1."
            better = ip_network((prefix.network_address, own[number].prefixlen), strict=False)
            yield finding("W140", where, says, f"Write `{better}`, or `map: auto`.")
    if maps and len(maps) < len(own):
        left = own[len(maps)]
        says = f"{name} has {len(own)} {family_name(family)} subnets, and `{left}` has no map."
        yield finding("W142", subject.spots(lan.at, "map"), says, "Add a prefix for it, or write `map: auto`.")


def seen(subject: Subject) -> Iterator[Diagnostic]:
    """A map is one that others see: of a LAN that is announced, in a family that tunnels carry."""
    for host in subject.network.hosts:
        for lan in host.lans:
            if not (lan.maps or lan.map_auto):
                continue
            name = f"`{host.name}.{lan.name}`"
            if lan.closed:
                says = f"{name} is closed, so nobody sees it under another prefix either."
                yield finding("W144", subject.spots(lan.at, "map"), says, "Take `closed: true` or `map:` out.")
                continue
            if lan.map_auto and lan.addresses and not wanted(subject.network, lan):
                says = f"{name} has no private subnet of a family that the overlay has, so there is nothing to map."
                yield finding("W143", subject.spots(lan.at, "map"), says, "Take `map: auto` out.")
            for at, prefix in enumerate(lan.maps):
                where = subject.spots(lan.at, "map", at)
                if subject.network.overlay and family_of(prefix) not in subject.network.families:
                    family = family_name(family_of(prefix))
                    says = f"The overlay has no {family}, so nobody sees {name} as `{prefix}`."
                    yield finding("W143", where, says, f"Add an {family} prefix to `overlay:`, or take it out.")
                elif not any(covers(private, prefix) for private in PRIVATE):
                    says = f"The mapped prefix `{prefix}` of {name} is not private."
                    hint = "Take for instance `10.99.1.0/24` or `fd99:1::/64`, unless these addresses are yours."
                    yield finding("W146", where, says, hint)


def free(subject: Subject) -> Iterator[Diagnostic]:
    """No part of a mapped prefix is the overlay's, a LAN's or another map's."""
    hosts = subject.network.hosts
    # As positions of maps, which are no LANs, negative numbers.
    maps = [
        OwnedLan(host, lan, prefix, -1 - at)
        for host in hosts
        for lan in host.lans
        for at, prefix in enumerate(lan.maps)
    ]
    if not maps:
        return
    for one in maps:
        for ours in subject.network.overlay:
            if overlaps(ours, one.prefix):
                yield _taken(subject, one, f"overlaps the overlay, `{ours}`")
    told: set[tuple[str, str, int]] = set()
    for one, around in nested([*lans_of(hosts), *maps]):
        for other in around:
            if one.position >= 0 and other.position >= 0:
                continue
            # The map is at fault, and of two maps the one that stands later in the file.
            mine, theirs = sorted((one, other), key=lambda owned: owned.position >= 0)
            if theirs.position < 0 and _place(theirs) > _place(mine):
                mine, theirs = theirs, mine
            known = (mine.host.name, mine.lan.name, mine.position)
            if known in told:
                continue
            told.add(known)
            called = f"`{theirs.host.name}.{theirs.lan.name}`"
            what = f"the map of {called}" if theirs.position < 0 else f"the LAN {called}"
            yield _taken(subject, mine, f"overlaps {what}, `{theirs.prefix}`")


def _place(owned: OwnedLan) -> tuple[int, int, int]:
    at = owned.lan.at
    return (at.line, at.column, -owned.position) if at is not None else (0, 0, -owned.position)


def _taken(subject: Subject, one: OwnedLan, why: str) -> Diagnostic:
    where = subject.spots(one.lan.at, "map", -1 - one.position)
    says = f"`{one.prefix}`, the map of `{one.host.name}.{one.lan.name}`, {why}."
    return finding("W141", where, says, "Choose a prefix that no site uses, or write `map: auto`.")


def room(subject: Subject) -> Iterator[Diagnostic]:
    """There is a prefix left for every LAN that leaves its map to warren."""
    full = subject.full
    if full is not None:
        says = f"There is no free prefix as long as `{full.own}` for the map of `{full.host}.{full.lan}`."
        hint = "Narrow the LAN to what it uses, or write a prefix yourself."
        yield finding("W145", subject.spots(subject.lans[full.host, full.lan].at, "map"), says, hint)


CHECKS: tuple[Check, ...] = (fits, seen, free, room)
