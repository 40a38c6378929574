"""`warren init`: write a first network file, from options or, on a terminal, from the answers to a few questions."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.core.init import Site
    from warren.model.key import PublicKey

PORT = 51820


@click.command()
@click.option("--name", metavar="NAME", help="The network's name; its tunnel devices are called so.  [default: home]")
@click.option("--host", "hosts", multiple=True, metavar="NAME[=ENDPOINT]", help="A host, and where others can dial it.")
@click.option(
    "--key", "keys", multiple=True, metavar="NAME=KEY", help="A host's public key, where you have it already."
)
@click.option("--exit-mesh", is_flag=True, help="Give each site a spare LAN per other site, which leaves there.")
@click.option("-o", "--output", metavar="FILE", help="Write here; - is standard output.  [default: NAME.yaml]")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def init(
    name: str | None,
    hosts: tuple[str, ...],
    keys: tuple[str, ...],
    exit_mesh: bool,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write a first network file.

    \b
      warren init --name portals --host nyc=nyc.example.net:51820 --host paris --exit-mesh

    A host without an endpoint is behind a NAT and dials the others. On a terminal, without --host, warren asks.
    """
    from warren.sys.errors import HostError

    if not hosts:
        if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise click.UsageError("name at least one --host (on a terminal, warren asks)")
        name, hosts, exit_mesh = _ask(name)
    name = name or "home"
    output = output or f"{name}.yaml"
    if output != "-" and os.path.lexists(output) and not force:
        raise HostError(f"there is a file {output} already", "Name another with -o, or replace it with --force.")
    sites = _sites(hosts, keys)
    text = _first_file(name, sites, exit_mesh)
    if output != "-":
        from warren.cli.files import write_file

        write_file(output, text)
    if as_json:
        from warren.cli.view_json import print_json

        names = [site.name for site in sites]
        keyless = [site.name for site in sites if not site.key]
        print_json({"file": output, "network": name, "hosts": names, "without_key": keyless, "text": text})
    elif output == "-":
        click.echo(text, nl=False)
    else:
        _tell_next(output, sites)


def _ask(name: str | None) -> tuple[str, tuple[str, ...], bool]:
    """Ask for what the options would say; prompts go to standard error."""
    name = name or click.prompt("Name of the network", default="home", err=True)
    click.echo("Its hosts, one at a time (an empty name ends the list).", err=True)
    hosts: list[str] = []
    while host := click.prompt(f"  Host {len(hosts) + 1}", default="", show_default=False, err=True).strip():
        where = click.prompt(
            f"    Where can others dial {host}? NAME:PORT, or empty if it is behind a NAT",
            default="",
            show_default=False,
            err=True,
        ).strip()
        hosts.append(f"{host}={where}" if where else host)
    if not hosts:
        raise click.UsageError("a network has at least one host")
    mesh = len(hosts) > 1 and click.confirm("Shall each site get spare LANs that leave at the other sites?", err=True)
    return name, tuple(hosts), mesh


def _sites(hosts: tuple[str, ...], keys: tuple[str, ...]) -> list[Site]:
    """Pair hosts with their keys; UsageError for a key of nobody, and for what is named twice or not at all."""
    from warren.core.init import Site

    for option, texts in (("--host", hosts), ("--key", keys)):
        names = [text.partition("=")[0] for text in texts]
        if "" in names:
            raise click.UsageError(f"{option} names no host: write {option} NAME{'=KEY' if option == '--key' else ''}")
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise click.UsageError(f"{option} names {twice} twice: every host has a name of its own, and one {option}")
    known = dict(text.partition("=")[::2] for text in keys)
    sites = []
    for text in hosts:
        name, _, endpoint = text.partition("=")
        sites.append(Site(name, known.pop(name, ""), with_port(endpoint)))
    if known:
        raise click.UsageError(f"--key names {', '.join(known)}, which no --host does")
    return sites


def with_port(endpoint: str) -> str:
    """Complete an endpoint without a port by WireGuard's usual one, and bracket a bare IPv6 address."""
    if endpoint.count(":") > 1 and not endpoint.startswith("["):
        endpoint = f"[{endpoint}]"
    if endpoint and (endpoint.endswith("]") or ":" not in endpoint):
        return f"{endpoint}:{PORT}"
    return endpoint


def _first_file(name: str, sites: list[Site], exit_mesh: bool) -> str:
    """Make the text, and refuse what check would refuse, but for keys that are still to be made."""
    from warren.core.init import first_file
    from warren.core.load import load

    try:
        text = first_file(name, sites, exit_mesh)
    except ValueError as error:
        raise click.UsageError(f"{error}") from None
    wrong = [one for one in load(text.encode(), None, "init", _stand_in).diagnostics if one.severity == "error"]
    if wrong:
        raise click.UsageError(f"{wrong[0].says} {wrong[0].hint}".strip())
    return text


def _stand_in(host: str) -> PublicKey:
    from warren.cli.network import stand_in_key

    return stand_in_key(host)


def _tell_next(output: str, sites: list[Site]) -> None:
    """Say what comes next, in the order in which it is done."""
    from warren.cli.view import paint, show

    show(f"{paint(output, 'bold')} is written. What comes next:")
    steps = []
    keyless = [site.name for site in sites if not site.key]
    if keyless:
        where = f"{', '.join(keyless[:-1])} and {keyless[-1]}" if keyless[1:] else keyless[0]
        steps.append(("warren keys gen", f"on {where}: paste each public key into the file"))
    steps += [
        (f"$EDITOR {output}", "give uplinks and LANs the names that `ip link` shows"),
        (f"warren check {output}", "what is wrong with it?"),
        (f"warren lock {output}", "allot addresses and ports; keep the lock with the file"),
        (f"warren verify {output}", "prove that it does what it says"),
        (f"warren apply {output} --confirm 60", "on each host; `warren confirm` keeps it"),
    ]
    width = max(len(command) for command, _ in steps)
    for command, why in steps:
        show(f"  {command:<{width}}   {why}")
