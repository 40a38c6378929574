"""Checks of expectations: that each asks something, could be true, and has a way to be true."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, family_name, finding
from warren.model.diagnostic import Diagnostic
from warren.model.expect import Expect
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Family, Prefix, family_of

ON_A_LAN = (PlaceKind.LAN, PlaceKind.PREFIX, PlaceKind.MAC)


def questions(subject: Subject) -> Iterator[Diagnostic]:
    """Something is asked, and no two answers exclude each other."""
    for expect in subject.network.expects:
        says = _contradiction(expect)
        where = subject.spots(expect.at)
        asked = (expect.resolves, expect.exit, expect.arrives, expect.blocked, expect.source, expect.path, expect.mtu)
        if says:
            yield finding("W081", where, says, "Delete what is not meant, or make two expectations of it.")
        elif not any(asked):
            says = f"Nothing is asked of what goes from `{expect.source_place}` to `{expect.target}`."
            yield finding("W080", where, says, "Add `exit: HOST`, `arrives: true` or `blocked: true`.")


def _contradiction(expect: Expect) -> str:
    """Say which two parts of an expectation exclude each other."""
    arriving = {
        "exit": expect.exit,
        "arrives": expect.arrives,
        "source": expect.source,
        "path": expect.path,
        "mtu": expect.mtu,
    }
    if expect.blocked and any(arriving.values()):
        word = next(word for word, value in arriving.items() if value)
        return f"What is blocked has no `{word}`."
    place = expect.target.place
    if expect.exit and place is not None and place.kind is not PlaceKind.INTERNET:
        return f"`{place}` is a place of the network, which nothing reaches by an exit."
    address, prefix = expect.target.address, place.prefix if place is not None else None
    ends = ((expect.source_place.prefix, expect.source_place), (prefix, expect.target), (address, expect.target))
    known = [(family_of(end), str(name)) for end, name in ends if end is not None]
    for family, name in known:
        if expect.families is not None and family not in expect.families:
            return f"`{name}` is {family_name(family)}, and `family:` names the other one."
        if family is not known[0][0]:
            return f"`{known[0][1]}` and `{name}` are of two families."
    if expect.path and expect.exit and expect.path[-1] != expect.exit:
        return f"The path ends at `{expect.path[-1]}`, the exit is `{expect.exit}`."
    if expect.path and expect.source_place.host and expect.path[0] != expect.source_place.host:
        return f"The path begins at `{expect.path[0]}`, the packet at `{expect.source_place.host}`."
    return ""


def tunnels(subject: Subject) -> Iterator[Diagnostic]:
    """A tunnel that is to be down is one that exists."""
    network = subject.network
    for expect in network.expects:
        for at, broken in enumerate(expect.down):
            if broken.tunnel is None or network.next_hop(*broken.tunnel) == broken.tunnel[1]:
                continue
            one, other = broken.tunnel
            says = f"`{one}` and `{other}` have no tunnel with each other that could be down."
            hint = f"They meet at the hub: write `{one}-{network.hub}`." if network.hub else "Name another tunnel."
            yield finding("W083", subject.spots(expect.at, "when", "down", at), says, hint)


def paths(subject: Subject) -> Iterator[Diagnostic]:
    """What is to arrive on a LAN goes to one that is announced, and what keeps its source can be answered."""
    for expect in subject.network.expects:
        if expect.blocked:
            continue
        target = expect.target.place
        here = expect.source_place
        families = expect.families or subject.network.families
        if target is not None and target.kind in ON_A_LAN and target.host != here.host:
            why = _unreachable(subject, target, families)
            if why:
                says = f"Nothing of `{here.host or here}` can reach `{target}`: {why}."
                hint = _remedy(why, target)
                yield finding("W075", subject.spots(expect.at, "to"), says, hint)
        leaves = expect.exit not in ("", here.host) or (target is not None and target.host not in ("", here.host))
        if expect.source == "kept" and here.kind in ON_A_LAN and leaves:
            why = _unreachable(subject, here, families)
            if why:
                says = f"`{here}` cannot be answered under its own addresses: {why}."
                hint = f"Expect `source: {here.host}`. {_remedy(why, here)}"
                yield finding("W075", subject.spots(expect.at, "source"), says, hint)


def _remedy(why: str, place: Place) -> str:
    """Say how a LAN comes to be announced."""
    lan = f"`{place.host}.{place.lan}`"
    if why.endswith("closed"):
        return f"Take `closed: true` of {lan} away."
    if "overlaps" in why:
        return f"Give {lan} a prefix of its own in the network, `map: auto`, or renumber one of the two."
    return "Add a prefix of that family to `overlay:`."


def _unreachable(subject: Subject, place: Place, families: tuple[Family, ...]) -> str:
    """Say why a LAN has no route in one of the families asked; empty if it has in all, or if that was told already."""
    if subject.is_map_refused(place.host, place.lan):
        return ""
    for family in families:
        if family in subject.network.families and (place.prefix is None or place.prefix.version == family):
            prefix: Prefix | None = subject.lan_prefix(place, family)
            if prefix is not None and not subject.is_announced(place.host, prefix):
                return subject.why_not_announced(place.host, place.lan, prefix)
    return ""


CHECKS: tuple[Check, ...] = (questions, tunnels, paths)
