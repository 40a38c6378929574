"""Everything check can find: one row per code, from which docs/errors.md is generated.

A code never changes its meaning. Rows say what is true of every finding of the code; the finding itself names
the hosts, the values and the very remedy.
"""

from __future__ import annotations

from warren.core.codes import (
    delegates,
    devices,
    dns,
    failover,
    hosts,
    knock,
    lans,
    maps,
    names,
    portals,
    promises,
    publish,
    render,
    rendezvous,
    text,
)
from warren.core.codes.code import ERROR, WARNING, Code

__all__ = ["CODES", "ERROR", "GROUPS", "WARNING", "Code"]


def _codes(first: int, last: int) -> tuple[str, ...]:
    """List codes where a group is no decade."""
    return tuple(f"W{number}" for number in range(first, last + 1))


# By what the codes of a group begin with (str.startswith).
GROUPS: tuple[tuple[str | tuple[str, ...], str], ...] = (
    ("W00", "The file as text"),
    ("W01", "Words and values"),
    ("W02", "Names"),
    ("W03", "Keys and secrets"),
    ("W04", "Endpoints, ports and who can dial whom"),
    ("W05", "Addresses"),
    ("W06", "Places"),
    ("W07", "Portals"),
    ("W08", "Expectations"),
    ("W09", "The lab"),
    ("W10", "The lock file"),
    ("W11", "What is published"),
    ("W12", "Devices"),
    ("W13", "Delegated prefixes"),
    ("W14", "Mapped LANs"),
    ("W15", "Rendering for other machines"),
    ("W17", "Countries and lists"),
    (_codes(185, 194), "Destinations by name"),
    (_codes(195, 204), "Names resolved"),
    (_codes(225, 229), "Several exits"),
    (_codes(205, 219), "Services on LANs"),
    ("W23", "Rendezvous servers"),
    ("W24", "Port knocking"),
    (_codes(255, 259), "Ports that routers open"),
)

CODES: dict[str, Code] = dict(
    sorted(
        (
            row
            for part in (
                text,
                hosts,
                portals,
                promises,
                publish,
                devices,
                delegates,
                maps,
                names,
                render,
                dns,
                failover,
                lans,
                rendezvous,
                knock,
            )
            for row in part.CODES.items()
        ),
        key=lambda row: row[0],
    )
)
