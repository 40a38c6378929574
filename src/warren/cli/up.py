"""`warren up CONF`: bring up a wg-quick conf."""

from __future__ import annotations

import click

from warren.cli.options import conf_argument, json_option


@click.command()
@conf_argument
@json_option
@click.pass_context
def up(ctx: click.Context, conf: str, as_json: bool) -> None:
    """Bring up a wg-quick conf.

    CONF is a name, for /etc/wireguard/NAME.conf, or the path of a file NAME.conf. Every key of wg-quick(8) is
    understood. If anything fails, PreDown and PostDown are run and all that was done is undone.
    """
    from warren.cli.conf import machine, read_conf, show_raised
    from warren.sys import tunnel

    file = read_conf(ctx, conf, as_json)
    ctx.exit(show_raised(tunnel.up(file, machine(as_json)), "up", as_json))
