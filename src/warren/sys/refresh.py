"""What countries and lists hold, brought up to date in the sets that are in force; nothing else of a host is touched.

    lock the host · read the feeds of the applied sets · exchange what differs, in one transaction · remember

No network file is needed: an applied set knows its feed. What the file says now may not be applied yet, and is for
`apply` alone. The journal then has what is in force, so that the next `plan` has nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from warren.core.compare import same_but_elements
from warren.core.diff import diff
from warren.core.render.commands import commands
from warren.model.change import Item, PutElements, PutTable, Rune
from warren.model.firewall import Set, Table
from warren.model.prefix import Prefix
from warren.model.state import HostState
from warren.sys import boot_guard, confirm, journal, nft
from warren.sys.errors import HostError
from warren.sys.feeds import Feeds
from warren.sys.geo import SHRINK
from warren.sys.journal import Journal
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.observe import live_sets
from warren.sys.privilege import require_net_admin
from warren.sys.tools import tools_here


@dataclass(frozen=True, slots=True)
class SetRefreshed:
    """What became of one set: how many elements it has, and how many of them are new and gone."""

    name: str
    elements: int
    new: int
    gone: int


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of a network's sets: those that changed, and why others stay as they were."""

    owner: str
    sets: tuple[SetRefreshed, ...] = ()
    kept: tuple[str, ...] = ()


def refresh(owner: str, machine: Machine, feeds: Feeds) -> Refreshed:
    """Make the sets of an applied network hold what their feeds say now.

    HostError, and nothing is changed, where that cannot be: the network is not applied, waits to be confirmed, or its
    table is not as warren left it. A set whose feed is not at hand, or is not believed, stays as it is, and is told.
    """
    require_net_admin("changing the firewall")
    with host_lock(machine.store, machine.patience):
        held = journal.load(machine.store, owner)
        applied = _applied(held)
        kept: list[str] = []
        tables = tuple(replace(table, sets=tuple(_fed(table, feeds, kept))) for table in applied.tables)
        desired = replace(applied, tables=tables)
        items = _items(held, applied, desired, machine)
        if items:
            _make(held, desired, items, machine)
        return Refreshed(owner, tuple(_told(applied, desired)), tuple(kept))


def _applied(held: Journal) -> HostState:
    if held.applied is None:
        raise HostError(f"the network {held.owner} is not applied here", "`warren apply FILE` does it.")
    if held.window is not None and confirm.is_open(held.window):
        raise HostError(
            f"the last apply of {held.owner} still waits to be confirmed",
            "Say `warren confirm` to keep it, or `warren rollback` to take it back; then refresh again.",
        )
    if held.pending is not None and not _cut_short(held):
        raise HostError(f"a change of {held.owner} was cut short", "Run `warren apply` again.")
    return held.applied


def _cut_short(held: Journal) -> bool:
    """Say whether what was cut short was a refresh."""
    if held.pending is None or held.applied is None or len(held.pending.tables) != len(held.applied.tables):
        return False
    alike = zip(held.pending.tables, held.applied.tables, strict=True)
    return replace(held.pending, tables=held.applied.tables) == held.applied and all(
        same_but_elements(one, other) for one, other in alike
    )


def _fed(table: Table, feeds: Feeds, kept: list[str]) -> Iterator[Set]:
    for held in table.sets:
        if not held.feed:
            yield held
            continue
        found = feeds.read(held.name, held.feed)
        version = 4 if held.type.value == "ipv4_addr" else 6
        prefixes: tuple[Prefix, ...] = tuple(one for one in found.prefixes if one.version == version)
        why = found.missing or _unbelievable(held, found.prefixes, prefixes, found.doubt)
        if why:
            kept.append(f"{held.name} stays as it is: {why}")
            yield held
        else:
            yield replace(held, elements=prefixes)


def _unbelievable(held: Set, found: tuple[Prefix, ...], prefixes: tuple[Prefix, ...], doubt: str) -> str:
    if not found:
        return f"{held.feed} holds nothing any more"
    if doubt and len(prefixes) < len(held.elements) * (1 - SHRINK):
        return f"it would lose more than a fifth, and {doubt}"
    return ""


def _items(held: Journal, applied: HostState, desired: HostState, machine: Machine) -> tuple[Item, ...]:
    """List what is to be done: elements where the table is what was installed, which anybody may have altered."""
    installed = dict(held.installed)
    items = []
    for was, table in zip(applied.tables, desired.tables, strict=True):
        listed = nft.listing(table.family, table.name, machine.read)
        if listed is not None and nft.digest(listed, live_sets(was)) == installed.get(table.name):
            continue
        if held.pending is None or listed is None:
            raise HostError(
                f"the table {table.name} is not as warren left it: somebody altered or removed it",
                "Run `warren apply` again: it puts the table in place, with what the sets should hold.",
            )
        # A refresh was killed, and whether its elements are there is not known.
        items.append(Item(PutTable(table, was), Rune.ALTER, "a refresh was cut short"))
    return tuple(items) or diff(desired, applied, applied)


def _make(held: Journal, desired: HostState, items: tuple[Item, ...], machine: Machine) -> None:
    unexpected = [item for item in items if not isinstance(item.change, PutElements | PutTable)]
    if unexpected:
        raise AssertionError(f"a refresh alters only sets, not {unexpected[0].change}")
    journal.save(machine.store, replace(held, pending=desired))
    try:
        for command in commands(items, held.owner, tools_here()):
            with suppress(OSError):  # the terminal may be gone
                machine.tell(command)
            machine.act(command)
    except HostError:
        journal.save(machine.store, held)  # one transaction: nothing of it was done
        raise
    digests = []
    for table in desired.tables:
        listed = nft.listing(table.family, table.name, machine.read)
        if listed is None:
            raise HostError(f"the table {table.name} was removed meanwhile", "Run `warren apply` again.")
        digests.append((table.name, nft.digest(listed, live_sets(table))))
    asked, confirmed = (_with_tables(state, held.applied, desired) for state in (held.asked, held.confirmed))
    reached = replace(held, applied=desired, asked=asked, confirmed=confirmed, pending=None, installed=tuple(digests))
    boot_guard.refresh(machine.store, reached)
    journal.save(machine.store, reached)


def _with_tables(state: HostState | None, before: HostState | None, after: HostState) -> HostState | None:
    """Give a state that has the tables of what was applied those of what is; another one stays as it is."""
    if state is None or before is None or state.tables != before.tables:
        return state
    return replace(state, tables=after.tables)


def _told(before: HostState, after: HostState) -> Iterator[SetRefreshed]:
    for was, now in zip(before.tables, after.tables, strict=True):
        for old, held in zip(was.sets, now.sets, strict=True):
            if old.elements != held.elements:
                then, here = set(old.elements), set(held.elements)
                yield SetRefreshed(held.name, len(here), len(here - then), len(then - here))
