"""Countries and lists: many prefixes under one name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.prefix import Prefix


@dataclass(frozen=True, slots=True)
class SetUse:
    """`country:CN` or `list:NAME` where a portal names destinations; `index` is its place in `except:` or `only:`."""

    name: str
    index: int = 0
    at: Where | None = None


class ListKind(StrEnum):
    """What the entries of a list are."""

    PREFIXES = "prefixes"
    DOMAINS = "domains"


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list that the file names under `lists:`.

    `sources` is the path of a file, relative to the network file, or one or more HTTPS addresses: the first is the
    list's own, the others are mirrors of it.
    """

    name: str
    sources: tuple[str, ...]
    kind: ListKind = ListKind.PREFIXES
    at: Where | None = None

    @property
    def fetched(self) -> bool:
        """Whether it comes from the web, and is kept on this machine by `warren geo update`."""
        return is_address(self.sources[0])


def is_address(source: str) -> bool:
    """Say whether a list's source is an address of the web; else it is a path."""
    return "://" in source


@dataclass(frozen=True, slots=True)
class NamedSet:
    """What a `SetUse` stands for: the fewest prefixes that hold its addresses, IPv4 first, none of them special.

    `missing` says why its contents could not be had, and `doubt` why they may lack something; `remedy` is for either.
    `feed` says where on this machine they are read from: `country:CN`, `list:/etc/warren/work.txt`, `list:https://…`.
    """

    name: str
    prefixes: tuple[Prefix, ...] = ()
    missing: str = ""
    doubt: str = ""
    remedy: str = ""
    feed: str = ""
