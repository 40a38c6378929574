"""Does what was found keep the promise? The same words for what walk predicts and for what packets did."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from warren.core.verify.expects import host_addresses, kept_as, name_failure
from warren.core.walk.resolving import Resolved
from warren.core.world import client_of
from warren.lab.ask import Ask
from warren.lab.sight import Sighting
from warren.lab.topology import INTERNET
from warren.model.expect import Expect
from warren.model.lock import Lock
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Address, Family
from warren.model.trace import Disposition, Trace
from warren.model.world import World

OUT_THERE = "internet"
# A sender's words for ICMP's administratively prohibited, in IPv4 and in IPv6.
REFUSED = tuple(os.strerror(number).lower() for number in (errno.EHOSTUNREACH, errno.EACCES))


@dataclass(frozen=True, slots=True)
class Found:
    """What became of packets of one family.

    `answered`: the way there and back is open. `exits` are the hosts whose uplink they left by in the clear, `at` the
    machine that got them (`internet` out there, empty: nobody), `began` and `source` their source address at first and
    there, `path` the hosts they met. `fits` is the size of the uncut packet that passed too (0: not asked, or it did
    not). `says` is why there was no answer.
    """

    family: Family
    answered: bool
    exits: tuple[str, ...] = ()
    at: str = ""
    began: Address | None = None
    source: Address | None = None
    path: tuple[str, ...] = ()
    fits: int = 0
    says: str = ""

    def __str__(self) -> str:
        told = "blocked"
        if self.exits or self.at:
            told = f"exits at {', '.join(self.exits)}" if self.exits else f"arrives at {self.at}"
            told += "" if self.answered else ", unanswered"
        if self.says and not self.answered:
            told += f" ({self.says})"
        return told + (f", {self.fits} bytes fit" if self.fits else "")


def predicted(family: Family, trace: Trace, fits: int = 0) -> Found:
    """Put a walk's outcome in these words."""
    exited = trace.disposition is Disposition.EXITED
    return Found(
        family,
        answered=trace.arrived and (trace.reply is None or trace.reply.arrived),
        exits=(trace.exit,) if trace.exit else (),
        at=(OUT_THERE if exited else trace.at) if trace.arrived else "",
        began=trace.hops[0].header.source if trace.arrived else None,
        source=trace.header.source if trace.arrived else None,
        path=trace.path,
        fits=fits,
        says="" if trace.arrived else str(trace.disposition),
    )


def predicted_name(resolved: Resolved) -> Found:
    """Put in these words what becomes of a name that is asked for."""
    return Found(Family.IPV4, resolved.answered, resolved.exits, says="" if resolved.answered else resolved.says)


def observed_name(asks: list[Ask], world: World) -> Found:
    """Put together by whose uplinks the questions for a name left, and whether all of them were answered."""
    exits = {
        name
        for ask in asks
        for sighting in ask.sightings
        for kind, _, name in (sighting.space.partition("."),)
        if kind == "host" and sighting.leaving and sighting.device == world.host_by_name[name].uplink
    }
    silent = [ask for ask in asks if not ask.answered]
    says = ", ".join(dict.fromkeys(ask.trouble or "silence" for ask in silent))
    return Found(Family.IPV4, not silent, tuple(sorted(exits)), says=says)


def shortfall(expect: Expect, found: Found, world: World, lock: Lock) -> str:
    """Say in what a promise is not kept; empty if it is. The rules are those of `core.verify`."""
    if expect.resolves is not None:
        return name_failure(expect, found.answered, found.exits, found.says)
    if expect.blocked:
        return "" if not (found.answered or found.exits or found.at) else str(found)
    if not found.answered:
        return str(found)
    if expect.exit and (found.exits != (expect.exit,) or found.at != OUT_THERE):
        return str(found)
    goal = expect.target.place if expect.arrives is True else expect.arrives
    if isinstance(goal, Place) and found.at != machine_at(world, goal):
        return str(found)
    if expect.path and found.path != expect.path:
        return f"its way is {', '.join(found.path)}"
    if expect.source == "kept" and not _is_kept(expect, found, world):
        return f"its source {found.began} becomes {found.source}"
    if expect.source not in ("", "kept") and found.source not in host_addresses(expect.source, lock, world):
        return f"its source is {found.source}"
    if expect.mtu is not None and found.fits != expect.mtu:
        return f"{expect.mtu} bytes do not fit"
    return ""


