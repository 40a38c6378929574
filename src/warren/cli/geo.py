"""`warren geo`: which addresses a country has, from the five registries' own files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.sys.geo import Held, Updated


@click.group()
def geo() -> None:
    """Keep the address registries' files, and ask them which country an address was given to.

    A registry knows to whom it gave a block, not where its machines stand: good for `the services of this country`,
    no proof of where somebody is.
    """


@geo.command(short_help="Fetch what the five registries changed.")
@click.option("--mirror", default="", metavar="URL", help="An HTTPS address under which all five files are.")
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="Take this file instead of fetching; can be repeated.",
)
@click.option("--smaller", is_flag=True, help="Believe a file also if it lost more than a fifth of its rows.")
@json_option
@click.pass_context
def update(ctx: click.Context, mirror: str, files: tuple[str, ...], smaller: bool, as_json: bool) -> None:
    """Fetch each registry's delegated file if it changed, check it, and put it in the place of the last good one.

    A file that is broken, cut off or much smaller than the last one is refused, and the last good one is kept. Exit
    status 1 if a registry was refused.
    """
    from warren.cli.view_json import print_json

    told = _take(files, smaller) if files else _fetch(mirror, smaller, as_json)
    if as_json:
        print_json({"registries": [_outcome(one) for one in told]})
    ctx.exit(1 if any(one.outcome == "refused" for one in told) else 0)


@geo.command(short_help="Print a country's prefixes, one a line.")
@click.argument("country", metavar="CC")
@click.option("--family", type=click.Choice(["ipv4", "ipv6", "both"]), default="both", show_default=True)
@json_option
def show(country: str, family: str, as_json: bool) -> None:
    """Print the prefixes of the country CC (two letters, ISO 3166): the fewest that hold exactly its addresses."""
    from warren.cli.view_json import print_json
    from warren.core.geo.registry import country_prefixes, is_country
    from warren.sys.errors import HostError
    from warren.sys.geo import GeoStore

    code = country.upper()
    if not is_country(code):
        raise click.BadParameter("a country is two letters, for instance FR", param_hint="CC")
    store = GeoStore.of_host()
    prefixes = country_prefixes(store.files(), code)
    _warn_missing(store)
    if not prefixes:
        raise HostError(
            f"no registry file here has addresses of {code}", "`warren geo countries` lists those that have."
        )
    shown = [str(prefix) for prefix in prefixes if family in ("both", f"ipv{prefix.version}")]
    if as_json:
        print_json({"country": code, "prefixes": shown})
    else:
        click.echo("".join(f"{prefix}\n" for prefix in shown), nl=False)


@geo.command(short_help="Name the country an address was given to.")
@click.argument("address", metavar="ADDR")
@json_option
def which(address: str, as_json: bool) -> None:
    """Name the country to which the address ADDR was given. Exit status 1 if it was given to none."""
    from ipaddress import ip_address

    from warren.cli.view_json import print_json
    from warren.core.geo.registry import countries_of
    from warren.sys.errors import HostError
    from warren.sys.geo import GeoStore

    try:
        wanted = ip_address(address)
    except ValueError:
        raise click.BadParameter(f"`{address}` is no IPv4 or IPv6 address", param_hint="ADDR") from None
    store = GeoStore.of_host()
    found = countries_of(store.files(), wanted)
    _warn_missing(store)
    if as_json:
        print_json({"address": str(wanted), "countries": list(found)})
    elif found:
        click.echo("\n".join(found))
    if not found and not as_json:
        raise HostError(
            f"no registry file here gives {wanted} to a country", "It may be private, reserved or unassigned."
        )


@geo.command(name="countries", short_help="List the countries that have addresses.")
@json_option
def list_countries(as_json: bool) -> None:
    """List the countries that have addresses in the registry files of this machine, with their number of blocks."""
    from collections import Counter

    from warren.cli.view import table
    from warren.cli.view_json import print_json
    from warren.core.geo.registry import countries
    from warren.sys.geo import GeoStore

    store = GeoStore.of_host()
    counts: Counter[str] = Counter()
    for data in store.files():
        counts += countries(data)
    _warn_missing(store)
    if as_json:
        print_json({"countries": dict(sorted(counts.items()))})
    else:
        click.echo(table((code, f"{number:,}") for code, number in sorted(counts.items())))


def _fetch(mirror: str, smaller: bool, as_json: bool) -> list[Updated]:
    from warren.sys.geo import GeoStore, update

    told = []
    live = sys.stderr.isatty()

    def progress(name: str, size: int) -> None:
        if live:
            click.echo(f"\r{name}: {size / 1e6:.1f} MB ", nl=False, err=True)

    for one in update(GeoStore.of_host(), mirror, smaller=smaller, progress=progress):
        if live:
            click.echo("\r", nl=False, err=True)
        told.append(one)
        _tell(one, as_json)
    return told


def _take(files: tuple[str, ...], smaller: bool) -> list[Updated]:
    from warren.cli.files import read_file
    from warren.core.geo.registry import MOST_BYTES
    from warren.sys.geo import GeoStore, Updated

    store, told = GeoStore.of_host(), []
    for file in files:
        held = store.take(read_file(file, MOST_BYTES), file, smaller=smaller)
        told.append(Updated(held.registry.name, "new", held))
        _tell(told[-1], False)
    return told


def _tell(one: Updated, as_json: bool) -> None:
    """Say at once what became of a registry: fetching all five takes a while."""
    if one.outcome == "refused":
        click.echo(f"warren: {one.name}: {one.why}", err=True)
    elif not as_json and one.held is not None:
        checked = ", MD5 right" if one.held.verified else ""
        click.echo(
            f"{one.name:8} {one.outcome}: {one.held.registry.records:,} rows up to {_date(one.held)}{checked}", err=True
        )


def _date(held: Held) -> str:
    end = held.registry.end
    return f"{end[:4]}-{end[4:6]}-{end[6:]}" if len(end) == 8 else held.registry.serial


def _outcome(one: Updated) -> dict[str, Any]:
    held = one.held
    return {
        "registry": one.name,
        "outcome": one.outcome,
        "why": one.why,
        "records": held.registry.records if held else 0,
        "until": held.registry.end if held else "",
        "source": held.source if held else "",
        "verified": held.verified if held else False,
    }


def _warn_missing(store: Any) -> None:
    """Say which registries have no file here: an answer without them may lack something."""
    missing = store.missing()
    if missing:
        click.echo(f"warren: without the files of {', '.join(missing)}: run `warren geo update`", err=True)
