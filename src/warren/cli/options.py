"""What many commands take: --json, --host, a network file or a conf, with completion of the names in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

CONFS = "/etc/wireguard"

Command = TypeVar("Command", bound=Callable[..., Any])


def _note_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    # The entry point tells errors as JSON too, whatever became of the command.
    ctx.meta["warren.json"] = value
    return value


def json_option(command: Command) -> Command:
    """Add `--json`, given to the command as `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="Print JSON (docs/json.md)."
    )(command)


def network_argument(command: Command) -> Command:
    """Add the argument FILE, given as `file`; shells complete it with files."""
    return click.argument("file", metavar="FILE", type=click.Path())(command)


def conf_argument(command: Command) -> Command:
    """Add the argument CONF, given as `conf`; shells complete it with the names in /etc/wireguard, or with files."""
    return click.argument("conf", metavar="CONF", shell_complete=complete_confs)(command)


def host_option(says: str) -> Callable[[Command], Command]:
    """Add `--host`, given as `host` (empty if not written); shells complete it with the hosts of FILE."""
    return click.option("--host", "host", default="", metavar="HOST", help=says, shell_complete=complete_hosts)


def complete_confs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Name the confs of /etc/wireguard that begin with what was typed; a path is completed by the shell itself."""
    import os

    from click.shell_completion import CompletionItem

    if "/" in incomplete or incomplete.startswith("."):
        return [CompletionItem(incomplete, type="file")]
    try:
        files = sorted(os.listdir(CONFS))
    except OSError:  # only root may look there
        files = []
    names = [file.removesuffix(".conf") for file in files if file.endswith(".conf")]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_hosts(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Name the hosts of the network file on the command line that begin with what was typed."""
    return [name for name in _names(ctx)[0] if name.startswith(incomplete)]


def complete_subjects(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Name the hosts and devices of the network file on the command line that begin with what was typed."""
    hosts, others = _names(ctx)
    return [name for name in (*hosts, *(one for one in others if "." not in one)) if name.startswith(incomplete)]


def complete_places(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Name the hosts, devices and LANs of the network file on the command line that begin with what was typed."""
    hosts, others = _names(ctx)
    return [name for name in (*hosts, *others, "internet") if name.startswith(incomplete)]


def _names(ctx: click.Context) -> tuple[list[str], list[str]]:
    """Read the hosts of FILE, and its other places; none where it cannot be read: a shell is no place for findings."""
    from warren.core.parse import parse

    # After an option that still lacks its value (`--host <Tab>`), click has put the arguments aside.
    file = ctx.params.get("file") or next(iter(ctx.args), None)
    if not file:
        return [], []
    try:
        with open(file, "rb") as opened:
            network = parse(opened.read(), file).draft
    except OSError:
        return [], []
    if network is None:
        return [], []
    lans = (f"{host.name}.{lan.name}" for host in network.hosts for lan in host.lans)
    return [host.name for host in network.hosts], [*lans, *(device.name for device in network.devices)]
