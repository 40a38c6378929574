"""Checks of portals with several exits, or another way out: that each can be watched, and by what."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.model.diagnostic import Diagnostic
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Address, Family, covers, family_of

# Nobody beyond a router has these.
_NOBODY = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"))
)


def exits(subject: Subject) -> Iterator[Diagnostic]:
    """Each exit stands once, and is reached by a tunnel of its own."""
    for way in subject.network.ways:
        portal = way.portal
        exit_ = portal.exits[way.rank]
        where = subject.portal_spot(portal, "exit", way.rank)
        if exit_ in portal.exits[: way.rank]:
            says = f"`{exit_}` is named twice among the exits of `{portal.source}`."
            yield finding("W225", where, says, "Take the second mention out.")
        elif portal.by_agent and way.chained and exit_ != portal.source.host:
            entry, relay = way.hops[0], way.hops[-2]
            choice = "one of several exits" if portal.spare else "an exit that is given up while it is dead"
            says = f"`{exit_}` is {choice}, and `{entry}` reaches it through `{relay}`: it cannot be watched."
            dial = f"Give `{entry}` or `{exit_}` an `endpoint:`"
            yield finding("W226", where, says, "Take `via:` out." if portal.via else f"{dial}, or name another exit.")


def health(subject: Subject) -> Iterator[Diagnostic]:
    """Health is measured behind the exits, and only where that leads to something."""
    for portal in subject.network.portals:
        if portal.health and not portal.by_agent:
            says = (
                f"The portal from `{portal.source}` has one exit and nothing else to take: its health changes nothing."
            )
            hint = "Add an exit, write `if_down: direct`, or delete `health:`."
            yield finding("W228", subject.portal_spot(portal, "health"), says, hint)
        for at, address in enumerate(portal.health):
            why = _says_nothing(subject, portal, address)
            if why:
                says = f"`{address}` cannot tell whether an exit is alive: {why}."
                hint = "Name an address of the internet that answers pings, or leave `health:` out."
                yield finding("W227", subject.portal_spot(portal, "health", at), says, hint)


def _says_nothing(subject: Subject, portal: Portal, address: Address) -> str:
    if family_of(address) not in portal.families:
        other: Family = next(one for one in FAMILIES if one is not family_of(address))
        return f"the portal carries only {family_name(other)}"
    if any(covers(prefix, address) for prefix in _NOBODY):
        return "nobody beyond a router has it"
    whole = ip_network(address)
    for wider, name in (*subject.near.around(whole), *subject.own_lans(portal.source.host).around(whole)):
        return f"it is in `{wider}`, {name}, which no exit leads to"
    for exit_ in portal.exits:
        endpoint = subject.network.by_name[exit_].endpoint
        if endpoint is not None and _literal(endpoint.host) == address:
            return f"it is `{exit_}` itself, which answers also when nothing goes out there"
    return ""


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


CHECKS: tuple[Check, ...] = (exits, health)
