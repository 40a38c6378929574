"""What became of the network file since it was applied: its owner's draft of what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren.sys.journal import Journal


class Changed(StrEnum):
    """How a file compares with what was applied from it."""

    NO = "no"
    YES = "yes"
    INVALID = "invalid"
    GONE = "gone"
    UNKNOWN = "unknown"  # it was applied by a warren that did not keep it


@dataclass(frozen=True, slots=True)
class Draft:
    """A file, how it compares, and what is to be said of that; empty if nothing is."""

    file: str
    changed: Changed
    says: str = ""


def draft_of(held: Journal) -> Draft:
    """Compare a network's file with what it was when it was applied."""
    from warren.cli.network import read_network
    from warren.cli.view import count
    from warren.model.diagnostic import Severity
    from warren.sys.errors import HostError

    kept = held.source or held.good
    if kept is None:
        return Draft(held.file, Changed.UNKNOWN)
    try:
        loaded = read_network(kept.file)
    except HostError as error:
        return Draft(kept.file, Changed.GONE, error.says)
    errors = sum(one.severity is Severity.ERROR for one in loaded.diagnostics)
    if errors or loaded.network is None:
        return Draft(kept.file, Changed.INVALID, f"{kept.file} has {count(errors, 'error')}")
    if [each.text for each in loaded.sources] != [kept.text, kept.lock]:
        return Draft(kept.file, Changed.YES, f"{kept.file} was changed since it was applied")
    return Draft(kept.file, Changed.NO)
