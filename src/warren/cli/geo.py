"""`warren geo`: which addresses a country has, from the five registries' own files."""

from __future__ import annotations

from typing import Any

import click

from warren.cli.geo_update import refresh, update
from warren.cli.options import json_option


@click.group()
def geo() -> None:
    """Keep the address registries' files and lists of the web, and ask which country an address was given to.

    A registry knows to whom it gave a block, not where its machines stand: good for `the services of this country`,
    no proof of where somebody is.
    """


geo.add_command(update)
geo.add_command(refresh)


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


def _warn_missing(store: Any) -> None:
    """Say which registries have no file here: an answer without them may lack something."""
    missing = store.missing()
    if missing:
        click.echo(f"warren: without the files of {', '.join(missing)}: run `warren geo update`", err=True)
