"""`warren down`: put this host back as it was, for a network or a conf."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.sys.store import Store


@click.command()
@click.argument("what", metavar="[FILE | NETWORK | CONF]", required=False)
@click.option("--all", "everything", is_flag=True, help="Everything that warren made on this host.")
@json_option
@click.pass_context
def down(ctx: click.Context, what: str | None, everything: bool, as_json: bool) -> None:
    """Put this host back as it was before.

    Works without the file too, from what warren remembers; it need only be said what to take down if there are several.
    A CONF is a wg-quick conf that `warren up` brought up.
    """
    from warren.cli.done import one_of
    from warren.sys import journal
    from warren.sys.store import Store

    if everything and what:
        raise click.UsageError("--all takes nothing beside it")
    store = Store.of_host()
    known = journal.owners(store)
    if everything:
        owners = known
    elif what:
        owner = _owner(what, store)
        if owner.startswith("conf:"):
            from warren.cli.conf import down_conf, show_raised

            ctx.exit(show_raised(down_conf(what, as_json), "down", as_json))
        owners = (owner,)
    else:
        owners = (one_of([_shown(owner) for owner in known], "nothing of warren's is on this host", "down"),)
        owners = tuple(owner for owner in known if _shown(owner) in owners)
    done = [_take_down(owner, as_json) for owner in owners]
    if as_json:
        from warren.cli.view_json import print_json

        print_json(done)


def _take_down(owner: str, as_json: bool) -> dict[str, object]:
    if owner.startswith("conf:"):
        return _take_conf_down(owner, as_json)
    from warren.cli.done import told
    from warren.cli.view import count, show
    from warren.sys.apply import down as take
    from warren.sys.machine import Machine

    applied = take(owner, told(Machine(), as_json))
    for missed in applied.missed:
        show(f"warning: {missed}", sys.stderr)
    if not as_json:
        did = f"{count(len(applied.items), 'change')} taken back" if applied.items else "nothing was there"
        show(f"{_shown(owner)}: down, {did}")
    return {"owner": owner, "changes": len(applied.items), "missed": list(applied.missed)}


def _take_conf_down(owner: str, as_json: bool) -> dict[str, object]:
    """Take a conf down by what is remembered of it: hooks, SaveConfig and all."""
    from warren.cli.conf import down_conf, show_raised

    raised = down_conf(_shown(owner), as_json)
    if not as_json:
        show_raised(raised, "down", as_json=False)
    missed = [*raised.applied.missed, *raised.failed]
    return {"owner": owner, "changes": len(raised.applied.items), "missed": missed}


def _shown(owner: str) -> str:
    return owner.removeprefix("conf:")


def _owner(what: str, store: Store) -> str:
    """Find out whom is meant: a network by its name or its file (even one that cannot be read any more), or a conf."""
    from warren.sys import conf_file, journal
    from warren.sys.errors import HostError

    known = journal.owners(store)
    if what in known:
        return what
    if f"conf:{what}" in known:
        return f"conf:{what}"
    path = str(Path(what).resolve())
    for owner in known:
        if not owner.startswith("conf:") and journal.load(store, owner).file == path:
            return owner
    if conf_file.is_conf(what) and not what.endswith((".yaml", ".yml")):
        return f"conf:{what}"
    if not Path(what).exists():
        raise HostError(
            f"there is no file {what}, and no network was applied from it",
            f"Name what is to go: {', '.join(map(_shown, known))}."
            if known
            else "Nothing of warren's is on this host.",
        )
    from warren.cli.network import read_network

    network = read_network(what).network
    if network is None:
        raise HostError(
            f"{what} cannot be understood, and no network was applied from it",
            f"Name the network instead: {', '.join(known)}." if known else "Nothing of warren's is on this host.",
        )
    return network.name
