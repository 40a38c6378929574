"""Other rules and routes on the host: those that stand in front of ours, and networks that are here too."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.rules import stands_in_front
from warren.core.render.ip import prefix_word, rule_words
from warren.model.change import Obstacle
from warren.model.prefix import Family, Prefix, covers, overlaps
from warren.model.state import (
    FRONT_PRIORITIES,
    MAIN,
    HostState,
    RouteKind,
)
from warren.model.surroundings import Surroundings


def foreign_rules(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Rules in front of ours that would take our packets; warren stands in front of them by a second copy."""
    if not state.rules:
        return
    sources = tuple(dict.fromkeys(rule.iif for rule in state.rules if rule.iif and rule.iif != "lo"))
    copied = any(rule.priority in FRONT_PRIORITIES for rule in state.rules)
    for rule in stands_in_front(surroundings, sources):
        beaten = copied and rule.priority > max(r.priority for r in state.rules if r.priority in FRONT_PRIORITIES)
        words = rule_words(rule).partition(" protocol ")[0]
        if beaten:
            yield Obstacle(
                f"a rule that is not ours stands in front: ip {_option(rule.family)}rule {words}",
                f"Warren keeps a second copy of its rules in front of it ({FRONT_PRIORITIES.start}–"
                f"{FRONT_PRIORITIES.stop - 1}); what that tool itself carries is not touched.",
                blocks=False,
            )
        else:
            yield Obstacle(
                f"a rule that is not ours would catch our packets first: ip {_option(rule.family)}rule {words}",
                "Start that tool before warren, or give its rule a priority above 7800.",
            )


def foreign_routes(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Prefixes of the network that this host also reaches by a route of its own, which ours will hide.

    Where it is a portal's source that comes without NAT, answers to it could be meant for the other place.
    """
    own = {interface.name for interface in state.interfaces}
    far = [
        route
        for route in state.routes
        if route.device in own and route.prefix.prefixlen > 0 and route.table != MAIN and not _is_host(route.prefix)
    ]
    for theirs in surroundings.routes:
        if theirs.table != MAIN or theirs.kind is not RouteKind.UNICAST or theirs.prefix.prefixlen == 0:
            continue
        for ours in far:
            if overlaps(ours.prefix, theirs.prefix) and not theirs.prefix.is_link_local:
                yield Obstacle(
                    f"{prefix_word(ours.prefix)} of the network is also reached by {theirs.device or 'a route'} here "
                    f"({prefix_word(theirs.prefix)} in table main); warren's route by {ours.device} comes first",
                    "If both are needed, give the network's LAN another prefix by `map:`, or close it (`closed: true`) "
                    "and give the portal from there `nat: snat`, or renumber one of the two.",
                    blocks=False,
                )


def yielded_prefixes(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Prefixes of peers that have no route here, because the network that this host is a guest of has them too.

    What a peer of a device of its own owns is not told by its allowed IPs, which hold everything.
    """
    routed = {route.prefix for route in state.routes if route.device}
    if state.is_conf:  # where its routes are is its own affair
        return
    for interface in state.interfaces:
        for peer in interface.peers:
            for ours in peer.allowed_ips:
                if ours in routed or ours.prefixlen == 0 or _is_host(ours):
                    continue
                for theirs in surroundings.routes:
                    if theirs.table == MAIN and theirs.prefix.prefixlen > 0 and overlaps(ours, theirs.prefix):
                        yield Obstacle(
                            f"{prefix_word(ours)} of {peer.name or 'a peer'} is not reached from here: "
                            f"{theirs.device or 'another network'} has {prefix_word(theirs.prefix)}",
                            "It is reached again elsewhere. Where this host stays, give that LAN another prefix by "
                            "`map:`.",
                            blocks=False,
                        )
                        break


def hidden_routes(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Networks of this host that lie in what the network has for itself, and are out of reach from now on.

    A prefix that nobody has to know of, a mapped one before all, may be one that a bridge of containers has here.
    """
    own = {rule.destination for rule in state.rules if rule.suppress_prefixlength >= 0} - {None}
    devices = {interface.name for interface in state.interfaces}
    led = [route.prefix for route in state.routes if route.device and route.prefix.prefixlen > 0]
    refused = [
        route.prefix for route in state.routes if route.kind is RouteKind.UNREACHABLE and route.prefix.prefixlen > 0
    ]
    for theirs in surroundings.routes:
        if theirs.table != MAIN or theirs.kind is not RouteKind.UNICAST or theirs.prefix.is_link_local:
            continue
        if theirs.device in devices:  # the kernel's own, for the address it has there
            continue
        if any(one is not None and overlaps(one, theirs.prefix) for one in own):
            continue
        for ours in refused:
            if covers(ours, theirs.prefix) and not any(covers(prefix, theirs.prefix) for prefix in led):
                yield Obstacle(
                    f"{prefix_word(theirs.prefix)}, by {theirs.device or 'a route'} here, lies in "
                    f"{prefix_word(ours)} of the network, so this host does not reach it any more",
                    "Renumber it, or choose another prefix for the overlay or the LAN's `map:`.",
                    blocks=False,
                )
                break


def _is_host(prefix: Prefix) -> bool:
    return prefix.num_addresses == 1


def _option(family: Family) -> str:
    return "-6 " if family is Family.IPV6 else ""
