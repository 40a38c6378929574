"""`warren apply FILE`: make this host what the file says, or leave it as it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import host_option, json_option

if TYPE_CHECKING:
    from warren.sys.apply import Applied


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(), required=False)
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@click.option(
    "--confirm",
    "seconds",
    type=click.FloatRange(1, 86400),
    metavar="SECONDS",
    help="Undo it by itself unless `warren confirm` is said within so many seconds.",
)
@click.option("--at-boot", is_flag=True, help="Without FILE: bring back what was last confirmed.")
@json_option
@click.pass_context
def apply(ctx: click.Context, file: str | None, host: str, seconds: float | None, at_boot: bool, as_json: bool) -> None:
    """Make this host what the file says.

    What has to change is worked out from what is there, so it may be run again at any time. If a command fails, all
    that was done is undone. A peer whose endpoint's name cannot be looked up is made without an endpoint, and said;
    with --at-boot the exit status is 1 then, for the init system to try again.
    """
    if at_boot:
        if file or host or seconds:
            raise click.UsageError("--at-boot takes neither FILE nor --host nor --confirm")
        ctx.exit(_boot(as_json))
    if not file:
        raise click.UsageError("FILE is missing")
    from warren.cli.done import told
    from warren.cli.network import open_network
    from warren.cli.view import runes, show
    from warren.core.plan import describe_obstacles
    from warren.sys.apply import apply as make
    from warren.sys.machine import Machine
    from warren.sys.prepare import allot, choose_host, prepare

    network, lock = open_network(file, locked=True)
    machine = told(Machine(), as_json)
    name = choose_host(network, host, machine)
    allot(network, lock, name, machine)
    prepared = prepare(network, lock, name, machine)
    if prepared.plan.obstacles and not as_json:
        show(runes(describe_obstacles(prepared.plan), sys.stderr), sys.stderr)
    applied = make(prepared.desired, machine, window=seconds, file=str(Path(file).resolve()))
    if as_json:
        from warren.cli.view_json import print_json

        print_json(_json(name, network.name, applied) | {"obstacles": [o.what for o in prepared.plan.obstacles]})
        return
    _show(name, network.name, applied, seconds)


def _boot(as_json: bool) -> int:
    """Bring back what was confirmed; status 1, for the init system to try again, if a name was not found yet."""
    from warren.cli.done import told
    from warren.cli.view import show
    from warren.sys.apply import at_boot
    from warren.sys.machine import Machine

    machine = told(Machine(), as_json)
    done = at_boot(machine)
    if as_json:
        from warren.cli.view_json import print_json

        print_json([_json("", owner, applied) for owner, applied in done.items()])
    for owner, applied in done.items() if not as_json else ():
        _show("", owner, applied)
    if not done and not as_json:
        show("nothing has been confirmed on this host, so there is nothing to bring back")
    return 1 if any(applied.unfound for applied in done.values()) else 0


def _show(host: str, owner: str, applied: Applied, seconds: float | None = None) -> None:
    from warren.cli.view import count, paint, show

    for missed in applied.missed:
        show(f"warning: {missed}", sys.stderr)
    where = f"{host} ({owner})" if host else owner
    if not applied.items and applied.window is None:
        show(f"{where}: nothing to do")
        return
    show(paint(f"{where}: {count(len(applied.items), 'change')} made, and seen to be there", "bold", "green"))
    if seconds is not None:
        show(
            f"  Say `warren confirm` within {seconds:g} s to keep it; otherwise it is undone.\n"
            "  `warren rollback` undoes it at once."
        )


def _json(host: str, owner: str, applied: Applied) -> dict[str, Any]:
    """Give `{host, owner, changes, missed, confirm}`; `confirm` is null, or when it is undone (seconds since 1970)."""
    confirm = applied.window.deadline if applied.window else None
    return {
        "host": host,
        "owner": owner,
        "changes": len(applied.items),
        "missed": list(applied.missed),
        "confirm": confirm,
    }
