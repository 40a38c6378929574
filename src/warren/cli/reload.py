"""`warren reload CONF`: apply a changed conf to its living tunnel."""

from __future__ import annotations

import click

from warren.cli.options import conf_argument, json_option


@click.command()
@conf_argument
@json_option
@click.pass_context
def reload(ctx: click.Context, conf: str, as_json: bool) -> None:
    """Apply a changed conf without dropping its sessions.

    Addresses, routes, MTU, DNS, port, mark and peers become what the conf says now; what it did not change stays,
    hooks' doings included, and no hook is run. Sessions of peers that stay live on.
    """
    from warren.cli.conf import machine, read_conf, show_raised
    from warren.sys import tunnel

    file = read_conf(ctx, conf, as_json)
    ctx.exit(show_raised(tunnel.reload(file, machine(as_json)), "reloaded", as_json))
