"""The registries' files on this machine: fetched, checked, and replaced only by something as good.

    GEO/apnic             the last good file, as it came
    GEO/apnic.json        from where, when, its ETag and what it says of itself
    GEO/asked             when the registries were last asked
    GEO/lists/            lists of the web (lists.py)

GEO is $WARREN_GEO_DIR, else /var/lib/warren/geo for root and $XDG_DATA_HOME/warren/geo for anybody else: the data is
public, and proving a network offline needs no root.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from warren.core.geo.registry import MOST_BYTES, REGISTRIES, BadRegistry, Registry, read_registry
from warren.sys.errors import HostError
from warren.sys.fetch import NotThere, fetch
from warren.sys.store import DEFAULT_STATE_DIR, Store

SOURCES = {
    "afrinic": "https://ftp.afrinic.net/stats/afrinic/delegated-afrinic-extended-latest",
    "apnic": "https://ftp.apnic.net/stats/apnic/delegated-apnic-extended-latest",
    "arin": "https://ftp.arin.net/pub/stats/arin/delegated-arin-extended-latest",
    "lacnic": "https://ftp.lacnic.net/pub/stats/lacnic/delegated-lacnic-extended-latest",
    "ripencc": "https://ftp.ripe.net/ripe/stats/delegated-ripencc-extended-latest",
}
SHRINK = 0.2  # a file that lost more than this share of its rows is not believed
KEPT = "The last good one is kept."
# Beside its file a registry puts its MD5 sum, all five of them do; a mirror may have another instead.
_CHECKSUMS = (
    ("md5", re.compile(rb"\b([0-9a-fA-F]{32})\b")),
    ("sha256", re.compile(rb"\b([0-9a-fA-F]{64})\b")),
    ("sha512", re.compile(rb"\b([0-9a-fA-F]{128})\b")),
)
CHECKSUM_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Held:
    """A file of a registry that this machine has; `fetched` in seconds since 1970."""

    registry: Registry
    source: str
    etag: str
    fetched: int
    verified: bool  # against the checksum file beside it


@dataclass(frozen=True, slots=True)
class Updated:
    """What became of one registry: `new`, `unchanged`, or `refused` with the reason; `held` is what counts now."""

    name: str
    outcome: str
    held: Held | None
    why: str = ""


class GeoStore:
    """The directory of registry files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = Store(path)

    @classmethod
    def of_host(cls) -> GeoStore:
        """Find it; nothing is made."""
        if named := os.environ.get("WARREN_GEO_DIR"):
            return cls(Path(named))
        if os.geteuid() == 0:
            return cls(Path(os.environ.get("WARREN_STATE_DIR") or DEFAULT_STATE_DIR) / "geo")
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
        return cls(Path(data) / "warren/geo")

    def held(self, name: str) -> Held | None:
        """Say which file of a registry there is; None if there is none."""
        told = self._store.read(f"{name}.json")
        if told is None or not (self.path / name).exists():
            return None
        try:
            return Held(**{**told, "registry": Registry(**told["registry"])})
        except (TypeError, KeyError):
            return None  # of another version of warren: fetched anew

    def files(self) -> tuple[bytes, ...]:
        """Read all files there are; HostError if there are none."""
        found = []
        for name in REGISTRIES:
            try:
                found.append((self.path / name).read_bytes())
            except FileNotFoundError:
                continue
        if not found:
            raise HostError(
                f"there is no registry data in {self.path}",
                "Run `warren geo update`, or `warren geo update --from FILE`.",
            )
        return tuple(found)

    def missing(self) -> tuple[str, ...]:
        """Name the registries of which there is no file."""
        return tuple(name for name in REGISTRIES if not (self.path / name).exists())

    def note_asked(self) -> None:
        """Note that the registries are asked now, by whomever: the agent then waits a day."""
        self._store.write(int(time.time()), "asked")

    def asked(self) -> int:
        """Say when the registries were last asked, in seconds since 1970; 0 for never."""
        told = self._store.read("asked")
        return told if isinstance(told, int) else 0

    def take(
        self,
        data: bytes,
        source: str,
        *,
        etag: str = "",
        verified: bool = False,
        smaller: bool = False,
        name: str = "",
    ) -> Held:
        """Put a file in the place of the last good one; HostError, and nothing is changed, if it is not believed.

        `name` is the registry whose file it must be; any, if empty.
        """
        try:
            registry = read_registry(data)
        except BadRegistry as bad:
            raise HostError(f"{source} is not a registry's delegated file: {bad}", KEPT) from None
        if name not in ("", registry.name):
            raise HostError(f"{source} is the file of {registry.name}, not of {name}", KEPT)
        before = self.held(registry.name)
        if before is not None and not smaller and registry.records < before.registry.records * (1 - SHRINK):
            raise HostError(
                f"{source} has {registry.records:,} rows, the last good one has {before.registry.records:,}",
                "A loss of more than a fifth is not believed: the last good one stays. If it is right: --smaller.",
            )
        held = Held(registry, source, etag, int(time.time()), verified)
        self._store.write_bytes(data, registry.name)
        self._store.write(asdict(held), f"{registry.name}.json")
        return held


def update(
    store: GeoStore,
    mirror: str = "",
    *,
    smaller: bool = False,
    progress: Callable[[str, int], None] = lambda _name, _size: None,
) -> Iterator[Updated]:
    """Fetch every registry's file that changed. One that fails leaves its last good file, and the others go on."""
    for name, url in SOURCES.items():
        source = f"{mirror.rstrip('/')}/{url.rpartition('/')[2]}" if mirror else url
        before = store.held(name)
        try:
            yield _update_one(store, name, source, before, smaller, partial(progress, name))
        except HostError as error:
            yield Updated(name, "refused", before, f"{error.says}. {error.remedy}".rstrip())


def _update_one(
    store: GeoStore, name: str, source: str, before: Held | None, smaller: bool, progress: Callable[[int], None]
) -> Updated:
    etag = before.etag if before is not None and before.source == source else ""
    got = fetch(source, MOST_BYTES, etag, progress)
    if got.data is None:
        return Updated(name, "unchanged", before)
    verified = _verify(got.data, source)
    held = store.take(got.data, source, etag=got.etag, verified=verified, smaller=smaller, name=name)
    return Updated(name, "new", held)


def _verify(data: bytes, source: str) -> bool:
    """Hold a file against the checksum beside it: HostError if they differ, False if there is none.

    It guards against a broken transfer, not against an attacker: that is HTTPS's part.
    """
    for kind, pattern in _CHECKSUMS:
        try:
            told = fetch(f"{source}.{kind}", CHECKSUM_BYTES)
        except NotThere:
            continue
        found = pattern.search(told.data or b"")
        if found is None:
            continue
        if hashlib.new(kind, data, usedforsecurity=False).hexdigest() != found[1].decode().lower():
            raise HostError(
                f"{source} does not match its {kind.upper()} file",
                "It broke on the way, or is being replaced just now: try again.",
            )
        return True
    return False
