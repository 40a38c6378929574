"""Where the contents of countries and lists are read from on this machine: the feeds of their sets.

    country:CN                    the registries' files          kept by geo.py
    list:/etc/warren/work.txt     a file
    list:https://example.net/cn   a list of the web              kept by lists.py

An applied set knows its feed, so that it can be read again when nobody has the network file.
"""

from __future__ import annotations

import os
from pathlib import Path

from warren.core.geo.lists import MOST_BYTES, MOST_PREFIXES
from warren.model.named_set import ListKind, ListSource, NamedSet, is_address
from warren.model.state import HostState
from warren.sys import journal
from warren.sys.errors import HostError
from warren.sys.journal import Journal
from warren.sys.store import Store

UPDATE = "Run `warren geo update`."
NEAR = "Correct its path: it is relative to the network file."


class Feeds:
    """Reads what sets hold; `fetch` is the remedy where a list of the web is not here."""

    def __init__(self, fetch: str = UPDATE) -> None:
        self._fetch = fetch
        self._registries: tuple[bytes, ...] = ()

    def read(self, name: str, feed: str, shown: str = "") -> NamedSet:
        """Read a set; what could not be had is said in it. `shown` is what to call its file."""
        kind, _, source = feed.partition(":")
        if kind == "country":
            return self._country(name, feed, source)
        if not is_address(source):
            return _listed(name, feed, Path(source), shown or source, NEAR)
        from warren.sys.lists import ListStore

        file = ListStore.of_host().file(source, ListKind.PREFIXES)
        if not file.exists():
            return NamedSet(name, missing=f"{source} was not fetched yet", remedy=self._fetch, feed=feed)
        return _listed(name, feed, file, source, self._fetch)

    def _country(self, name: str, feed: str, code: str) -> NamedSet:
        # Most files name no country, and every command begins with reading one.
        from warren.core.geo.registry import country_prefixes
        from warren.sys.geo import GeoStore

        store = GeoStore.of_host()
        try:
            self._registries = self._registries or store.files()
        except HostError as error:
            return NamedSet(name, missing=error.says, remedy=error.remedy, feed=feed)
        lacking = store.missing()
        doubt = f"there is no file of {', '.join(lacking)} here" if lacking else ""
        return NamedSet(name, country_prefixes(self._registries, code), doubt=doubt, remedy=UPDATE, feed=feed)


def _listed(name: str, feed: str, path: Path, shown: str, remedy: str) -> NamedSet:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return NamedSet(name, missing=f"{shown}: {reason}", remedy=remedy, feed=feed)
    if len(data) > MOST_BYTES:
        says = f"{shown} has more than {MOST_BYTES:,} bytes"
        return NamedSet(name, missing=says, remedy="Take out what does not belong there.", feed=feed)
    from warren.core.geo.lists import read_list

    found = read_list(data)
    if len(found.prefixes) > MOST_PREFIXES:
        says = f"{shown} has more than {MOST_PREFIXES:,} prefixes"
        return NamedSet(name, missing=says, remedy="Divide what is needed from what is not.", feed=feed)
    doubt = ""
    if found.odd_count:
        lines = ", ".join(str(number) for number, _ in found.odd)
        more = ", …" if found.odd_count > len(found.odd) else ""
        doubt = f"{found.odd_count} of its lines could not be read ({lines}{more} in {shown})"
    return NamedSet(name, found.prefixes, doubt=doubt, remedy="Write a prefix, a range or an address there.", feed=feed)


def feeds_of(state: HostState | None) -> tuple[str, ...]:
    """List the feeds of a state's sets, each once."""
    sets = (held for table in (state.tables if state is not None else ()) for held in table.sets)
    return tuple(dict.fromkeys(held.feed for held in sets if held.feed))


def applied_with_feeds(store: Store) -> tuple[str, ...]:
    """Name the networks applied here that have sets to refresh."""
    return tuple(owner for owner in _owners(store) if feeds_of(journal.load(store, owner).applied))


def lists_applied(store: Store) -> tuple[ListSource, ...]:
    """List the lists of the web that networks applied here use: as their files said then, or else as their sets do."""
    found: dict[tuple[str, ListKind], ListSource] = {}
    for owner in _owners(store):
        held = journal.load(store, owner)
        for listed in _listed_in(held):
            if listed.fetched:
                found.setdefault((listed.sources[0], listed.kind), listed)
        for feed in feeds_of(held.applied):
            address = feed.removeprefix("list:")
            if feed != address and is_address(address):
                source = ListSource(address.rpartition("/")[2], (address,))
                found.setdefault((address, ListKind.PREFIXES), source)
    return tuple(found.values())


def _listed_in(held: Journal) -> tuple[ListSource, ...]:
    from warren.core.parse import parse

    draft = parse(held.source.text.encode(), held.source.file).draft if held.source is not None else None
    return draft.lists if draft is not None else ()


def _owners(store: Store) -> tuple[str, ...]:
    """Name the networks of this host; none for somebody who may not look there."""
    if not os.access(store.path, os.R_OK | os.X_OK):
        return ()
    return tuple(owner for owner in journal.owners(store) if not owner.startswith("conf:"))