def _is_kept(expect: Expect, found: Found, world: World) -> bool:
    began = found.began
    return began is not None and found.source in (began, kept_as(expect.source_place, began, world))


def unlike(said: Found, seen: Found) -> str:
    """Say in what a prediction differs from what was seen; empty if it does not."""
    if (said.answered, said.exits, said.at, said.fits) != (seen.answered, seen.exits, seen.at, seen.fits):
        return f"walk says {said}, the kernel {seen}"
    if seen.answered and (said.path, said.source) != (seen.path, seen.source):
        ways = [f"{', '.join(one.path)} with the source {one.source}" for one in (said, seen)]
        return f"walk says by {ways[0]}, the kernel by {ways[1]}"
    return ""


def machine_at(world: World, place: Place) -> str:
    """Name the machine that stands at a place, as traces and sightings do."""
    if place.kind is PlaceKind.INTERNET:
        return OUT_THERE
    if place.kind in (PlaceKind.HOST, PlaceKind.DEVICE):
        return place.device or place.host
    return client_of(world, place).name


def observed(family: Family, asks: list[Ask], world: World) -> Found:
    """Put together what the packets of one family did: an answer to each of them, or none is counted."""
    plain = [ask for ask in asks if not ask.size]
    exits: dict[str, None] = {}
    got: dict[str, Address] = {}
    for ask in plain:
        for sighting in ask.sightings:
            kind, _, name = sighting.space.partition(".")
            if kind in ("host", "device") and sighting.leaving and sighting.device == world.host_by_name[name].uplink:
                exits[name] = None
        for space, last in {sighting.space: sighting for sighting in _once(ask)}.items():
            # What leaves again was not meant for who had it; what it turned away itself it has not got.
            if space in ask.ends and not last.leaving and last.device != "lo" and ask.trouble not in REFUSED:
                got.setdefault(machine_in(space, world), last.source)
    silent = [ask for ask in plain if not ask.answered or _came_back(ask)]
    why = {_why(ask) for ask in silent}
    says = why.pop() if len(why) == 1 else ", ".join(f"{ask.proto}: {_why(ask)}" for ask in silent)
    return Found(
        family,
        answered=not silent,
        exits=tuple(exits),
        at=", ".join(got),
        began=next((sighting.source for sighting in _in_order(plain[0])), None),
        source=next(iter(got.values()), None),
        path=_path(plain[0], world),
        fits=max((ask.size for ask in asks if ask.size and ask.answered), default=0),
        says=says,
    )


def _came_back(ask: Ask) -> bool:
    """Say whether the internet, which has every address there is, sent this to itself: it knows no way there."""
    return ask.space == INTERNET and any(one.space == INTERNET and one.device == "lo" for one in ask.sightings)


def _why(ask: Ask) -> str:
    return ask.trouble or ("the internet knows no way there" if _came_back(ask) else "silence")


def _in_order(ask: Ask) -> list[Sighting]:
    return sorted(ask.sightings, key=lambda one: one.at)


def _once(ask: Ask) -> list[Sighting]:
    """The sightings in order, one of each device and direction: what is sent again comes by the same ones."""
    once: dict[tuple[str, str, bool], Sighting] = {}
    for sighting in _in_order(ask):
        once.setdefault((sighting.space, sighting.device, sighting.leaving), sighting)
    return list(once.values())


def _path(ask: Ask, world: World) -> tuple[str, ...]:
    """The hosts in the order in which they saw the packet, one that it comes back to once more."""
    met: list[str] = []
    for sighting in _once(ask):
        host = machine_in(sighting.space, world) if sighting.space.startswith("host.") else ""
        if host and met[-1:] != [host]:
            met.append(host)
    return tuple(met)


def machine_in(space: str, world: World) -> str:
    """Name the machine that a space is."""
    kind, _, name = space.partition(".")
    return world.clients[int(name)].name if kind == "client" else name or OUT_THERE
