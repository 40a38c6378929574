"""`warren netcheck`: what this host's NAT and firewalls do to UDP, found out with the help of rendezvous servers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.daemon.netcheck import Server


@click.command()
@click.argument("file", metavar="[FILE]", type=click.Path(), required=False)
@click.option("--server", "servers", multiple=True, metavar="HOST:PORT=KEY", help="Ask this server; may be repeated.")
@json_option
@click.pass_context
def netcheck(ctx: click.Context, file: str | None, servers: tuple[str, ...], as_json: bool) -> None:
    """Tell whether this host gets out by UDP, as whom others see it, how its NAT maps and filters, and what helps.

    Asks the rendezvous servers of FILE, those named by --server, or else those of the networks that are applied here.
    Run as root, it looks past tunnels, as WireGuard's own packets go. Exit status 0 if a server answers, else 1.
    """
    import asyncio

    from warren.daemon.netcheck import check

    asked = [_server(text) for text in servers] + (_of_file(file) if file else [])
    report = asyncio.run(check(asked or _applied(), _waits))
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if as_json:
        from warren.cli.view_json import print_json
        from warren.cli.view_netcheck import report_json

        print_json(report_json(report))
    else:
        from warren.cli.view import show
        from warren.cli.view_netcheck import report_text

        show(report_text(report))
    ctx.exit(0 if report.ok else 1)


def _waits(seconds: float) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rasking, for {seconds:.0f} s", nl=False, err=True)


def _of_file(file: str) -> list[Server]:
    from warren.cli.network import open_network
    from warren.sys.errors import HostError

    network, _ = open_network(file, locked=False)
    if not network.rendezvous:
        raise HostError(
            f"{file} names no rendezvous server", "Add them under `rendezvous:`, or name one with --server."
        )
    return [(one.address, one.key) for one in network.rendezvous]


def _server(text: str) -> Server:
    """Read HOST:PORT=KEY, by the rules of the file."""
    from warren.core.parse import parse

    address, _, key = text.partition("=")
    server = f"{{address: {json.dumps(address)}, key: {json.dumps(key)}}}"
    told = parse(f"network: asked\noverlay: [10.0.0.0/24]\nrendezvous: [{server}]\n".encode(), "--server")
    wrong = next((one for one in told.diagnostics if one.where.line == 3), None)
    if wrong is not None or told.draft is None or not told.draft.rendezvous:
        why = f"{wrong.says} {wrong.hint}".strip() if wrong is not None else "it has an address and a key"
        raise click.UsageError(f"--server {text}: {why}")
    one = told.draft.rendezvous[0]
    return one.address, one.key


def _applied() -> list[Server]:
    """Give the servers of what is applied here."""
    from warren.cli.network import open_kept
    from warren.daemon.duties import applied_source
    from warren.sys import journal
    from warren.sys.machine import Machine

    machine = Machine()
    found: dict[Server, None] = {}
    for owner in journal.owners(machine.store):
        source = applied_source(owner, machine) if not owner.startswith("conf:") else None
        if source is not None:
            network, _ = open_kept(source[0])
            found |= {(one.address, one.key): None for one in network.rendezvous}
    if not found:
        raise click.UsageError("name the network file, or a server: `--server HOST:PORT=KEY`")
    return list(found)
