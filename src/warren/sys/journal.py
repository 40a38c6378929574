"""What warren did to this host for one owner: written before anything is done, so that it can be undone.

    applied     the state that was last reached and seen to be there; undo is a diff back to it
    asked       what had been asked for then: it has also the names of endpoints that stood for no address
    pending     the state that is being made (or unmade, then `unmaking`): set before the first change, so that
                whoever finds it after a kill knows which devices may be ours
    confirmed   the last state its owner said yes to: what a boot brings back
    window      an apply that undoes itself at a deadline unless it is confirmed
    source      the network file and the lock that it was compiled from, `good` those of what was confirmed: whoever
                goes on working by them does not depend on what becomes of the file

States are written once each, under their digest; the journal is a small file of digests, and is replaced whole. What
an earlier boot was given is gone with it: then only `confirmed` is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2s
from pathlib import Path
from typing import TypeVar

from warren.model.state import HostState, LanAddress, LanLink
from warren.sys.codec import CodecError, decode, encode
from warren.sys.store import Store, damaged, kernel_id, to_text

_T = TypeVar("_T")
OWNERS = "owners"
FILE = "journal"


@dataclass(frozen=True, slots=True)
class Window:
    """An apply that waits to be confirmed; `deadline` in seconds since 1970.

    `back_to` is the state that comes back (None: nothing of ours); `guard` names who sees to it (confirm.py).
    """

    token: str
    deadline: float
    back_to: HostState | None = None
    guard: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A network file and its lock as they were when they were applied; `file` is where it lay, an absolute path."""

    file: str
    text: str
    lock: str


@dataclass(frozen=True, slots=True)
class Journal:
    """One owner's journal. `installed` maps an nft table's name to the digest of its listing once installed."""

    owner: str
    host: str = ""
    file: str = ""  # the network file or conf it came from, for people
    applied: HostState | None = None
    pending: HostState | None = None
    confirmed: HostState | None = None
    installed: tuple[tuple[str, str], ...] = ()
    window: Window | None = None
    asked: HostState | None = None
    source: Source | None = None
    good: Source | None = None

    def states(self) -> tuple[HostState, ...]:
        """Give the states whose objects may be on the host, the likeliest first."""
        back = self.window.back_to if self.window else None
        return tuple(state for state in (self.pending, self.applied, back) if state is not None)

    def devices(self) -> frozenset[str]:
        """Name the devices that may be ours."""
        return frozenset(interface.name for state in self.states() for interface in state.interfaces)

    def lan_links(self) -> tuple[LanLink, ...]:
        """List the LANs' devices that we may have made or brought up."""
        return tuple(dict.fromkeys(link for state in self.states() for link in state.lan_links))

    def lan_addresses(self) -> frozenset[LanAddress]:
        """Give the addresses on LANs that may be ours."""
        return frozenset(given for state in self.states() for given in (*state.lan_addresses, *state.retired))


@dataclass(frozen=True, slots=True)
class _WindowFile:
    token: str
    deadline: float
    back_to: str | None = None
    guard: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """The journal on disk: states by their digests. `kernel` is whose memory it tells of."""

    owner: str
    kernel: str
    host: str = ""
    file: str = ""
    applied: str | None = None
    pending: str | None = None
    confirmed: str | None = None
    installed: tuple[tuple[str, str], ...] = ()
    window: _WindowFile | None = None
    asked: str | None = None
    source: str | None = None
    good: str | None = None

    def digests(self) -> set[str]:
        named = (self.applied, self.asked, self.pending, self.confirmed, self.window.back_to if self.window else None)
        return {digest for digest in (*named, self.source, self.good) if digest}


def load(store: Store, owner: str) -> Journal:
    """Read an owner's journal; an empty one if there is none. HostError with a remedy if it is damaged."""
    data = store.read(OWNERS, _directory(owner), FILE)
    if data is None:
        return Journal(owner)
    path = store.path / OWNERS / _directory(owner)
    try:
        written = decode(data, _File)
    except CodecError as error:
        raise damaged(path / FILE, str(error)) from None
    states: dict[str, HostState] = {}

    def state(digest: str | None) -> HostState | None:
        if digest is None:
            return None
        if digest not in states:
            states[digest] = _load(store, path / digest, digest, HostState)
        return states[digest]

    good = _load(store, path / written.good, written.good, Source) if written.good else None
    journal = Journal(owner, written.host, written.file, confirmed=state(written.confirmed), good=good)
    if written.kernel != kernel_id():
        return journal
    window = written.window
    return replace(
        journal,
        applied=state(written.applied),
        asked=state(written.asked),
        source=_load(store, path / written.source, written.source, Source) if written.source else None,
        pending=state(written.pending),
        installed=written.installed,
        window=Window(window.token, window.deadline, state(window.back_to), window.guard) if window else None,
    )


