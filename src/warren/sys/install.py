"""Put the files of an installation on this host, have its init system start them, and take all of it back.

    install.json    what was made: each file with the digests of what we wrote there, what was enabled, for whom

It is written before the first file, so that whoever is killed in between is brought right by the next install or
uninstall. A file that somebody else made, or altered, is never overwritten and never removed: it is named.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2s
from pathlib import Path

from warren.core.install.files import Enabled, Init, Installation, Where
from warren.core.install.openrc import openrc_files
from warren.core.install.systemd import systemd_files
from warren.core.render.tree import File
from warren.model.change import Command
from warren.sys import boot_guard, journal, systemd
from warren.sys.codec import CodecError, decode, encode
from warren.sys.errors import HostError
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.run import find_program
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


def init_here(root: Path = Path("/")) -> Init:
    """Say which init system this host has; HostError if it is one that we have no files for."""
    if (root / "run/systemd/system").is_dir():
        return Init.SYSTEMD
    if (root / "run/openrc").is_dir():
        return Init.OPENRC
    for init, sign in ((Init.SYSTEMD, "lib/systemd/systemd"), (Init.OPENRC, "sbin/openrc-run")):
        if (root / sign).exists():
            return init
    raise HostError(
        "this host has neither systemd nor OpenRC, and warren has files for no other init system",
        "Have yours run these, as root: the script that `warren install --init openrc --dry-run` names before the "
        "network is up, `warren apply --at-boot --retry` after it, and `warren agent --network NAME` to stay.",
    )


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
    """Write files and have them started at boot. HostError, and nothing is changed, where somebody else's file stands."""
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
        _disable(made.init, gone, machine)
        for each in stale:
            _remove(root / each.path, each)
        _enable(made, machine)
        final = tuple(Made(file.path, (_digest(file.text),)) for file in made.files)
        store.write(encode(replace(record, files=final, enabled=made.enabled)), boot_guard.RECORD)


def uninstall(machine: Machine, root: Path = Path("/")) -> Removed:
    """Take everything back that install made; what is up stays up. HostError if nothing is installed."""
    store = machine.store
    with host_lock(store, machine.patience):
        record = installed(store)
        if record is None:
            raise HostError("warren is not installed on this host", "`warren install FILE` does that.")
        _disable(record.init, record.enabled, machine)
        removed, left = [], []
        for each in record.files:
            what = _remove(root / each.path, each)
            if what is not None:
                (removed if what else left).append(f"/{each.path}")
        if record.init is Init.SYSTEMD:
            _reload(machine)
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
    """Remove a file if it is what we wrote: whether it was; None if there is none. An empty directory of ours goes too."""
    found = _text(path)
    if found is None:
        return None
    if _digest(found) not in made.digests:
        return False
    path.unlink()
    if path.parent.name == "networkd.conf.d" and not any(path.parent.iterdir()):
        path.parent.rmdir()
    return True


# --- the init system ------------------------------------------------------------------------------------------


def _enable(made: Installation, machine: Machine) -> None:
    for command in _enabling(made, at_work=_at_work(made.init)):
        machine.act(command)


def _enabling(made: Installation, *, at_work: bool) -> Iterator[Command]:
    """Give the commands that have things started at boot, and at once what is of use at once."""
    if made.init is Init.SYSTEMD:
        if at_work:
            yield Command(("systemctl", "daemon-reload"), says="systemd reads its units again")
        yield Command(("systemctl", "--quiet", "enable", *(one.name for one in made.enabled)), says="enable units")
        # An agent that runs already is another version's: it begins anew.
        now = tuple(one.name for one in made.enabled if one.now)
        if at_work and now:
            yield Command(("systemctl", "restart", *now), says=f"start {', '.join(now)}")
        return
    for one in made.enabled:
        yield Command(("rc-update", "--quiet", "add", one.name, one.level), says=f"enable {one.name}")
    for one in made.enabled:
        if at_work and one.now:
            yield Command(("rc-service", "--quiet", one.name, "restart"), says=f"start {one.name}")


def _disable(init: Init, enabled: Iterable[Enabled], machine: Machine) -> None:
    for command in _disabling(init, tuple(enabled), at_work=_at_work(init)):
        machine.act(command)


def _disabling(init: Init, enabled: tuple[Enabled, ...], *, at_work: bool) -> Iterator[Command]:
    """Give the commands that stop and forget things; it is no failure if they are not there any more."""
    if not enabled:
        return
    if init is Init.SYSTEMD:
        names = [one.name for one in enabled]
        if at_work:
            yield Command(("systemctl", "stop", *names), says="stop units", fine=(0, 5))
        yield Command(("systemctl", "--quiet", "disable", *names), says="disable units", fine=(0, 1))
        return
    for one in enabled:
        if at_work:
            yield Command(("rc-service", "--quiet", one.name, "stop"), says=f"stop {one.name}", fine=(0, 1))
        yield Command(("rc-update", "--quiet", "delete", one.name, one.level), says=one.name, fine=(0, 1))


def _reload(machine: Machine) -> None:
    if _at_work(Init.SYSTEMD):
        machine.act(Command(("systemctl", "daemon-reload"), says="systemd reads its units again"))


def _at_work(init: Init) -> bool:
    """Say whether the init system runs here: in an image that is being built it does not, and is told by files alone."""
    if init is Init.SYSTEMD:
        return systemd.runs_units_here()
    return os.path.isdir("/run/openrc") and find_program("rc-service") is not None
