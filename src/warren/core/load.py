"""Load a network file with its lock: parse, check, allot. What every command begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from warren.core.allot import Full, allot
from warren.core.check import check_lock, check_network
from warren.core.delegates import grant
from warren.core.diagnostics import as_text, has_errors, in_order
from warren.core.lockfile import lock_name, parse_lock
from warren.core.maps import settled
from warren.core.parse import parse
from warren.core.parse.spots import Spots
from warren.core.sets import ReadSet, fill
from warren.core.source import Source, decode_leniently
from warren.model.diagnostic import Diagnostic
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.network import Network


@dataclass(frozen=True)
class Loaded:
    """A network file and its lock, as far as they are right.

    `network` is None when the file has an error. `lock` is complete whenever there is a network: where the lock
    file is missing or out of date, it holds what `warren lock` would write, and `locked` is False.
    """

    network: Network | None
    lock: Lock | None
    diagnostics: tuple[Diagnostic, ...]
    locked: bool
    sources: tuple[Source, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way of acting on the file."""
        return not has_errors(self.diagnostics)

    def text(self) -> str:
        """Write all findings with their excerpts, without colours."""
        return "\n".join(as_text(one, *self.sources) for one in self.diagnostics)


def load(
    data: bytes,
    lock_data: bytes | None,
    file: str,
    make_key: Callable[[str], PublicKey] | None = None,
    lock_file: str = "",
    sets: ReadSet | None = None,
) -> Loaded:
    """Read a network file and its lock file (None: there is none), and judge both.

    `lock_file` is where the lock lies, if that is not beside the file as it is named (a link).
    `sets` gives the contents of the countries and lists that portals name; without it, naming one is an error.
    `make_key` gives hosts and devices a key that have none in the file, as the lab does; otherwise that is an error.
    """
    parsed = parse(data, file)
    draft = parsed.draft
    if draft is not None and make_key is not None:
        draft = _with_keys(draft, make_key)
    if draft is not None:
        draft = fill(draft, sets)
    found = parsed.diagnostics
    if draft is not None:
        found = in_order((*found, *_beyond(found, check_network(draft, parsed.spots))))
    sources: tuple[Source, ...] = (parsed.source,)
    lock: Lock | None = None
    if lock_data is not None:
        lock_file = lock_file or lock_name(file)
        lock, wrong = parse_lock(lock_data, lock_file)
        found = in_order((*found, *wrong))
        sources += (decode_leniently(lock_data, lock_file),)
    if draft is None or has_errors(parsed.diagnostics) or has_errors(one for one in found if one.where.file == file):
        return Loaded(None, None, found, False, sources)
    return _locked(draft, lock, lock_data is not None, found, sources, parsed.spots)


def _locked(
    network: Network,
    lock: Lock | None,
    written: bool,
    found: tuple[Diagnostic, ...],
    sources: tuple[Source, ...],
    spots: Spots,
) -> Loaded:
    if lock is not None or not written:  # what cannot be read is not also out of date
        found = in_order((*found, *check_lock(network, lock, spots)))
    try:
        complete = allot(network, lock or Lock())
    except Full:
        return Loaded(None, None, found, False, sources)
    return Loaded(grant(settled(network, complete), complete), complete, found, lock == complete, sources)


def _beyond(parsed: tuple[Diagnostic, ...], checked: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Leave out what is said of a place that could not even be read."""
    broken = {(one.where.line, one.where.column) for one in parsed}
    return tuple(one for one in checked if (one.where.line, one.where.column) not in broken)


def _with_keys(network: Network, make_key: Callable[[str], PublicKey]) -> Network:
    return replace(
        network,
        hosts=tuple(host if host.key else replace(host, key=make_key(host.name)) for host in network.hosts),
        devices=tuple(one if one.key else replace(one, key=make_key(one.name)) for one in network.devices),
        rendezvous=tuple(
            one if one.key else replace(one, key=make_key(str(one.address))) for one in network.rendezvous
        ),
    )
