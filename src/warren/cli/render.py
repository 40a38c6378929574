"""`warren render FILE`: a host of the network as files for a machine that warren does not run on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import complete_subjects, json_option, network_argument
from warren.core.render.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warren.core.render.tree import File, Rendered
    from warren.model.diagnostic import Diagnostic
    from warren.sys.tree import Keys


_TARGETS = "\b\nTargets:\n" + "\n".join(f"  {name:<15} {target.help}" for name, target in TARGETS.items())


@click.command(epilog=_TARGETS)
@network_argument
@click.option("--host", required=True, metavar="HOST", shell_complete=complete_subjects, help="Whose configuration.")
@click.option("--as", "target", required=True, type=click.Choice(list(TARGETS)), help="What is to read it.")
@click.option("-o", "--output", metavar="DIR", type=click.Path(), help="Write files below DIR, with their modes.")
@click.option(
    "--private-key",
    default="",
    metavar="FILE",
    type=click.Path(),
    help="Where its private key lies on this machine, if not where the network file says.",
)
@json_option
def render(file: str, host: str, target: str, output: str | None, private_key: str, as_json: bool) -> None:
    """Write a host's configuration for what runs there instead of warren.

    Without -o the files are printed, each below a line with its name and mode, and with places for the keys instead of
    keys (but a QR code holds the key, or it would be of no use). What the target cannot express is said on standard
    error, item by item.
    """
    from warren.cli.network import open_network
    from warren.cli.view import show, show_findings
    from warren.core.render.subject import findings, state_of, subjects
    from warren.core.render.targets import renderer
    from warren.sys.errors import HostError
    from warren.sys.tree import keys_at_hand, missing, write_tree

    network, lock = open_network(file, locked=True)
    if host not in subjects(network):
        raise HostError(f"{file} has no host {host}", f"It has: {', '.join(subjects(network))}.")
    rendered = renderer(target)(state_of(network, lock, host))
    keys = keys_at_hand(rendered.files, private_key)
    lacking = missing(rendered.files, keys) if output else ()
    written = [str(path) for path in write_tree(rendered.files, output, keys)] if output else []
    found = findings(network, host, target, rendered, lacking)
    if as_json:
        from warren.cli.view_json import print_json

        print_json(_json(host, target, rendered, found, written))
        return
    show("\n".join(written) if output else _printed(rendered.files, keys))
    show_findings(found, on=sys.stderr)
    if output:
        show("Then:\n" + "\n".join(f"  {step}" for step in rendered.steps), on=sys.stderr)


def _printed(files: Iterable[File], keys: Keys) -> str:
    """Write files one below the other, each under its name and without a key; of codes, those for the terminal."""
    from warren.core.render.tree import Form
    from warren.sys.tree import drawn_with

    parts = [f"# /{one.path} ({one.mode:04o})\n{_shown(one)}" for one in files if one.form is Form.TEXT]
    parts += [drawn_with(one, keys).decode() for one in files if one.form is Form.TERMINAL]
    return "\n".join(parts).rstrip("\n")


def _shown(file: File) -> str:
    from warren.core.render.tree import filled

    return filled(file, [None] * len(file.secrets)).text


def _json(
    host: str, target: str, rendered: Rendered, found: Iterable[Diagnostic], written: list[str]
) -> dict[str, Any]:
    from warren.cli.view_json import diagnostic_json

    return {
        "host": host,
        "as": target,
        "files": [
            {"path": f"/{one.path}", "mode": f"{one.mode:04o}", "text": _shown(one), "keys": len(one.secrets)}
            for one in rendered.files
        ],
        "written": written,
        "unsaid": [{"item": one.item, "why": one.why, "remedy": one.remedy} for one in rendered.unsaid],
        "diagnostics": [diagnostic_json(one) for one in found],
        "steps": list(rendered.steps),
    }
