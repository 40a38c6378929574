"""`warren check FILE`: all that is wrong with a network file and its lock, at once."""

from __future__ import annotations

import sys

import click

from warren.cli.options import json_option, network_argument


@click.command()
@network_argument
@json_option
@click.pass_context
def check(ctx: click.Context, file: str, as_json: bool) -> None:
    """Find all that is wrong with a network file and the lock beside it.

    Findings come as `file:line:column: error[W012]: what is wrong`, with a hint what to do; docs/errors.md explains
    each code. The exit status is 0 if there are no errors (warnings stop nothing), else 1.
    """
    from warren.cli.network import read_network
    from warren.cli.view import count, paint, show, show_findings
    from warren.cli.view_json import findings_json, print_json

    loaded = read_network(file)
    if as_json:
        print_json(findings_json(loaded.diagnostics))
        ctx.exit(0 if loaded.ok else 1)
    show_findings(loaded.diagnostics, loaded.sources)
    told = findings_json(loaded.diagnostics)
    if loaded.diagnostics:
        show(f"{count(told['errors'], 'error')}, {count(told['warnings'], 'warning')}", sys.stderr)
    elif loaded.network is not None:
        network = loaded.network
        parts = (
            count(len(network.hosts), "host"),
            *([count(len(network.devices), "device")] if network.devices else []),
            count(len(network.portals), "portal"),
            count(len(network.expects), "expectation"),
        )
        show(f"{file}: {paint('nothing wrong', 'green')} ({', '.join(parts)})")
    ctx.exit(0 if loaded.ok else 1)
