"""Checks of delegated prefixes: that they are such as can be announced, have room, and have a way."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network

from warren.core.check.subject import Check, Subject, finding, several
from warren.core.delegates import GLOBAL, SUBNET
from warren.model.delegate import Delegate
from warren.model.diagnostic import Diagnostic
from warren.model.prefix import Family, Prefix, covers, overlaps


def ends(subject: Subject) -> Iterator[Diagnostic]:
    """A prefix goes from one host to the LANs of another, through a tunnel of their own."""
    network = subject.network
    for delegate in network.delegates:
        if delegate.source == delegate.to:
            says = f"`{delegate.to}` would get the prefix from itself."
            yield finding("W134", subject.spots(delegate.at, "to"), says, "Name the host whose LANs get the prefix.")
            continue
        pair = (delegate.to, delegate.source)
        if network.next_hop(*pair) != delegate.source:
            says = f"`{delegate.source}` and `{delegate.to}` have no tunnel of their own, for neither has an endpoint."
            hint = f"Give `{delegate.source}` an `endpoint:`, or let the two find each other with `rendezvous:`."
            yield finding("W138", subject.spots(delegate.at, "from"), says, hint)
        if network.overlay and Family.IPV6 not in network.families:
            says = f"The overlay has no IPv6, so no tunnel can carry what `{delegate.source}` delegates."
            hint = "Add a prefix of unique local addresses to `overlay:`, for instance `fd77:7:7::/64`."
            yield finding("W137", subject.spots(delegate.at), says, hint)


def lans(subject: Subject) -> Iterator[Diagnostic]:
    """The LANs are LANs of the host, each named once."""
    given: set[tuple[str, str, str]] = set()
    for delegate in subject.network.delegates:
        host = subject.network.by_name[delegate.to]
        names = [lan.name for lan in host.lans]
        if not delegate.lans:
            says = f"No LAN of `{delegate.to}` is named."
            yield finding("W132", subject.spots(delegate.at, "lans"), says, f"Its LANs are {several(names)}.")
        for at, name in enumerate(delegate.lans):
            where = subject.spots(delegate.at, "lans", at)
            key = (delegate.source, delegate.to, name)
            if name not in names:
                says = f"The host `{delegate.to}` has no LAN called `{name}`."
                hint = f"Its LANs are {several(names)}." if names else f"Add it under `lans:` of `{delegate.to}`."
                yield finding("W132", where, says, hint)
            elif host.lan(name).closed:
                says = f"`{delegate.to}.{name}` is closed, and what it sends to the internet could not be answered."
                yield finding("W132", where, says, "Take `closed: true` away; nothing comes in but answers.")
            elif key in given:
                says = f"`{delegate.to}.{name}` has a prefix from `{delegate.source}` already."
                yield finding("W132", where, says, "Name each LAN once.")
            given.add(key)


def prefixes(subject: Subject) -> Iterator[Diagnostic]:
    """The prefix is written or followed; it is global, and has a /64 for each LAN."""
    for delegate in subject.network.delegates:
        whole = delegate.prefix
        if (whole is None) == (not delegate.follow):
            says = "The prefix is both written and followed." if delegate.follow else "Which prefix is not said."
            hint = "Write either `prefix: 2001:db8:77:100::/60`, or `follow: DEVICE` to take what that device has."
            yield finding("W136", subject.spots(delegate.at), says, hint)
            continue
        if whole is None:
            continue
        where = subject.spots(delegate.at, "prefix")
        if not (isinstance(whole, IPv6Network) and covers(GLOBAL, whole)):
            says = f"`{whole}` is no global IPv6 prefix, so nobody on the internet can answer what has it."
            hint = f"Write the prefix that is routed to `{delegate.source}`, for instance `2001:db8:77:100::/60`."
            yield finding("W133", where, says, hint)
            continue
        if delegate.downstream and whole.prefixlen >= delegate.downstream:
            says = f"Routers on `{delegate.to}`'s LAN are to get a /{delegate.downstream} each of half of `{whole}`."
            spot = subject.spots(delegate.at, "downstream")
            yield finding("W130", spot, says, f"Write a greater length, from {whole.prefixlen + 1} to {SUBNET}.")
            continue
        wanted = len(set(delegate.lans))
        bits = SUBNET - whole.prefixlen - bool(delegate.downstream)
        room = 1 << bits if bits >= 0 else 0
        if room < wanted:
            yield finding("W130", where, _short(delegate, whole, room, wanted), _remedy(whole))


def _short(delegate: Delegate, whole: Prefix, room: int, wanted: int) -> str:
    has = f"has {room} of them" if room else f"is smaller than one (a /{whole.prefixlen})"
    lans = several([f"{delegate.to}.{lan}" for lan in dict.fromkeys(delegate.lans)])
    return f"{lans} {'need a /64 each' if wanted > 1 else 'needs a /64'}, and `{whole}` {has}."


def _remedy(whole: Prefix) -> str:
    if whole.prefixlen > SUBNET:
        return "Ask the provider for a /64 or more, or give the LAN a ULA and write a portal with `nat: snat`."
    return "Delegate a shorter prefix, or take LANs out."


def proxies(subject: Subject) -> Iterator[Diagnostic]:
    """The prefix of a link is one /64, and has room for one LAN."""
    for delegate in subject.network.delegates:
        if not delegate.proxy:
            continue
        where = subject.spots(delegate.at, "proxy")
        if delegate.downstream:
            says = f"A prefix that is on `{delegate.source}`'s own link is one /64: none is left for other routers."
            yield finding("W135", where, says, "Take `downstream:` out.")
            continue
        if len(delegate.lans) != 1:
            says = f"A prefix that is on `{delegate.source}`'s own link is a single /64, and {len(delegate.lans)} LANs"
            yield finding("W135", where, f"{says} are to have it.", "Name one LAN.")
        elif delegate.prefix is not None and delegate.prefix.prefixlen != SUBNET:
            says = f"A prefix that is on `{delegate.source}`'s own link is a /64, and `{delegate.prefix}` is not."
            hint = "Write the link's own /64. What is routed to the host needs no `proxy:`."
            yield finding("W135", where, says, hint)


def overlapping(subject: Subject) -> Iterator[Diagnostic]:
    """A delegated prefix is nobody else's: not the overlay's, no LAN's, no other delegate's."""
    network = subject.network
    held: list[tuple[Prefix, str]] = [(prefix, "the overlay") for prefix in network.overlay]
    for host in network.hosts:
        held += [(p, f"the LAN `{host.name}.{lan.name}`") for lan in host.lans for p in lan.prefixes if p.version == 6]
    for delegate in network.delegates:
        whole = delegate.prefix
        if whole is None:
            continue
        other = next(((prefix, what) for prefix, what in held if overlaps(prefix, whole)), None)
        if other is not None:
            says = f"`{whole}` overlaps `{other[0]}`, {other[1]}."
            hint = "Delegate a prefix that nothing else uses; LANs that share one stand in one entry."
            yield finding("W131", subject.spots(delegate.at, "prefix"), says, hint)
        held.append((whole, f"what `{delegate.source}` delegates to `{delegate.to}`"))


CHECKS: tuple[Check, ...] = (ends, lans, prefixes, proxies, overlapping)
