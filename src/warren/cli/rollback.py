"""`warren rollback`: undo an unconfirmed apply now, without waiting for its time to run out."""

from __future__ import annotations

import sys

import click

from warren.cli.options import json_option


@click.command()
@click.argument("network", required=False)
@json_option
def rollback(network: str | None, as_json: bool) -> None:
    """Undo what `apply --confirm` did, at once.

    NETWORK is needed only if several wait.
    """
    from warren.cli.done import one_of, told
    from warren.cli.view import count, show
    from warren.sys.apply import roll_back
    from warren.sys.confirm import waiting
    from warren.sys.machine import Machine

    machine = told(Machine(), as_json)
    owner = network or one_of(waiting(machine.store), "no apply waits to be confirmed on this host", "rollback")
    undone = roll_back(owner, machine)
    for missed in undone.missed:
        show(f"warning: {missed}", sys.stderr)
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"owner": owner, "changes": len(undone.items), "missed": list(undone.missed)})
    else:
        show(f"{owner}: rolled back, {count(len(undone.items), 'change')} undone")
