"""Lists of the web on this machine: fetched, checked, and replaced only by something as good.

    GEO/lists/prefixes-5f…        the last good one, as it came; named by what is in it and its address
    GEO/lists/prefixes-5f….json   from where, when, its ETag, and how many entries it has

GEO is the directory of the registries' files (geo.py). Network files that name the same address share its list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2s
from pathlib import Path

from warren.core.geo.lists import MOST_BYTES, BadList, judge
from warren.model.named_set import ListKind, ListSource
from warren.sys.errors import HostError
from warren.sys.fetch import fetch
from warren.sys.geo import KEPT, SHRINK, GeoStore
from warren.sys.store import Store


@dataclass(frozen=True, slots=True)
class HeldList:
    """A list of the web that this machine has: `source` gave it, `fetched` in seconds since 1970."""

    source: str
    etag: str
    fetched: int
    entries: int


@dataclass(frozen=True, slots=True)
class UpdatedList:
    """What became of one list: `new`, `unchanged`, or `refused` with the reason; `held` is what counts now."""

    listed: ListSource
    outcome: str
    held: HeldList | None
    why: str = ""


class ListStore:
    """The directory of lists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = Store(path)

    @classmethod
    def of_host(cls) -> ListStore:
        """Find it; nothing is made."""
        return cls(GeoStore.of_host().path / "lists")

    def file(self, address: str, kind: ListKind) -> Path:
        """Say where a list lies, if it is here."""
        return self.path / f"{kind}-{blake2s(address.encode(), digest_size=10).hexdigest()}"

    def held(self, address: str, kind: ListKind) -> HeldList | None:
        """Say which version of a list there is; None if there is none."""
        file = self.file(address, kind)
        told = self._store.read(f"{file.name}.json")
        if told is None or not file.exists():
            return None
        try:
            return HeldList(**told)
        except TypeError:
            return None  # of another version of warren: fetched anew

    def take(
        self, data: bytes, listed: ListSource, source: str, *, etag: str = "", smaller: bool = False
    ) -> tuple[HeldList, bool]:
        """Put a list in the place of the last good one; HostError, and nothing is changed, if it is not believed.

        Gives what is held now, and whether it differs from what was.
        """
        address, kind = listed.sources[0], listed.kind
        try:
            entries = judge(data, kind)
        except BadList as bad:
            raise HostError(f"{source} is no list of {kind}: {bad}", KEPT) from None
        before, file = self.held(address, kind), self.file(address, kind)
        if before is not None and not smaller and entries < before.entries * (1 - SHRINK):
            raise HostError(
                f"{source} has {entries:,} entries, the last good one has {before.entries:,}",
                "A loss of more than a fifth is not believed: the last good one stays. If it is right: --smaller.",
            )
        differs = before is None or file.read_bytes() != data
        held = HeldList(source, etag, int(time.time()), entries)
        if differs:
            self._store.write_bytes(data, file.name)
        self._store.write(asdict(held), f"{file.name}.json")
        return held, differs


def update_lists(
    store: ListStore,
    lists: Iterable[ListSource],
    *,
    smaller: bool = False,
    progress: Callable[[str, int], None] = lambda _name, _size: None,
) -> Iterator[UpdatedList]:
    """Fetch every list that changed. One that fails leaves its last good version, and the others go on."""
    for listed in lists:
        if not listed.fetched:
            continue
        try:
            yield _update_one(store, listed, smaller, partial(progress, listed.name))
        except HostError as error:
            held = store.held(listed.sources[0], listed.kind)
            yield UpdatedList(listed, "refused", held, f"{error.says}. {error.remedy}".rstrip())


def _update_one(store: ListStore, listed: ListSource, smaller: bool, progress: Callable[[int], None]) -> UpdatedList:
    """Ask a list's own address, then its mirrors in turn, until one gives what can be believed."""
    before = store.held(listed.sources[0], listed.kind)
    refused: list[HostError] = []
    for source in listed.sources:
        etag = before.etag if before is not None and before.source == source else ""
        try:
            got = fetch(source, MOST_BYTES, etag, progress)
            if got.data is None:
                return UpdatedList(listed, "unchanged", before)
            held, differs = store.take(got.data, listed, source, etag=got.etag, smaller=smaller)
            return UpdatedList(listed, "new" if differs else "unchanged", held)
        except HostError as error:
            refused.append(error)
    raise HostError("; ".join(error.says for error in refused), refused[0].remedy)
