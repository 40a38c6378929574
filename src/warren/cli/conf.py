"""What the commands for wg-quick's confs share: reading one, telling what is done, `down` for a conf."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from warren.sys.conf_file import ConfFile
    from warren.sys.machine import Machine
    from warren.sys.tunnel import Raised


def read_conf(ctx: click.Context, argument: str, as_json: bool = False) -> ConfFile:
    """Read a conf and show what is wrong with it; the command ends here with status 1 if there are errors."""
    from warren.sys import conf_file

    gc.disable()  # a command is over in a second: looking for garbage among 20,000 routes is a quarter of that
    file = conf_file.read(argument)
    if file.findings and not (as_json and file.parsed.conf is None):
        from warren.cli.view import show_findings
        from warren.core.conf.lines import decode, without_keys
        from warren.core.source import Source

        show_findings(file.findings, (Source(file.shown, without_keys(decode(file.data))),), on=sys.stderr)
    if file.parsed.conf is None:
        if as_json:
            from warren.cli.view_json import findings_json, print_json

            print_json(findings_json(file.findings))
        ctx.exit(1)
    return file


def machine(as_json: bool) -> Machine:
    """Give this host as a machine that says each command before it is run; with JSON it is silent."""
    from warren.cli.done import told
    from warren.sys.machine import Machine

    return told(Machine(), as_json)


def show_raised(raised: Raised, verb: str, as_json: bool) -> int:
    """Show what a verb did, as `{name, state, changes, peers, routes, mtu, fwmark, warnings}` with JSON.

    Gives the exit status: 1 if hooks failed afterwards.
    """
    name = raised.state.owner.removeprefix("conf:")
    from warren.cli.view import count, show

    warnings = (*raised.notes, *raised.applied.missed, *raised.failed)
    for warning in warnings:
        show(f"warning: {warning}", sys.stderr)
    if as_json:
        from warren.cli.view_json import print_json

        print_json(_json(raised, name, verb))
    elif verb == "reloaded" and not raised.applied.items:
        show(f"{name}: nothing to change")
    elif verb == "down":
        show(f"{name} is down")
    else:
        peers = sum(len(interface.peers) for interface in raised.state.interfaces)
        routes = sum(1 for route in raised.state.routes if route.device)
        show(f"{name} is {verb}: {count(peers, 'peer')}, {count(routes, 'route')}")
    return 1 if raised.failed else 0


def down_conf(argument: str, as_json: bool = False) -> Raised:
    """Carry out `warren down CONF`; a conf whose file is gone comes down all the same, by its journal.

    A bare name is that of a device that is up, wherever its conf lies.
    """
    from warren.sys import conf_file, journal, tunnel
    from warren.sys.store import Store

    gc.disable()
    name, _ = conf_file.locate(argument)
    if argument == name:
        argument = journal.load(Store.of_host(), f"conf:{name}").file or argument
    return tunnel.down(conf_file.for_down(argument), machine(as_json))


def _json(raised: Raised, name: str, verb: str) -> dict[str, Any]:
    """Give what a verb did as plain values."""
    value: dict[str, Any] = {"name": name, "state": verb, "changes": len(raised.applied.items)}
    for interface in raised.state.interfaces:
        value |= {"peers": len(interface.peers), "mtu": interface.mtu, "fwmark": interface.fwmark}
    value["routes"] = sum(1 for route in raised.state.routes if route.device)
    value["warnings"] = [*raised.notes, *raised.applied.missed, *raised.failed]
    return value
