"""Checks of each portal by itself: its way, its translation, its families, its exceptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import count

from warren.core.check.nesting import Holders
from warren.core.check.subject import Check, Subject, family_name, finding
from warren.core.compile.portals import dedicated_peers, ways_from, ways_of
from warren.core.compile.publishes import kept_gateways
from warren.model.diagnostic import Diagnostic
from warren.model.place import PlaceKind
from warren.model.portal import Nat, Portal
from warren.model.prefix import FAMILIES, Prefix, covers, family_of
from warren.model.state import MARKS, TABLES

# What no router forwards, so no portal ever carries.
UNROUTED = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "fe80::/10", "ff00::/8"))
)


def ways(subject: Subject) -> Iterator[Diagnostic]:
    """A portal leads from one host to another, and past no host twice."""
    for way in subject.network.ways:
        portal = way.portal
        entry = portal.source.host
        exit_ = portal.exits[way.rank]
        if exit_ == entry:
            says = f"The portal from `{portal.source}` exits at `{entry}`, its own host."
            hint = "Name another host as exit. Traffic of the host leaves by its uplink without a portal."
            yield finding("W070", subject.portal_spot(portal, "exit", way.rank), says, hint)
            continue
        written = (entry, *portal.via, exit_)
        passed = {entry}
        for at, host in enumerate(portal.via):
            where = subject.portal_spot(portal, "via", at)
            if host in passed:
                says = f"The chain {_arrows(written)} comes back to `{host}`."
                yield finding("W071", where, says, "Take the second mention out; each host is passed once.")
            elif host == exit_:
                says = f"The chain {_arrows(written)} passes its exit `{host}` on the way."
                yield finding("W071", where, says, f"Take `{host}` out of `via:`.")
            passed.add(host)
        if len(set(written)) == len(written) < len(way.hops):
            twice = [host for host, times in Counter(way.hops).items() if times > 1]
            for host in twice:
                says = f"The hub steps in where two hosts cannot dial: {_arrows(way.hops)} passes `{host}` twice."
                hint = "Give a host of the chain an `endpoint:`, or leave one out."
                yield finding("W071", subject.portal_spot(portal, "via"), says, hint)


def _arrows(hosts: tuple[str, ...]) -> str:
    shown = hosts if len(hosts) <= 8 else (*hosts[:7], "…")
    return "`" + " → ".join(shown) + "`"


def translation(subject: Subject) -> Iterator[Diagnostic]:
    """A source is kept only where the way back leads to it."""
    for way in subject.network.ways:
        portal = way.portal
        if portal.nat is not Nat.ROUTED:
            continue
        where = subject.portal_spot(portal, "nat")
        if way.addressed:
            is_chain = (
                f"is a chain, {_arrows(way.hops)}"
                if way.chained
                else f"shares its tunnel to `{way.hops[1]}` with a chain"
            )
            says = f"The portal from `{portal.source}` {is_chain}, and cannot keep its source."
            yield finding("W076", where, says, "Write `nat: snat`.")
            continue
        for family in portal.families:
            prefix = subject.lan_prefix(portal.source, family)
            if prefix and family in subject.network.families and not subject.is_announced(portal.source.host, prefix):
                if subject.is_map_refused(portal.source.host, portal.source.lan):
                    break
                why = subject.why_not_announced(portal.source.host, portal.source.lan, prefix)
                says = f"`{portal.exits[way.rank]}` cannot answer `{portal.source}` under its own addresses: {why}."
                mapping = f", or give `{portal.source.host}.{portal.source.lan}` a `map:`" if "overlaps" in why else ""
                yield finding("W075", where, says, f"Write `nat: snat`{mapping}.")
                break


def families(subject: Subject) -> Iterator[Diagnostic]:
    """The portal's families are such as its source and the overlay have."""
    for portal in subject.network.portals:
        prefix = portal.source.prefix
        where = subject.portal_spot(portal, "family")
        if prefix is not None and family_of(prefix) not in portal.families:
            says = f"`{portal.source}` has no {family_name(portal.families[0])}, and the portal is for nothing else."
            yield finding("W079", where, says, f"Write `family: {family_of(prefix).word}`.")
            continue
        claimed = portal.families if prefix is None else (family_of(prefix),)
        if len(claimed) == 1 and subject.network.overlay and claimed[0] not in subject.network.families:
            name = family_name(claimed[0])
            says = f"The overlay has no {name}, so the portal from `{portal.source}` rejects all that enters it."
            hint = f"Add an {name} prefix to `overlay:`, or delete the portal if the traffic need not be blocked."
            yield finding("W077", where, says, hint)


