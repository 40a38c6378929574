"""What nearly every command begins with: read the network file and the lock beside it, or say what is wrong.

Commands that act on a host ask for what is locked. Those that only think (verify, trace, the lab) take a file whose
lock is missing or behind, completed in memory: while somebody tries things out, `warren lock` after each change would
be a nuisance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2s
from pathlib import Path

from warren.cli.files import read_file
from warren.cli.view import count, show_findings
from warren.core.diagnostics import has_errors
from warren.core.load import Loaded, load
from warren.core.parse.tree import MAX_BYTES
from warren.model.diagnostic import Severity
from warren.model.key import PublicKey, encode_key
from warren.model.lock import Lock
from warren.model.named_set import ListSource, NamedSet
from warren.model.network import Network
from warren.sys.errors import HostError
from warren.sys.journal import Source
from warren.sys.lock_file import lock_path
from warren.sys.sets import read_sets

LOCK_FINDINGS = ("W100", "W101")  # there is no lock; it is out of date


def read_network(file: str, make_key: Callable[[str], PublicKey] | None = None) -> Loaded:
    """Read and judge a network file and its lock; HostError only if the file cannot be read at all."""
    data = read_file(file, MAX_BYTES, f"`warren init -o {file}` writes a first one.")
    path = lock_path(file)
    try:
        lock_data = read_file(path, MAX_BYTES)
    except HostError as error:
        if not isinstance(error.__context__, FileNotFoundError):
            raise
        lock_data = None
    return load(data, lock_data, file, make_key, path, read_sets(file))


def open_network(
    file: str, *, locked: bool, make_key: Callable[[str], PublicKey] | None = None
) -> tuple[Network, Lock]:
    """Read a network and its lock to act on; findings go to standard error, and HostError says that errors stop us.

    `locked`: refuse what the lock does not hold. `make_key` gives hosts a key that the file gives none; those that only
    think get stand-ins.
    """
    loaded = read_network(file, make_key or (None if locked else stand_in_key))
    return judged(loaded if locked else without_lock_findings(loaded), file, locked=locked)


def open_source(file: str) -> tuple[Network, Lock, Source]:
    """Read a network to apply it, with both texts as they are now: the agent and a boot go by these afterwards."""
    loaded = read_network(file)
    network, lock = judged(loaded, file, locked=True)
    return network, lock, Source(str(Path(file).resolve()), *(each.text for each in loaded.sources))


def open_kept(kept: Source) -> tuple[Network, Lock]:
    """Read a network as it was when it was applied; sets that cannot be had any more are empty: they are up already."""
    read = read_sets(kept.file)

    def whatever_there_is(name: str, listed: ListSource | None) -> NamedSet:
        return replace(read(name, listed), missing="")

    loaded = load(kept.text.encode(), kept.lock.encode(), kept.file, None, lock_path(kept.file), whatever_there_is)
    return judged(loaded, kept.file, locked=True)


def judged(loaded: Loaded, file: str, *, locked: bool) -> tuple[Network, Lock]:
    """Tell findings on standard error and give what can be acted on; HostError if there is no such."""
    errors = sum(one.severity is Severity.ERROR for one in loaded.diagnostics)
    show_findings(loaded.diagnostics, loaded.sources, sys.stderr)
    if errors or loaded.network is None or loaded.lock is None:
        raise HostError(f"{file} has {count(errors, 'error')}", "Nothing was done. Mend the file and try again.")
    if locked and not loaded.locked:
        raise HostError(
            f"{file} is not locked yet", f"Run `warren lock {file}` first, and keep the lock with the file."
        )
    return loaded.network, loaded.lock


def stand_in_key(host: str) -> PublicKey:
    """Give a host without a key one that nobody has the private half of: enough to reason about the network."""
    return PublicKey(encode_key(blake2s(host.encode(), person=b"stand-in").digest()))


def without_lock_findings(loaded: Loaded) -> Loaded:
    """Leave out that the lock is missing or out of date: `loaded.lock` is complete nevertheless."""
    return replace(loaded, diagnostics=tuple(one for one in loaded.diagnostics if one.code not in LOCK_FINDINGS))


def stands_in_the_way(loaded: Loaded) -> bool:
    """Say whether anything but the state of the lock is wrong with the file."""
    return loaded.network is None or has_errors(without_lock_findings(loaded).diagnostics)
