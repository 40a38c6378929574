"""Which flows a change of path must end.

A flow keeps the source that conntrack once gave it, also when its packets begin to leave elsewhere: through a
tunnel with the uplink's address, where nobody can answer. Ending the entry lets the flow begin anew.
"""

from __future__ import annotations

from warren.core.compile.here import Here
from warren.core.compile.portals import identity
from warren.model.mapped import MappedPrefix
from warren.model.named_set import SetUse
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import PRIVATE, Family, Prefix, covers
from warren.model.state import ForgetFlows

MOST = 8  # prefixes that a LAN's flows are looked for by, one by one


def flows_to_forget(here: Here) -> tuple[ForgetFlows, ...]:
    """List the flows of each portal's source; `diff` ends them when the entry is new, so when the way changed."""
    found: dict[ForgetFlows, None] = {}
    for way in here.entering:
        if way.portal.source.kind is PlaceKind.HOST:
            continue  # a host's own old flows have the uplink's address and end by themselves
        for prefix in here.source_prefixes(way.portal):
            if prefix.version in way.portal.families and prefix.version in here.usable:
                seen = here.fabric.seen(here.host.name, prefix)
                known_as = f" as {seen}" if seen != prefix else ""
                chosen = ", as the agent chooses" if way.portal.by_agent else ""
                reason = f"portal {identity(way.portal)} by {', '.join(way.hops[1:])}{chosen}{known_as}"
                found[ForgetFlows(prefix, reason + _named(way.portal))] = None
                if way.portal.by_marks:  # those that left directly have the uplink's mark, and may be exempted no more
                    found[ForgetFlows(prefix, reason + _named(way.portal), except_mark=0)] = None
    for pair in here.mapped:
        for destination in _tunnelled(here, pair):
            found[ForgetFlows(pair.own, f"known as {pair.seen}", destination=destination)] = None
    return tuple(found)


def _named(portal: Portal) -> str:
    """Say what a portal exempts by name: flows go on when a set's contents change, and end when the names do."""
    if portal.only:
        return " only " + ", ".join(one.name if isinstance(one, SetUse) else str(one) for one in portal.only)
    return " except " + ", ".join(use.name for use in portal.excepted) if portal.excepted else ""


def _tunnelled(here: Here, pair: MappedPrefix) -> tuple[Prefix, ...]:
    """Give what a mapped LAN reaches by tunnels: only those flows have another source than before.

    Of many prefixes, the private ranges that hold them.
    """
    near = here.near(Family(pair.own.version))
    if len(near) <= MOST:
        return near
    return tuple(dict.fromkeys(next((wide for wide in PRIVATE if covers(wide, one)), one) for one in near))