def stamp(store: Store, owner: str) -> tuple[int, int] | None:
    """Give what is another after each change of an owner's journal; None if there is none."""
    try:
        found = os.stat(store.path / OWNERS / _directory(owner) / FILE)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def save(store: Store, journal: Journal) -> None:
    """Write an owner's journal: first the states it names, then the journal itself; then drop what it names no more."""
    directory = _directory(journal.owner)

    def digest(value: HostState | Source | None) -> str | None:
        if value is None:
            return None
        name, text = _named(value)
        if not (store.path / OWNERS / directory / name).exists():
            store.write_text(text, OWNERS, directory, name)
        return name

    window = journal.window
    written = _File(
        owner=journal.owner,
        kernel=kernel_id(),
        host=journal.host,
        file=journal.file,
        applied=digest(journal.applied),
        pending=digest(journal.pending),
        confirmed=digest(journal.confirmed),
        installed=journal.installed,
        window=_WindowFile(window.token, window.deadline, digest(window.back_to), window.guard) if window else None,
        asked=digest(journal.asked),
        source=digest(journal.source),
        good=digest(journal.good),
    )
    store.write(encode(written), OWNERS, directory, FILE)
    for path in _files(store.path / OWNERS / directory):
        if path.name != FILE and path.name not in written.digests():
            path.unlink(missing_ok=True)


_KNOWN: dict[int, tuple[HostState | Source, str, str]] = {}


def _named(value: HostState | Source) -> tuple[str, str]:
    """Give a state's digest and text: an apply writes its journal twice, and 20,000 routes take a tenth of a second."""
    known = _KNOWN.get(id(value))
    if known is None:
        text = to_text(encode(value))
        known = _KNOWN[id(value)] = (value, blake2s(text.encode(), digest_size=16).hexdigest(), text)
        for old in list(_KNOWN)[:-4]:
            _KNOWN.pop(old, None)
    return known[1:]


def forget(store: Store, owner: str) -> None:
    """Remove an owner's journal: nothing of it is on the host any more."""
    path = store.path / OWNERS / _directory(owner)
    store.remove(OWNERS, _directory(owner), FILE)
    for file in _files(path):
        file.unlink(missing_ok=True)
    if path.is_dir():
        path.rmdir()


def owners(store: Store) -> tuple[str, ...]:
    """Name every owner that has a journal, in order."""
    try:
        return tuple(sorted(_owner(path.name) for path in _files(store.path / OWNERS) if (path / FILE).exists()))
    except OSError as error:
        raise store.trouble(error, "read", store.path / OWNERS) from None


def others(store: Store, owner: str) -> tuple[Journal, ...]:
    """Read the journals of all other owners of this host."""
    return tuple(load(store, other) for other in owners(store) if other != owner)


def _load(store: Store, path: Path, digest: str, kind: type[_T]) -> _T:
    data = store.read(*path.relative_to(store.path).parts)
    if data is None:
        raise damaged(path.parent / FILE, f"it names {digest}, which is not there")
    try:
        return decode(data, kind)
    except CodecError as error:
        raise damaged(path, str(error)) from None


def _files(path: Path) -> Iterator[Path]:
    try:
        yield from sorted(path.iterdir())
    except FileNotFoundError:
        return


def _directory(owner: str) -> str:
    """Write an owner's name as a file's name: what could mean something to the file system as %hex."""
    return "".join(
        char if char.isalnum() or char in "-_" else "".join(f"%{b:02x}" for b in char.encode()) for char in owner
    )


def _owner(directory: str) -> str:
    parts = directory.split("%")
    raw = parts[0].encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in parts[1:])
    return raw.decode(errors="replace")
