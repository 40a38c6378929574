"""`warren install FILE` and `warren uninstall`: have this host's networks come back with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import host_option, json_option, network_argument

if TYPE_CHECKING:
    from warren.core.install.files import Installation
    from warren.sys.journal import Journal
    from warren.sys.machine import Machine

INITS = ("systemd", "openrc")


@click.command()
@network_argument
@host_option("Which host of the file this machine is (else: by its name, or by its private key).")
@click.option("--init", "chosen", type=click.Choice(INITS), help="Which init system, if it is not to be found out.")
@click.option("--dry-run", is_flag=True, help="Only print what would be written and enabled.")
@json_option
def install(file: str, host: str, chosen: str | None, dry_run: bool, as_json: bool) -> None:
    """Have the network of FILE come back at every boot, and the agent see to it.

    A boot begins with what keeps portals' packets in, before there is any network, and goes on with what was confirmed
    last. So the network must be applied and confirmed here first. It does not depend on the file: edit it as you like,
    `warren apply` makes it so.
    """
    from warren.cli.network import open_network
    from warren.core.install.files import Init
    from warren.sys.feeds import applied_with_feeds
    from warren.sys.init_system import init_here
    from warren.sys.install import install as put
    from warren.sys.install import installed, plan
    from warren.sys.machine import Machine
    from warren.sys.prepare import choose_host

    machine = Machine()
    network, _ = open_network(file, locked=True)
    name = choose_host(network, host, machine)
    init = Init(chosen) if chosen else init_here()
    before = installed(machine.store)
    networks = sorted({network.name, *(before.networks if before else ())})
    made = plan(machine.store, init, networks, geo=bool(applied_with_feeds(machine.store)))
    if not dry_run:
        _check(machine, network.name, name, file)
        put(machine, made, networks)
    if as_json:
        from warren.cli.view_json import print_json

        print_json(_json(made, networks, written=not dry_run))
        return
    _show(made, dry_run)


@click.command()
@json_option
@click.pass_context
def uninstall(ctx: click.Context, as_json: bool) -> None:
    """Take back everything that `warren install` made on this host.

    What is up stays up until `warren down`. A file that was altered since is left and named; the exit status is 1 then.
    """
    from warren.cli.view import count, show
    from warren.sys.install import uninstall as take_back
    from warren.sys.machine import Machine

    done = take_back(Machine())
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"removed": list(done.removed), "left": list(done.left)})
    else:
        show(f"{count(len(done.removed), 'file')} taken back; what is up stays up until `warren down`")
        for path in done.left:
            show(f"warning: {path} was altered since warren made it, and is left to you", sys.stderr)
    ctx.exit(1 if done.left else 0)


def _check(machine: Machine, network: str, host: str, file: str) -> None:
    """Refuse to bring back what nobody has seen to work."""
    from warren.sys import journal
    from warren.sys.errors import HostError

    held: Journal = journal.load(machine.store, network)
    if held.window is not None:
        raise HostError(
            f"the last apply of {network} still waits to be confirmed",
            "Say `warren confirm` first: a boot brings back what was confirmed.",
        )
    if held.confirmed is None or not held.confirmed.interfaces:
        raise HostError(
            f"the network {network} was never confirmed here, and a boot brings back only what was",
            f"Run `warren apply {file} --host {host} --confirm 60`, then `warren confirm`, then this again.",
        )
    if held.confirmed.host != host:
        raise HostError(f"this machine is {held.confirmed.host} of {network}, not {host}", "Leave out --host.")


def _json(made: Installation, networks: list[str], *, written: bool) -> dict[str, Any]:
    return {
        "init": made.init.value,
        "networks": networks,
        "written": written,
        "files": [{"path": f"/{one.path}", "mode": f"{one.mode:04o}", "text": one.text} for one in made.files],
        "enabled": [{"name": one.name, "level": one.level, "now": one.now} for one in made.enabled],
        "left_to_do": list(made.said),
    }


def _show(made: Installation, dry_run: bool) -> None:
    from warren.cli.view import count, show

    if dry_run:
        for file in made.files:
            show(f"# /{file.path} ({file.mode:04o})\n{file.text}")
        show(f"# enabled, in this order: {', '.join(one.name for one in made.enabled)}")
    else:
        show(f"installed for {made.init}: {count(len(made.files), 'file')}, enabled {_names(made)}")
    for said in made.said:
        show(f"  left to do: {said}", sys.stderr)


def _names(made: Installation) -> str:
    return ", ".join(one.name.removesuffix(".service") for one in made.enabled)
