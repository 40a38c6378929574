"""Countries and lists: many prefixes under one name."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.prefix import Prefix


@dataclass(frozen=True, slots=True)
class SetUse:
    """`country:CN` or `list:NAME` where a portal names destinations; `index` is its place in `except:` or `only:`."""

    name: str
    index: int = 0
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class ListFile:
    """A list of prefixes that the file names under `lists:`; `path` is relative to the network file."""

    name: str
    path: str
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """What a `SetUse` stands for: the fewest prefixes that hold its addresses, IPv4 first, none of them special.

    `missing` says why its contents could not be had, and `doubt` why they may lack something; `remedy` is for either.
    """

    name: str
    prefixes: tuple[Prefix, ...] = ()
    missing: str = ""
    doubt: str = ""
    remedy: str = ""
