"""`warren dns`: answer for names between two sides. Apply runs it where a portal's `dns:` needs it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("config", metavar="CONFIG", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", default="nobody", show_default=True, help="Whom to become; empty: nobody else.")
@click.option("--test", is_flag=True, help="Only say whether CONFIG can be read.")
def dns(config: Path, user: str, test: bool) -> None:
    """Answer for names, as CONFIG says: domestic ones by one side, all others by the other.

    `warren apply` makes CONFIG and runs this where the file has a portal with `dns:` that dnsmasq alone cannot serve.
    """
    from warren.core.dns_config import read_config
    from warren.sys.errors import HostError

    try:
        told = read_config(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HostError(f"{config}: {error}", "`warren apply` writes it.") from None
    if not test:
        from warren.daemon.dns import serve

        serve(told, user)
