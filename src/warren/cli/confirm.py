"""`warren confirm`: keep what `apply --confirm` did."""

from __future__ import annotations

import click

from warren.cli.options import json_option


@click.command()
@click.argument("network", required=False)
@json_option
def confirm(network: str | None, as_json: bool) -> None:
    """Keep what `apply --confirm` did; it is also what the next boot brings back.

    NETWORK is needed only if several wait.
    """
    from warren.cli.done import one_of
    from warren.cli.view import show
    from warren.sys.confirm import confirm as keep
    from warren.sys.confirm import waiting
    from warren.sys.machine import Machine

    machine = Machine()
    owner = network or one_of(waiting(machine.store), "no apply waits to be confirmed on this host", "confirm")
    keep(owner, machine)
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"owner": owner, "confirmed": True})
    else:
        show(f"{owner}: confirmed")
