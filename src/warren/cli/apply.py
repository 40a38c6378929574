"""`warren apply FILE`: make this host what the file says, or leave it as it was."""

from __future__ import annotations

import sys
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
@click.option("--retry", is_flag=True, help="With --at-boot: try again until all of it is there.")
@json_option
@click.pass_context
def apply(
    ctx: click.Context,
    file: str | None,
    host: str,
    seconds: float | None,
    at_boot: bool,
    retry: bool,
    as_json: bool,
) -> None:
    """Make this host what the file says.

    What has to change is worked out from what is there, so it may be run again at any time. If a command fails, all
    that was done is undone. A peer whose endpoint's name cannot be looked up is made without an endpoint, and said;
    with --at-boot the exit status is 1 then, for the init system to try again.
    """
    if at_boot:
        if file or host or seconds:
            raise click.UsageError("--at-boot takes neither FILE nor --host nor --confirm")
        from warren.cli.boot import bring_back

        ctx.exit(bring_back(retry, as_json))
    if retry:
        raise click.UsageError("--retry goes with --at-boot")
    if not file:
        raise click.UsageError("FILE is missing")
    from warren.cli.done import told
    from warren.cli.network import open_source
    from warren.cli.view import runes, show
    from warren.core.plan import describe_obstacles
    from warren.sys.apply import apply as make
    from warren.sys.machine import Machine
    from warren.sys.prepare import allot, choose_host, prepare

    network, lock, source = open_source(file)
    machine = told(Machine(), as_json)
    name = choose_host(network, host, machine)
    allot(network, lock, name, machine)
    prepared = prepare(network, lock, name, machine)
    if prepared.plan.obstacles and not as_json:
        show(runes(describe_obstacles(prepared.plan), sys.stderr), sys.stderr)
    applied = make(prepared.desired, machine, window=seconds, file=source.file, source=source)
    if as_json:
        from warren.cli.view_json import print_json

        print_json(applied_json(name, network.name, applied) | {"obstacles": [o.what for o in prepared.plan.obstacles]})
        return
    show_applied(name, network.name, applied, seconds)


def show_applied(host: str, owner: str, applied: Applied, seconds: float | None = None) -> None:
    """Tell people what an apply did."""
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


def applied_json(host: str, owner: str, applied: Applied) -> dict[str, Any]:
    """Give `{host, owner, changes, missed, confirm}`; `confirm` is null, or when it is undone (seconds since 1970)."""
    confirm = applied.window.deadline if applied.window else None
    return {
        "host": host,
        "owner": owner,
        "changes": len(applied.items),
        "missed": list(applied.missed),
        "confirm": confirm,
    }
