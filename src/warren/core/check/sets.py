"""Checks of the countries and lists that portals name, and of what `only:` leaves to a portal."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.core.domains import DOMAIN
from warren.core.geo.domains import parents
from warren.core.geo.special import SPECIAL
from warren.core.sets import exempted, exempts
from warren.model.diagnostic import Diagnostic, Where
from warren.model.named_set import ListKind, NamedSet, SetUse
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Family, covers, family_of, span_of, subtract

_UNKNOWN = NamedSet("")


def contents(subject: Subject) -> Iterator[Diagnostic]:
    """Each country and list that a portal names has addresses; those that are not here can be had."""
    for portal in subject.network.portals:
        for use in portal.uses:
            held = subject.network.named_by_name.get(use.name)
            if held is None:
                continue
            where = spot(subject, portal, use)
            if held.missing:
                yield finding("W170", where, f"`{use.name}` cannot be had: {held.missing}.", held.remedy)
            elif not held.prefixes and not held.domains:
                yield _nothing(use, where, subject.network)
            elif held.doubt and held.domains:
                yield finding("W187", where, f"`{use.name}` is not taken word for word: {held.doubt}.", held.remedy)
            elif held.doubt:
                yield finding("W177", where, f"`{use.name}` may lack something: {held.doubt}.", held.remedy)


def spot(subject: Subject, portal: Portal, use: SetUse) -> Where:
    """Find where a portal names a set."""
    return subject.portal_spot(portal, "only" if portal.only else "except", use.index)


def _nothing(use: SetUse, where: Where, network: Network) -> Diagnostic:
    kind, _, name = use.name.partition(":")
    if any(one.name == name and one.kind is ListKind.DOMAINS for one in network.lists):
        return finding("W186", where, f"The list `{name}` holds no domain.", "Write one domain a line into its file.")
    if kind == "country":
        says = f"No registry gave an address to a country `{name}`."
        return finding("W171", where, says, "`warren geo countries` lists those that have addresses.")
    says = f"The list `{name}` holds no public address."
    return finding("W173", where, says, "Write one prefix a line into its file, or take the list out of the portal.")


def twice(subject: Subject) -> Iterator[Diagnostic]:
    """A set that stands in a portal a second time says nothing new."""
    for portal in subject.network.portals:
        seen: set[str] = set()
        for use in portal.uses:
            if use.name in seen:
                says = f"`{use.name}` stands there twice."
                yield finding("W074", spot(subject, portal, use), says, "Delete it.")
            seen.add(use.name)
        yield from _covered(subject, portal)


def _covered(subject: Subject, portal: Portal) -> Iterator[Diagnostic]:
    """A domain below another one of the portal says nothing new either."""
    named = {use.name: use for use in portal.uses if use.name.startswith(DOMAIN)}
    for name, use in named.items():
        above = (f"{DOMAIN}{one}" for one in parents(name.removeprefix(DOMAIN).partition(".")[2]))
        wider = next((one for one in above if one in named), None)
        if wider is not None:
            says = f"`{name}` can never matter: `{wider}` beside it covers it."
            yield finding("W074", spot(subject, portal, use), says, "Delete it.")


def refused(subject: Subject) -> Iterator[Diagnostic]:
    """A family that the overlay lacks is refused whole, which is easily overlooked where a part of it is exempted."""
    network = subject.network
    for portal in network.portals:
        if not (portal.excepted or portal.only) or not network.overlay:
            continue
        for family in claims(portal):
            if not exempts(network, portal, family):
                name, key = family_name(family), "only" if portal.only else "except"
                says = f"The overlay has no {name}, so no {name} of `{portal.source}` gets through, exempted or not."
                others = [other for other in claims(portal) if other is not family]
                hint = f"Add an {name} prefix to `overlay:`."
                if others:
                    hint = f"{hint[:-1]}; or write `family: {others[0].word}`, and all {name} leaves directly."
                yield finding("W179", subject.portal_spot(portal, key), says, hint)


def effect(subject: Subject) -> Iterator[Diagnostic]:
    """What a set exempts is a part of what the portal carries, and something is left to it."""
    network = subject.network
    for portal in network.portals:
        if not portal.uses and not portal.only:
            continue
        if any(_empty(network.named_by_name.get(use.name, _UNKNOWN)) for use in portal.uses):
            continue  # said above; what is left without it says nothing
        claimed = claims(portal)
        if not claimed:
            continue  # its place and `family:` do not go together, which is said of the portal
        if any(network.named_domains(use.name) for use in portal.uses):
            if portal.only and len(portal.families) == 1:
                yield _one_family(subject, portal)
            continue  # nobody knows before they are asked what addresses names have
        for use in portal.uses:
            families = {family_of(prefix) for prefix in network.named_by_name[use.name].prefixes}
            if not families & set(claimed):
                says = f"`{use.name}` holds no {family_name(claimed[0])}, and the portal carries nothing else."
                yield finding("W074", spot(subject, portal, use), says, "Delete it, or correct `family:`.")
        left = {
            family: subtract([span_of(family.everything)], (*exempted(network, portal, family).spans, *SPECIAL[family]))
            for family in claimed
        }
        key = "only" if portal.only else "except"
        if not any(left.values()) and not _private(portal):
            says = f"Nothing of the internet is left to the portal from `{portal.source}`."
            yield finding("W175", subject.portal_spot(portal, key), says, "Name other destinations, or delete it.")
        elif portal.only:
            yield from _open(subject, portal, claimed)


def other_dns(subject: Subject) -> Iterator[Diagnostic]:
    """Questions can be redirected only to a resolver of the network's, and only those that pass through the host."""
    for portal in subject.network.portals:
        if portal.other_dns is None:
            continue
        where, source = subject.portal_spot(portal, "other_dns"), portal.source
        if source.kind is PlaceKind.HOST:
            says = f"What `{source}` asks by itself is not redirected: its own resolver is pointed at the network's."
            yield finding("W189", where, says, "Delete `other_dns:`.")
        elif portal.dns is None and not any(subject.network.named_domains(use.name) for use in portal.uses):
            says = f"`other_dns:` says nothing: the network resolves no names for `{source}`."
            yield finding("W189", where, says, "Delete it, or name a domain in `only:` or `except:`, or write `dns:`.")


