"""Which flows a change of path must end.

A flow keeps the source that conntrack once gave it, also when its packets begin to leave elsewhere: through a
tunnel with the uplink's address, where nobody can answer. Ending the entry lets the flow begin anew.
"""

from __future__ import annotations

from warren.core.compile.here import Here
from warren.core.compile.portals import identity
from warren.model.network import PlaceKind
from warren.model.state import ForgetFlows


def flows_to_forget(here: Here) -> tuple[ForgetFlows, ...]:
    """List the flows of each portal's source; `diff` ends them when the entry is new, so when the way changed."""
    found: dict[ForgetFlows, None] = {}
    for way in here.entering:
        if way.portal.source.kind is PlaceKind.HOST:
            continue  # a host's own old flows have the uplink's address and end by themselves
        for prefix in here.source_prefixes(way.portal):
            if prefix.version in way.portal.families and prefix.version in here.usable:
                found[ForgetFlows(prefix, f"portal {identity(way.portal)} by {', '.join(way.hops[1:])}")] = None
    return tuple(found)