def exceptions(subject: Subject) -> Iterator[Diagnostic]:
    """Each exception takes something out of what the portal carries."""
    for portal in subject.network.portals:
        if not portal.exceptions:
            continue
        named = {use.index for use in portal.excepted}
        held = tuple(zip(portal.exceptions, (at for at in count() if at not in named), strict=False))
        written = Holders(held)
        for prefix, at in held:
            why, hint = _never_matches(subject, portal, prefix) or _said_already(written, prefix, at)
            if why:
                says = f"The exception `{prefix}` can never match: {why}."
                yield finding("W074", subject.portal_spot(portal, "except", at), says, hint)


def _never_matches(subject: Subject, portal: Portal, prefix: Prefix) -> tuple[str, str] | None:
    """Say why an exception is of no effect, and the remedy; None if it has one."""
    family, source = family_of(prefix), portal.source.prefix
    if family not in portal.families or (source is not None and source.version != prefix.version):
        other = family_name(next(one for one in FAMILIES if one is not family))
        return f"the portal carries only {other}", f"Delete it, or write an {other} prefix."
    if prefix.prefixlen == 0:
        left = tuple(one for one in portal.families if one is not family)
        if left and source is None:
            return "it leaves nothing to the portal in its family", f"Write `family: {left[0].word}` instead."
        return "it leaves nothing to the portal at all", "Delete the portal instead."
    for unrouted in UNROUTED:
        if covers(unrouted, prefix):
            return f"`{unrouted}` is never routed", "Delete it."
    for wider, name in (*subject.near.around(prefix), *subject.own_lans(portal.source.host).around(prefix)):
        return f"`{wider}`, {name}, never goes through an exit", "Delete it."
    return None


def _said_already(written: Holders[int], prefix: Prefix, at: int) -> tuple[str, str]:
    for wider, index in written.around(prefix):
        if index != at:
            same = "it stands there twice" if wider == prefix else f"`{wider}` beside it covers it"
            return same, "Delete it."
    return "", ""


def ledger(subject: Subject) -> Iterator[Diagnostic]:
    """The portals of a host fit into its share of routing tables and marks."""
    network = subject.network
    for name in dict.fromkeys((*network.ways_by_host, *(publish.to.host for publish in network.publishes))):
        if name not in network.by_name:
            continue
        where = subject.host_spot(network.by_name[name])
        chosen = [way.portal for way in ways_from(network, name) if way.portal.by_agent]
        tables = 1 + len(dedicated_peers(network, name)) + len(chosen)
        if tables > len(TABLES):
            says = f"The portals of `{name}` go on by {tables - 1} hosts, and at most {len(TABLES) - 1} are possible."
            if chosen:
                says = (
                    f"`{name}` needs {tables} routing tables for its portals, and at most {len(TABLES)} are possible."
                )
            yield finding("W078", where, says, "Let some portals share an exit or a relay.")
        macs = sum(way.portal.source.kind is PlaceKind.MAC for way in ways_from(network, name))
        pinned = {way.hops[1] for portal in chosen for way in ways_of(network, portal)}
        marks = macs + len(kept_gateways(network, name)) + len(pinned)
        if marks > len(MARKS):
            gateways = f" and {marks - macs} gateways or exits to choose from" if marks > macs else ""
            says = (
                f"`{name}` has {macs} portals of single MAC addresses{gateways}, and at most {len(MARKS)} are possible."
            )
            yield finding(
                "W078", where, says, "Give machines that share an exit a LAN or an address range of their own."
            )


CHECKS: tuple[Check, ...] = (ways, translation, families, exceptions, ledger)