def _empty(held: NamedSet) -> bool:
    return not held.prefixes and not held.domains


def _one_family(subject: Subject, portal: Portal) -> Diagnostic:
    missing = next(family for family in FAMILIES if family not in portal.families)
    name = family_name(missing)
    says = f"`only:` names domains, and {name} is not the portal's: what they have of it leaves directly."
    hint = f"Leave `family:` out: {name} that the exit lacks is refused at once, and clients take the other."
    return finding("W188", subject.portal_spot(portal, "family"), says, hint)


def _private(portal: Portal) -> bool:
    """Whether `only:` names prefixes that are nobody's on the internet: a site beyond the exit, say."""
    return any(not isinstance(one, SetUse) for one in portal.only)


def _open(subject: Subject, portal: Portal, claimed: tuple[Family, ...]) -> Iterator[Diagnostic]:
    """A family of which `only:` names nothing goes out directly, which is easily overlooked."""
    for family in claimed:
        named = any(
            bool(subject.network.named_prefixes(one.name, family)) if isinstance(one, SetUse) else one.version == family
            for one in portal.only
        )
        if not named and len(claimed) > 1:
            other = next(one for one in claimed if one is not family)
            name = family_name(family)
            says = f"`only:` names no {name}, so all {name} of `{portal.source}` leaves directly."
            hint = f"Write `family: {other.word}` if that is meant, or name destinations of both families."
            yield finding("W176", subject.portal_spot(portal, "only"), says, hint)


def claims(portal: Portal) -> tuple[Family, ...]:
    """The families of which a portal can carry anything."""
    prefix = portal.source.prefix
    return portal.families if prefix is None else tuple(one for one in portal.families if one == prefix.version)


def only(subject: Subject) -> Iterator[Diagnostic]:
    """Each prefix of `only:` is one that the portal can carry."""
    for portal in subject.network.portals:
        for at, one in enumerate(portal.only):
            if isinstance(one, SetUse):
                continue
            why = ""
            if family_of(one) not in claims(portal):
                why = f"the portal carries no {family_name(family_of(one))}"
            near = next(iter((*subject.near.around(one), *subject.own_lans(portal.source.host).around(one))), None)
            if near is not None:
                why = f"`{near[0]}`, {near[1]}, never goes through an exit"
            wider = next((other for other in portal.only if _within(one, other)), None)
            if wider is not None:
                why = f"`{wider}` beside it covers it"
            if why:
                says = f"`{one}` in `only:` can never match: {why}."
                yield finding("W074", subject.portal_spot(portal, "only", at), says, "Delete it.")


def _within(one: object, other: object) -> bool:
    if isinstance(one, SetUse) or isinstance(other, SetUse) or one is other:
        return False
    return one != other and covers(other, one)  # type: ignore[arg-type]


CHECKS: tuple[Check, ...] = (contents, twice, refused, effect, only, other_dns)
