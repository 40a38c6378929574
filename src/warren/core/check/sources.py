"""Checks of portals beside each other: who claims a source, and what of a machine no portal claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.model.diagnostic import Diagnostic
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Family, family_of

Claim = tuple[object, ...]


def claims(subject: Subject) -> Iterator[Diagnostic]:
    """No two portals claim the same packets; the more specific one of two is fine."""
    first: dict[tuple[Claim, Family], Portal] = {}
    for portal in subject.network.portals:
        for family in _families(portal):
            other = first.setdefault((_claim(subject, portal.source, family), family), portal)
            if other is not portal:
                line = f" in line {other.at.line}" if other.at else ""
                says = f"`{portal.source}` enters a portal to `{portal.exit}` here, and one to `{other.exit}`{line}."
                hint = "Delete one, narrow one to part of the source, or give each a `family:` of its own."
                yield finding("W072", subject.portal_spot(portal, "from"), says, hint)
                break


def _families(portal: Portal) -> tuple[Family, ...]:
    prefix = portal.source.prefix
    return portal.families if prefix is None else (family_of(prefix),)


def _claim(subject: Subject, place: Place, family: Family) -> Claim:
    """Name what a place means for packets of a family: a LAN of one subnet is the same as that subnet."""
    if place.kind is PlaceKind.LAN:
        prefixes = subject.lans[place.host, place.lan].prefixes
        own = {prefix for prefix in prefixes if prefix.version == family}
        return (place.host, place.lan, own.pop() if len(own) == 1 else "")
    return (place.host, place.lan, place.mac or place.prefix or "")


def open_families(subject: Subject) -> Iterator[Diagnostic]:
    """A machine named by an address of one family is named by the other family too, or `family:` is written."""
    whole = {(p.source.host, p.source.lan, f) for p in subject.network.portals for f in p.families if _is_lan(p)}
    named = Counter((_group(p), family_of(p.source.prefix)) for p in subject.network.portals if p.source.prefix)
    for portal in subject.network.portals:
        source = portal.source
        if source.prefix is None or len(portal.families) < len(FAMILIES):
            continue
        family = family_of(source.prefix)
        other = next(one for one in FAMILIES if one is not family)
        # A machine has one IPv4 address and any number of IPv6 ones.
        wanted = named[_group(portal), family] if family is Family.IPV4 else 1
        if (source.host, source.lan, other) in whole or named[_group(portal), other] >= wanted:
            continue
        name = family_name(other)
        says = f"The portal from `{source}` says nothing about the {name} of the same machines, which stays open."
        hint = f"Name its MAC (`{source.host}.{source.lan}.MAC`), add its {name}, or write `family: {family.word}`."
        yield finding("W073", subject.portal_spot(portal, "from"), says, hint)


def _is_lan(portal: Portal) -> bool:
    return portal.source.kind is PlaceKind.LAN


def _group(portal: Portal) -> tuple[object, ...]:
    """Portals that may be meant for one machine: of one LAN, by one way."""
    return portal.source.host, portal.source.lan, portal.via, portal.exits


def own_addresses(subject: Subject) -> Iterator[Diagnostic]:
    """A portal of an address on a LAN is not one of the host's own address there."""
    for portal in subject.network.portals:
        source = portal.source
        if source.prefix is None or source.prefix.num_addresses > 1:
            continue
        lan = subject.lans[source.host, source.lan]
        if source.prefix.network_address in {address.ip for address in lan.addresses}:
            says = f"`{source.prefix.network_address}` is the address of `{source.host}` itself on `{source.lan}`."
            hint = f"Write `from: {source.host}` for the host's own traffic, or another machine's address."
            yield finding("W064", subject.portal_spot(portal, "from"), says, hint)


CHECKS: tuple[Check, ...] = (claims, open_families, own_addresses)
