"""Which prefixes this host's devices have, for delegates that follow one. Reads only."""

from __future__ import annotations

from warren.core.delegates import seen_prefix
from warren.model.prefix import Prefix
from warren.sys import ip
from warren.sys.run import Run, run


def prefixes_here(run: Run = run) -> dict[str, Prefix]:
    """Give the global IPv6 prefix of each device that has one."""
    found = {link.name: seen_prefix(link.lasting) for link in ip.links(run)}
    return {name: prefix for name, prefix in found.items() if prefix is not None}
