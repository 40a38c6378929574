"""`warren geo update` and `warren geo refresh`: fetch registries and lists, and put them into the sets in force."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from warren.model.named_set import ListSource
    from warren.sys.geo import Held, Updated
    from warren.sys.lists import UpdatedList
    from warren.sys.refresh import Refreshed

Told = tuple[list["Updated"], list["UpdatedList"]]


@click.command(short_help="Fetch what the registries and lists changed.")
@click.argument("networks", metavar="[FILE]...", nargs=-1, type=click.Path())
@click.option(
    "--mirror",
    default="",
    metavar="URL",
    envvar="WARREN_GEO_MIRROR",
    help="An HTTPS address under which all five registries' files are.",
)
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    help="Take this registry's file, or with list:NAME=FILE this list, instead of fetching; can be repeated.",
)
@click.option("--smaller", is_flag=True, help="Believe a file also if it lost more than a fifth of what it had.")
@click.option("--refresh", "refreshes", is_flag=True, help="Then refresh the sets in force, as `warren geo refresh`.")
@click.option(
    "--jitter",
    type=click.FloatRange(0, 86400),
    default=0,
    metavar="SECONDS",
    help="Begin after a random time of up to so many seconds: from cron, so that not all hosts ask at once.",
)
@json_option
@click.pass_context
def update(
    ctx: click.Context,
    networks: tuple[str, ...],
    mirror: str,
    files: tuple[str, ...],
    smaller: bool,
    refreshes: bool,
    jitter: float,
    as_json: bool,
) -> None:
    """Fetch each registry's delegated file, and the lists of the network files FILE, if they changed.

    Without FILE, the lists are those of the networks that are applied here. What was fetched is checked, and put in the
    place of the last good version. What is broken, cut off or much smaller is refused, and the last good version is
    kept. Exit status 1 if anything was refused.
    """
    from warren.cli.view_json import print_json

    if jitter:
        _wait(jitter)
    registries, lists = (
        _take(files, networks, smaller, as_json) if files else _fetch(networks, mirror, smaller, as_json)
    )
    refused = "refused" in {*(one.outcome for one in registries), *(one.outcome for one in lists)}
    told: dict[str, Any] = {
        "registries": [_outcome(one) for one in registries],
        "lists": [_list_outcome(one) for one in lists],
        "networks": [],
    }
    if refreshes:
        told["networks"], failed = _refresh((), as_json)
        refused = refused or failed
    if as_json:
        print_json(told)
    ctx.exit(1 if refused else 0)


@click.command(short_help="Put what there is now into the sets in force.")
@click.argument("networks", metavar="[NETWORK]...", nargs=-1)
@json_option
@click.pass_context
def refresh(ctx: click.Context, networks: tuple[str, ...], as_json: bool) -> None:
    """Make the sets of countries and lists that are in force on this host hold what is kept here now.

    Only the elements that differ are altered, in one transaction: no packet meets a set that is empty or half filled,
    and flows that have begun stay on their way. Nothing else is touched, and no network file is read. Without NETWORK,
    all networks that are applied here. Exit status 1 if a set had to stay as it was.
    """
    from warren.cli.view_json import print_json

    told, failed = _refresh(networks, as_json)
    if as_json:
        print_json({"networks": told})
    ctx.exit(1 if failed else 0)


def _wait(most: float) -> None:
    import random
    import time

    time.sleep(random.uniform(0, most))


# --- fetching --------------------------------------------------------------------------------------------------


def _fetch(networks: tuple[str, ...], mirror: str, smaller: bool, as_json: bool) -> Told:
    from warren.sys.geo import GeoStore, update
    from warren.sys.lists import ListStore, update_lists

    store = GeoStore.of_host()
    store.note_asked()
    wanted = _lists(networks)
    live = sys.stderr.isatty()

    def progress(name: str, size: int) -> None:
        if live:
            click.echo(f"\r{name}: {size / 1e6:.1f} MB ", nl=False, err=True)

    def told(one: Any, tell: Callable[[Any, bool], None]) -> Any:
        if live:
            click.echo("\r", nl=False, err=True)
        tell(one, as_json)
        return one

    registries = [told(one, _tell) for one in update(store, mirror, smaller=smaller, progress=progress)]
    fetched = update_lists(ListStore.of_host(), wanted, smaller=smaller, progress=progress)
    return registries, [told(one, _tell_list) for one in fetched]


def _lists(networks: tuple[str, ...]) -> tuple[ListSource, ...]:
    """Give the lists of network files; without any, those of the networks that are applied here."""
    from warren.cli.files import read_file
    from warren.core.parse import parse
    from warren.core.parse.tree import MAX_BYTES
    from warren.sys.errors import HostError
    from warren.sys.feeds import lists_applied
    from warren.sys.store import Store

    if not networks:
        return lists_applied(Store.of_host())
    found: list[ListSource] = []
    for file in networks:
        draft = parse(read_file(file, MAX_BYTES), file).draft
        if draft is None:
            raise HostError(f"{file} is no network file", f"`warren check {file}` says what is wrong.")
        found += draft.lists
    return tuple({(one.sources[0], one.kind): one for one in found}.values())


def _take(files: tuple[str, ...], networks: tuple[str, ...], smaller: bool, as_json: bool) -> Told:
    from warren.cli.files import read_file
    from warren.core.geo.registry import MOST_BYTES
    from warren.sys.geo import GeoStore, Updated

    store = GeoStore.of_host()
    registries: list[Updated] = []
    lists: list[UpdatedList] = []
    for file in files:
        if file.startswith("list:") and "=" in file:
            lists.append(_take_list(file, networks, smaller))
            _tell_list(lists[-1], as_json)
            continue
        held = store.take(read_file(file, MOST_BYTES), file, smaller=smaller)
        registries.append(Updated(held.registry.name, "new", held))
        _tell(registries[-1], as_json)
    return registries, lists


def _take_list(text: str, networks: tuple[str, ...], smaller: bool) -> UpdatedList:
    """Take `list:NAME=FILE` for the list of that name in the network files."""
    from warren.cli.files import read_file
    from warren.core.geo.lists import MOST_BYTES
    from warren.sys.lists import ListStore, UpdatedList

    name, _, file = text.removeprefix("list:").partition("=")
    fetched = [one for one in _lists(networks) if one.fetched]
    named = [one for one in fetched if one.name == name]
    if len(named) != 1:
        there = ", ".join(one.name for one in fetched) or "none"
        says = f"lists of the web that could be `{name}`: {len(named)}"
        raise click.UsageError(f"{says}. Name the network file; there is {there}")
    held, differs = ListStore.of_host().take(read_file(file, MOST_BYTES), named[0], file, smaller=smaller)
    return UpdatedList(named[0], "new" if differs else "unchanged", held)


def _tell(one: Updated, as_json: bool) -> None:
    """Say at once what became of a registry: fetching all five takes a while."""
    if one.outcome == "refused":
        click.echo(f"warren: {one.name}: {one.why}", err=True)
    elif not as_json and one.held is not None:
        checked = ", checksum right" if one.held.verified else ""
        click.echo(
            f"{one.name:8} {one.outcome}: {one.held.registry.records:,} rows up to {_date(one.held)}{checked}", err=True
        )


def _tell_list(one: UpdatedList, as_json: bool) -> None:
    if one.outcome == "refused":
        click.echo(f"warren: list {one.listed.name}: {one.why}", err=True)
    elif not as_json and one.held is not None:
        entries = "1 entry" if one.held.entries == 1 else f"{one.held.entries:,} entries"
        click.echo(f"list {one.listed.name} {one.outcome}: {entries} from {one.held.source}", err=True)


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


def _list_outcome(one: UpdatedList) -> dict[str, Any]:
    return {
        "list": one.listed.name,
        "kind": one.listed.kind.value,
        "outcome": one.outcome,
        "why": one.why,
        "entries": one.held.entries if one.held else 0,
        "source": one.held.source if one.held else "",
    }


# --- refreshing ------------------------------------------------------------------------------------------------


def _refresh(networks: tuple[str, ...], as_json: bool) -> tuple[list[dict[str, Any]], bool]:
    """Refresh networks; gives what became of each, and whether something could not be."""
    from warren.cli.done import told
    from warren.sys.errors import HostError
    from warren.sys.feeds import Feeds, applied_with_feeds
    from warren.sys.machine import Machine
    from warren.sys.refresh import refresh as make

    machine = told(Machine(), as_json)
    feeds = Feeds()
    shapes: list[dict[str, Any]] = []
    for network in networks or applied_with_feeds(machine.store):
        try:
            found = make(network, machine, feeds)
        except HostError as error:
            click.echo(f"warren: {network}: {error.says}", err=True)
            click.echo(f"  {error.remedy}", err=True)
            shapes.append({"network": network, "why": error.says, "kept": [], "sets": []})
            continue
        for line in _lines(found) if not as_json else ():
            click.echo(line, err=True)
        for why in found.kept:
            click.echo(f"warren: {network}: {why}", err=True)
        sets = [{"name": one.name, "elements": one.elements, "new": one.new, "gone": one.gone} for one in found.sets]
        shapes.append({"network": network, "why": "", "kept": list(found.kept), "sets": sets})
    return shapes, any(one["why"] or one["kept"] for one in shapes)


def _lines(found: Refreshed) -> Iterator[str]:
    for one in found.sets:
        yield f"{found.owner}: set {one.name}: {one.elements:,} elements, {one.new:,} new, {one.gone:,} gone"
    if not found.sets and not found.kept:
        yield f"{found.owner}: nothing to refresh"
