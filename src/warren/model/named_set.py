"""Countries, lists and domains: many addresses under one name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.prefix import Prefix


@dataclass(frozen=True, slots=True)
class SetUse:
    """`country:CN`, `list:NAME` or `domain:NAME` where a portal names destinations.

    `index` is its place in `except:` or `only:`.
    """

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

    Of `domain:NAME` and of lists of domains, it is the `domains`, each with all below it: what addresses they have is
    known only once they are asked for.
    `missing` says why its contents could not be had, and `doubt` why they may lack something; `remedy` is for either.
    `feed` says where on this machine they are read from: `country:CN`, `list:/etc/warren/work.txt`, `list:https://…`.
    """

    name: str
    prefixes: tuple[Prefix, ...] = ()
    missing: str = ""
    doubt: str = ""
    remedy: str = ""
    feed: str = ""
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NameSets:
    """The nft sets of a host that hold what some domains were answered with: `NAME_4a` and `_4b`, `_6a` and `_6b`.

    The two of a family are filled together and emptied in turn (`core.domains`).
    """

    name: str
    domains: tuple[str, ...]
