"""Checks of `dns:`: that whoever is to resolve can be asked, and that what is promised of names can be so."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.model.diagnostic import Diagnostic, Where
from warren.model.dns import Dns
from warren.model.named_set import NamedSet, SetUse
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Prefix, family_of

_UNKNOWN = NamedSet("")


def sources(subject: Subject) -> Iterator[Diagnostic]:
    """Names are resolved for a whole LAN, or for a host; and in one way."""
    told: dict[str, Portal] = {}
    for portal in _resolving(subject):
        here = portal.source
        where = subject.portal_spot(portal, "dns")
        if here.kind not in (PlaceKind.LAN, PlaceKind.HOST) or portal.delegated:
            says = f"`dns:` is for a whole LAN or a host, and `{here}` is a part of `{here.host}.{here.lan}`."
            hint = f"Write `dns:` at a portal from `{here.host}.{here.lan}`; whoever is there asks its resolver."
            yield finding("W197", where, says, hint)
            continue
        other = told.setdefault(str(here), portal)
        if other is not portal:
            line = other.at.line if other.at else 0
            says = f"The names of `{here}` are resolved in two ways; the first is in line {line}."
            yield finding("W202", where, says, "Keep `dns:` at one of the two portals.")


def reached(subject: Subject) -> Iterator[Diagnostic]:
    """Each resolver has an address of a family that its way carries."""
    network = subject.network
    for portal in _resolving(subject):
        dns = _dns(portal)
        for at, one in enumerate(dns.trusted):
            family = family_of(one.address)
            if network.overlay and family not in network.families:
                says = f"`{one}` would be asked through the tunnel, and the overlay has no {family_name(family)}."
                hint = f"Write an address of another family, or add an {family_name(family)} prefix to `overlay:`."
                yield finding("W199", _spot(subject, portal, "trusted", at), says, hint)
        for at, one in enumerate(dns.domestic):
            near = next(iter(subject.near.around(ip_network(one.address))), None)
            if near is not None:
                says = f"`{one}` is in `{near[0]}`, {near[1]}, and no domestic resolver is beyond a tunnel."
                hint = "Write one that is reached by the uplink, or have all asked of it: `dns: [ADDRESS]`."
                yield finding("W199", _spot(subject, portal, "domestic", at), says, hint)


def _spot(subject: Subject, portal: Portal, side: str, at: int) -> Where:
    key = ("dns", side, at) if _dns(portal).judged else ("dns", at)
    return subject.portal_spot(portal, *key)


def sets(subject: Subject) -> Iterator[Diagnostic]:
    """Where two sides answer, it is known which addresses are domestic."""
    for portal in _resolving(subject):
        dns = _dns(portal)
        if not dns.judged:
            continue
        where = subject.portal_spot(portal, "dns", "domestic_set")
        domains = subject.network.named_domains
        if all(isinstance(one, SetUse) and domains(one.name) for one in portal.judged_by):  # names alone, or nothing
            says = "What is domestic is not said: an answer cannot be judged by its addresses."
            yield finding("W198", where, says, "Add `domestic_set: country:CN`, or except a country from the portal.")
            continue
        for use in portal.judged_by:
            if not isinstance(use, SetUse) or not dns.domestic_set:
                continue  # what the portal excepts is judged there
            held = subject.network.named_by_name.get(use.name, _UNKNOWN)
            at = subject.portal_spot(portal, "dns", "domestic_set", use.index)
            if held.missing:
                yield finding("W170", at, f"`{use.name}` cannot be had: {held.missing}.", held.remedy)
            elif not held.prefixes:
                says = f"`{use.name}` holds no address, so no answer would ever be domestic."
                yield finding("W198", at, says, "Name a country or a list that has addresses.")


def names(subject: Subject) -> Iterator[Diagnostic]:
    """No name belongs to both sides."""
    for portal in _resolving(subject):
        dns = _dns(portal)
        for key, side in (("domestic_names", dns.domestic_names), ("trusted_names", dns.trusted_names)):
            for at, name in enumerate(side):
                held = subject.network.named_by_name.get(name)
                where = subject.portal_spot(portal, "dns", key, at)
                if held is not None and held.missing:
                    yield finding("W170", where, f"`{name}` cannot be had: {held.missing}.", held.remedy)
                elif held is not None and not held.domains:
                    hint = "Give it `kind: domains`, and one domain a line in its file."
                    yield finding("W186", where, f"`{name}` holds no domain.", hint)
        for at, name in enumerate(dns.trusted_names):
            if name in dns.domestic_names:
                says = f"`{name}` is among `domestic_names` and among `trusted_names`."
                yield finding(
                    "W200", subject.portal_spot(portal, "dns", "trusted_names", at), says, "Keep one of them."
                )


def circles(subject: Subject) -> Iterator[Diagnostic]:
    """Hosts that have each other's exits resolve for them would ask in a circle for ever."""
    asks = {
        portal.source.host: portal
        for portal in _resolving(subject)
        if portal.source.kind is PlaceKind.HOST and _dns(portal).at_exit
    }
    for start, portal in asks.items():
        passed, here = [start], portal.exit
        while here in asks and here not in passed:
            passed.append(here)
            here = asks[here].exit
        if here == start:
            arrows = " → ".join((*passed, start))
            says = f"The names of `{start}` are resolved at its exit, and so on in a circle: `{arrows}`."
            hint = "Give one of these portals resolvers: `dns: [9.9.9.9]`."
            yield finding("W201", subject.portal_spot(portal, "dns"), says, hint)


def promises(subject: Subject) -> Iterator[Diagnostic]:
    """A name can only be promised where warren has it resolved."""
    resolving = {str(portal.source) for portal in _resolving(subject)}
    for expect in subject.network.expects:
        if expect.resolves is None:
            continue
        here = expect.source_place
        part = here.kind in (PlaceKind.PREFIX, PlaceKind.MAC)
        asked = f"{here.host}.{here.lan}" if part else str(here)  # whoever is on the LAN asks the LAN's resolver
        if asked not in resolving:
            says = f"No portal says how names are resolved for `{here}`, so nothing can be promised of them."
            hint = f"Add `dns:` to the portal from `{asked}`, or take the expectation out."
            yield finding("W204", subject.spots(expect.at, "resolves"), says, hint)


def _resolving(subject: Subject) -> tuple[Portal, ...]:
    return tuple(portal for portal in subject.network.portals if portal.dns is not None)


def _dns(portal: Portal) -> Dns:
    assert portal.dns is not None
    return portal.dns


def domestic_prefixes(portal: Portal, named: dict[str, NamedSet]) -> Iterator[Prefix]:
    """List the prefixes whose addresses are domestic for a portal."""
    for one in portal.judged_by:
        if isinstance(one, SetUse):
            yield from named.get(one.name, _UNKNOWN).prefixes
        else:
            yield one


CHECKS: tuple[Check, ...] = (sources, reached, sets, names, circles, promises)
