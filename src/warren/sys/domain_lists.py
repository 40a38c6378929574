"""Lists of domains on this machine: files, with those that they include beside them, and what was fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from warren.core.geo.domains import MOST_BYTES, MOST_DOMAINS, DomainList, read_domains, widest
from warren.model.named_set import ListKind, ListSource, NamedSet

NEAR = "Correct its path: it is relative to the network file."
PLAIN = "Write the domains that are meant in lines of their own."
MOST_FILES = 500  # v2fly's largest list includes some 300
_FILE = re.compile(r"[A-Za-z0-9!_-][A-Za-z0-9!_.-]*")  # beside the list, and nowhere else


def read_domain_list(name: str, listed: ListSource, near: Path, fetch: str) -> NamedSet:
    """Read a list of domains; what could not be had is said in it. `fetch` is the remedy where it is not here."""
    source = listed.sources[0]
    if not listed.fetched:
        path = near / source
        return _read(name, f"list:{path.absolute()}", path, str(path), NEAR, beside=True)
    from warren.sys.lists import ListStore

    path = ListStore.of_host().file(source, ListKind.DOMAINS)
    if not path.exists():
        return NamedSet(name, missing=f"{source} was not fetched yet", remedy=fetch, feed=f"list:{source}")
    return _read(name, f"list:{source}", path, source, fetch, beside=False)


@dataclass
class _Whole:
    """A list with everything that it includes."""

    parts: dict[str, DomainList] = field(default_factory=dict)
    lacking: dict[str, None] = field(default_factory=dict)
    size: int = 0


def _read(name: str, feed: str, path: Path, shown: str, remedy: str, *, beside: bool) -> NamedSet:
    whole = _Whole()
    try:
        _take(whole, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return NamedSet(name, missing=f"{shown}: {reason}", remedy=remedy, feed=feed)
    waiting = list(whole.parts[path.name].includes)
    while waiting:
        wanted = waiting.pop()
        if wanted in whole.parts:
            continue
        if not beside or not _FILE.fullmatch(wanted) or len(whole.parts) >= MOST_FILES:
            whole.lacking[wanted] = None
            continue
        try:
            _take(whole, path.parent / wanted)
        except OSError:
            whole.lacking[wanted] = None
        else:
            waiting += whole.parts[wanted].includes
        if whole.size > MOST_BYTES:
            break
    if whole.size > MOST_BYTES:
        says = f"{shown} has more than {MOST_BYTES:,} bytes"
        return NamedSet(name, missing=says, remedy="Take out what does not belong there.", feed=feed)
    domains = tuple(widest(domain for part in whole.parts.values() for domain in part.domains))
    if len(domains) > MOST_DOMAINS:
        says = f"{shown} has {len(domains):,} domains, and warren takes {MOST_DOMAINS:,}"
        return NamedSet(name, missing=says, remedy="Divide what is needed from what is not.", feed=feed)
    return NamedSet(name, domains=domains, doubt=_doubt(whole, shown), remedy=PLAIN, feed=feed)


def _take(whole: _Whole, path: Path) -> None:
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    whole.size += len(data)
    whole.parts[path.name] = read_domains(data)


def _doubt(whole: _Whole, shown: str) -> str:
    """Say in words what dnsmasq cannot have of it, or nobody could read."""
    parts = whole.parts.values()
    exact, patterns = sum(part.exact for part in parts), sum(part.patterns for part in parts)
    odd, count = next((part.odd for part in parts if part.odd), ()), sum(part.odd_count for part in parts)
    told = []
    if exact:
        told.append(f"{exact:,} of its names hold for what is below them too (`full:`)")
    if patterns:
        told.append(f"{patterns:,} patterns hold for nothing (`regexp:`, `keyword:`)")
    if whole.lacking:
        first = next(iter(whole.lacking))
        more = f" and {len(whole.lacking) - 1:,} others" if len(whole.lacking) > 1 else ""
        told.append(f"`include:{first}`{more} could not be had")
    if count:
        lines = ", ".join(str(number) for number, _ in odd)
        told.append(f"{count:,} of its lines could not be read ({lines}{', …' if count > len(odd) else ''} in {shown})")
    return ", ".join(told)
