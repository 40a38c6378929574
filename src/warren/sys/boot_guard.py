"""The script that a boot runs before there is any network: kept in step with what is confirmed, where one is wanted.

It is there once `warren install` was run. Whoever confirms a state writes the script first and the journal then: killed
in between, the next boot begins with what was asked for last.
"""

from __future__ import annotations

from pathlib import Path

from warren.core.render.guard import render_guard
from warren.sys import journal
from warren.sys.errors import HostError
from warren.sys.journal import Journal
from warren.sys.store import Store

PLACE = ("boot", "guard.sh")
RECORD = "install.json"  # what `warren install` made (install.py)


def path_of(store: Store) -> Path:
    """Say where the script lies."""
    return store.path.absolute().joinpath(*PLACE)


def refresh(store: Store, changed: Journal) -> None:
    """Write the script anew for an owner's confirmed state that is about to be another."""
    if not (store.path / RECORD).exists():
        return
    held = {owner: _held(store, owner) for owner in journal.owners(store) if owner != changed.owner}
    write(store, *(one for one in (*held.values(), changed) if one is not None))


def write(store: Store, *journals: Journal) -> None:
    """Write the script for what these owners have confirmed; a conf comes up by its own, and is no part of it."""
    wanted = [held.confirmed for held in sorted(journals, key=lambda held: held.owner) if held.confirmed is not None]
    text = render_guard([state for state in wanted if not state.is_conf and (state.tables or state.rules)])
    path = path_of(store)
    if not path.exists() or path.read_text() != text:
        store.write_text(text.removesuffix("\n"), *PLACE)


def _held(store: Store, owner: str) -> Journal | None:
    """Read another owner's journal; one that is damaged must not keep this one from being guarded."""
    try:
        return journal.load(store, owner)
    except HostError:
        return None
