"""`warren dns`: answer for names between two sides. Apply runs it where a portal's `dns:` needs it."""

from __future__ import annotations

from pathlib import Path

import click

from warren.cli.options import json_option


@click.command()
@click.argument("config", metavar="CONFIG", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", default="nobody", show_default=True, help="Whom to become; empty: nobody else.")
@click.option("--test", is_flag=True, help="Only say what CONFIG says.")
@json_option
def dns(config: Path, user: str, test: bool, as_json: bool) -> None:
    """Answer for names, as CONFIG says: domestic ones by one side, all others by the other.

    `warren apply` makes CONFIG and runs this where the file has a portal with `dns:` that dnsmasq alone cannot serve.
    """
    from warren.core.dns_config import read_config
    from warren.sys.errors import HostError

    try:
        told = read_config(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HostError(f"{config}: {error}", "`warren apply` writes it.") from None
    if test:
        from warren.cli.view_json import print_json

        at = f"{told.address} port {told.port}"
        sides = [side for side in (False, True) if any(one.domestic is side for one in told.asked)]
        if as_json:
            asked = [str(one.resolver) for one in told.asked]
            print_json({"address": str(told.address), "port": told.port, "asks": asked, "judged": told.judged})
        else:
            click.echo(f"answers at {at}, asks {len(told.asked)} resolvers of {len(sides)} sides")
        return
    from warren.daemon.dns import serve

    serve(told, user)
