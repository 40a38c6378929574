"""Put the files of an installation on this host, have its init system start them, and take all of it back.

    install.json    what was made: each file with the digests of what we wrote there, what was enabled, for whom

It is written before the first file, so that whoever is killed in between is brought right by the next install or
uninstall. A file that somebody else made, or altered, is never overwritten and never removed: it is named.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2s
from pathlib import Path

from warren.core.install.files import Enabled, Init, Installation, Where
from warren.core.install.openrc import openrc_files
from warren.core.install.systemd import systemd_files
from warren.core.render.tree import File
from warren.sys import boot_guard, journal
from warren.sys.codec import CodecError, decode, encode
from warren.sys.errors import HostError
from warren.sys.init_system import disable, enable, forgotten
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.store import DEFAULT_STATE_DIR, Store, damaged, sync_directory

_PLAIN = re.compile(r"[\w/.,:@+=-]+")
TEMPORARY = ("/tmp", "/var/tmp", "/run", "/var/run", "/dev", "/proc")


@dataclass(frozen=True, slots=True)
class Made:
    """A file that we wrote: the digests of the texts of ours that may be in it."""

    path: str
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """The record: what was made on this host, and for which networks."""

    init: Init
    networks: tuple[str, ...] = ()
    files: tuple[Made, ...] = ()
    enabled: tuple[Enabled, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What an uninstall did: files it removed, and those it left because they are not what we made."""

    removed: tuple[str, ...]
    left: tuple[str, ...]


def installed(store: Store) -> Installed | None:
    """Read the record; None if nothing is installed."""
    data = store.read(boot_guard.RECORD)
    if data is None:
        return None
    try:
        return decode(data, Installed)
    except CodecError as error:
        raise damaged(store.path / boot_guard.RECORD, str(error)) from None


def plan(store: Store, init: Init, networks: Iterable[str], *, geo: bool) -> Installation:
    """Work out what is to be on this host for these networks; HostError where its paths cannot stand in such files."""
    where = where_here(store)
    for word in (*where.argv, where.store):
        if not _PLAIN.fullmatch(word):
            raise HostError(f"{word!r} cannot stand in a unit: it has blanks or signs that mean something there")
        if word.startswith(tuple(f"{place}/" for place in TEMPORARY)) and where.default_store:
            raise HostError(
                f"{word} is gone, or not there yet, when the host boots", "Install warren in a place of its own."
            )
    make = systemd_files if init is Init.SYSTEMD else openrc_files
    return make(where, networks, geo=geo)


def where_here(store: Store) -> Where:
    """Say what this host's files depend on."""
    path = str(store.path.absolute())
    cron = next((name for name in ("cron.d", "periodic/daily") if os.path.isdir(f"/etc/{name}")), "")
    return Where(
        argv=_argv(),
        guard=str(boot_guard.path_of(store)),
        store=path,
        default_store=path == DEFAULT_STATE_DIR,
        networkd=os.path.exists("/lib/systemd/systemd-networkd"),
        cron=cron.partition("/")[0],
    )


def _argv() -> tuple[str, ...]:
    """Give the words that call this very warren, whatever the environment of who calls it."""
    called = Path(sys.argv[0]).absolute()
    if called.name == "warren" and os.access(called, os.X_OK):
        return (str(called),)
    return (sys.executable, "-m", "warren")


def install(machine: Machine, made: Installation, networks: Iterable[str], root: Path = Path("/")) -> None:
    """Write files and have them started at boot; HostError, and nothing is changed, where a file is not ours."""
    store = machine.store
    with host_lock(store, machine.patience):
        before = installed(store) or Installed(made.init)
        if before.init is not made.init:
            raise HostError(
                f"warren is installed for {before.init} here, not for {made.init}", "Run `warren uninstall` first."
            )
        ours = {each.path: each for each in before.files}
        _refuse_foreign(made.files, ours, root)
        names = {file.path for file in made.files}
        stale = tuple(each for each in before.files if each.path not in names)
        pending = tuple(
            Made(file.path, tuple(dict.fromkeys((*_known(ours, file.path), _digest(file.text))))) for file in made.files
        )
        gone = tuple(one for one in before.enabled if one.name not in {each.name for each in made.enabled})
        record = Installed(made.init, tuple(sorted(set(networks))), (*pending, *stale), (*made.enabled, *gone))
        store.write(encode(record), boot_guard.RECORD)
        boot_guard.write(store, *(journal.load(store, owner) for owner in journal.owners(store)))
        for file in made.files:
            _write(root / file.path, file)
        disable(made.init, gone, machine)
        for each in stale:
            _remove(root / each.path, each)
        enable(made, machine)
        final = tuple(Made(file.path, (_digest(file.text),)) for file in made.files)
        store.write(encode(replace(record, files=final, enabled=made.enabled)), boot_guard.RECORD)


def uninstall(machine: Machine, root: Path = Path("/")) -> Removed:
    """Take everything back that install made; what is up stays up. HostError if nothing is installed."""
    store = machine.store
    with host_lock(store, machine.patience):
        record = installed(store)
        if record is None:
            raise HostError("warren is not installed on this host", "`warren install FILE` does that.")
        disable(record.init, record.enabled, machine)
        removed: list[str] = []
        left: list[str] = []
        for each in record.files:
            what = _remove(root / each.path, each)
            if what is not None:
                (removed if what else left).append(f"/{each.path}")
        forgotten(record.init, machine)
        store.remove(*boot_guard.PLACE)
        store.remove(boot_guard.RECORD)
        return Removed(tuple(removed), tuple(left))


def _known(ours: dict[str, Made], path: str) -> tuple[str, ...]:
    return ours[path].digests if path in ours else ()


def _refuse_foreign(files: Iterable[File], ours: dict[str, Made], root: Path) -> None:
    for file in files:
        found = _text(root / file.path)
        if found is None or found == file.text or _digest(found) in _known(ours, file.path):
            continue
        whose = "altered since warren made it" if file.path in ours else "not warren's"
        raise HostError(
            f"/{file.path} is there already, and {whose}",
            "Nothing was changed. Move it away, or put your changes beside it (for a unit: `systemctl edit`).",
        )


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=16).hexdigest()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _write(path: Path, file: File) -> None:
    """Replace a file as a whole; it is on the disk when this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode), "w", encoding="utf-8"
        ) as opened:
            os.fchmod(opened.fileno(), file.mode)
            opened.write(file.text)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HostError(f"cannot write {path}: {(error.strerror or str(error)).lower()}", "Run it as root.") from None


def _remove(path: Path, made: Made) -> bool | None:
    """Remove a file if it is what we wrote, with a directory that is empty then; None if there is none."""
    found = _text(path)
    if found is None:
        return None
    if _digest(found) not in made.digests:
        return False
    path.unlink()
    if path.parent.name == "networkd.conf.d" and not any(path.parent.iterdir()):
        path.parent.rmdir()
    return True
