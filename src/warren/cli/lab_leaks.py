"""`warren lab leaks [FILE]`: whatever happens to the hosts, is anything of a portal seen where it must not be?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warren.lab.leaks.play import Outcome
    from warren.lab.leaks.scenario import Scenario


# What is told of a scenario, and of what came of it (docs/json.md).
KEYS = ("name", "group", "says", "promise")
FOUND = ("holds", "leaks", "short", "said", "checks", "seconds")


@click.command(short_help="Break hosts in every way, and watch the uplinks meanwhile.")
@click.argument("file", metavar="[FILE]", type=click.Path(), required=False)
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only this scenario, or this group of them.")
@click.option("--list", "listing", is_flag=True, help="Say what there is to try, and try nothing.")
@click.option(
    "--lanes", type=click.IntRange(1, 8), metavar="N", help="How many labs at once (else: one per processor)."
)
@json_option
@click.pass_context
def leaks(
    ctx: click.Context, file: str | None, names: tuple[str, ...], listing: bool, lanes: int | None, as_json: bool
) -> None:
    """Break hosts in every way there is, and watch the uplinks: is anything of a portal seen there?

    Every probe is first seen on the uplink without a portal, and then never again, while a scenario goes on and after
    it. Without FILE in a world of its own that has portals of every kind; with FILE the scenarios that apply to its
    portals. The exit status is 0 if everything is as promised, else 1.
    """
    from warren.cli.network import open_network
    from warren.cli.view_json import print_json
    from warren.lab.leaks.suite import choose, play_all

    network, lock = open_network(file, locked=False) if file else (None, None)
    chosen, unfit = choose(names, network)
    if listing:
        _list(chosen, unfit, as_json)
        return
    done: list[str] = []

    def tell(outcome: Outcome) -> None:
        done.append(outcome.name)
        if not as_json:
            _progress(outcome, len(done), len(chosen))

    outcomes = play_all(network, lock, chosen, tell, lanes=lanes or 0)
    holds = all(outcome.holds for outcome in outcomes)
    if as_json:
        found = [_as_dict(one, outcome) for one, outcome in zip(chosen, outcomes, strict=True)]
        print_json({"ok": holds, "scenarios": found, "not_tried": unfit})
    else:
        _show(chosen, outcomes, unfit, file or "")
    ctx.exit(0 if holds else 1)


def _list(chosen: Sequence[Scenario], unfit: Mapping[str, str], as_json: bool) -> None:
    from warren.cli.view import paint, show, table
    from warren.cli.view_json import print_json

    if as_json:
        told = [{key: getattr(one, key) for key in KEYS} for one in chosen]
        print_json({"ok": True, "scenarios": told, "not_tried": dict(unfit)})
        return
    group = ""
    lines = table((one.name, one.says) for one in chosen).splitlines()
    for one, line in zip(chosen, lines, strict=True):
        if one.group != group:
            group = one.group
            show(paint(group, "bold"))
        show(f"  {line}")
    for name, why in unfit.items():
        show(f"  {name} is not tried: {why}")


def _progress(outcome: Outcome, number: int, many: int) -> None:
    from warren.cli.view import paint, show

    mark = paint("ok", "green") if outcome.holds else paint("no", "bold", "red")
    show(f"{mark}  {number:>3}/{many}  {outcome.name}  {outcome.seconds:.1f} s", sys.stderr)


def _show(chosen: Sequence[Scenario], outcomes: Sequence[Outcome], unfit: Mapping[str, str], file: str) -> None:
    from warren.cli.view import count, paint, show, table

    rows = [
        (one.group, one.name, one.says, one.promise, _found(outcome), f"{outcome.seconds:.1f} s")
        for one, outcome in zip(chosen, outcomes, strict=True)
    ]
    head, *body = table(rows, ("group", "scenario", "what happens", "promised", "seen", "time")).splitlines()
    show(paint(f"    {head}", "bold"))
    for outcome, line in zip(outcomes, body, strict=True):
        mark = paint("ok", "green") if outcome.holds else paint("no", "bold", "red")
        show(f"{mark}  {line}")
        for leak in outcome.leaks:
            show(f"      seen: {leak}")
        for short in outcome.short:
            show(f"      {short}")
        if not outcome.holds:
            show(f"      again: warren lab leaks {f'{file} ' if file else ''}--only {outcome.name}")
    for name, why in unfit.items():
        show(f"    {name} is not tried: {why}")
    failed = sum(not outcome.holds for outcome in outcomes)
    checks = sum(outcome.checks for outcome in outcomes)
    if failed:
        do = "is" if failed == 1 else "are"
        show(paint(f"{failed} of {count(len(outcomes), 'scenario')} {do} not as promised", "bold", "red"))
    else:
        told = f"all {count(len(outcomes), 'scenario')} are as promised; everybody asked {checks} times"
        show(paint(told, "bold", "green"))


def _found(outcome: Outcome) -> str:
    if outcome.leaks:
        return f"{len(outcome.leaks)} leaks" if len(outcome.leaks) > 1 else "a leak"
    if outcome.short:
        return "not as promised"
    return f"none; of {len(outcome.said)} not bound, some" if outcome.said else "none"


def _as_dict(one: Scenario, outcome: Outcome) -> dict[str, Any]:
    return {key: getattr(one, key) for key in KEYS} | {key: getattr(outcome, key) for key in FOUND}
