"""`warren save CONF`: write a tunnel's present state back into its conf."""

from __future__ import annotations

import click

from warren.cli.options import conf_argument, json_option


@click.command()
@conf_argument
@json_option
@click.pass_context
def save(ctx: click.Context, conf: str, as_json: bool) -> None:
    """Write a tunnel's present state back into its conf.

    Peers, addresses, port and keys become what the device has now. Lines that still hold stay as they are, with
    their comments; so do host names, DNS and hooks. The file is replaced at once, readable by its owner alone.
    """
    from warren.cli.conf import machine, read_conf
    from warren.cli.view import show
    from warren.sys import tunnel

    file = read_conf(ctx, conf, as_json)
    changed = tunnel.save(file, machine(as_json)).encode("utf-8", "surrogateescape") != file.data
    if as_json:
        from warren.cli.view_json import print_json

        print_json({"file": str(file.path), "changed": changed})
    else:
        show(f"{file.path}: {'saved' if changed else 'nothing to change'}")
