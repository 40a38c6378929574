"""Commands that fail in each way a command can, for the entry point to tell."""

from __future__ import annotations

import click

from warren.cli.options import json_option
from warren.sys.errors import HostError


@click.command()
@click.argument("way")
@json_option
def fail(way: str, as_json: bool) -> None:
    """Fail in some way."""
    match way:
        case "host":
            raise HostError("the tunnel is full", "Dig another.")
        case "bug":
            raise KeyError("paris")
        case "full":
            raise OSError(28, "No space left on device", "/etc/warren/x")
        case "stopped":
            raise KeyboardInterrupt
        case "status":
            raise SystemExit(2)
