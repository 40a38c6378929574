"""`warren strip CONF`: a conf as `wg setconf` wants it."""

from __future__ import annotations

import click

from warren.cli.options import conf_argument, json_option


@click.command()
@conf_argument
@json_option
@click.pass_context
def strip(ctx: click.Context, conf: str, as_json: bool) -> None:
    """Print a conf as `wg setconf` wants it, without what only wg-quick understands.

    The output holds the conf's keys: `wg syncconf wg0 <(warren strip wg0)`. A conf with errors is not printed.
    """
    from warren.cli.conf import read_conf
    from warren.core.conf.strip import strip_conf

    file = read_conf(ctx, conf, as_json)
    stripped = strip_conf(file.data)
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"name": file.name, "conf": stripped.decode("utf-8", "replace")})
    else:
        click.echo(stripped, nl=False)
