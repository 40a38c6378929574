"""`warren lab matrix`: hosts of every kind meet every other, simulated and with real packets, and then things break."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from warren.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warren.lab.matrix.kinds import Kind, Pairing
    from warren.lab.matrix.report import Line, Times

PARTS = ("simulated", "lab", "faults")


@click.command(short_help="Have hosts behind every kind of NAT meet every other.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this part (else: all three).")
@click.option("--only", "names", multiple=True, metavar="KIND", help="Only pairs of these kinds of places.")
@click.option("--fault", "faults", multiple=True, metavar="NAME", help="Only this fault.")
@click.option(
    "--runs", type=click.IntRange(1, 100), default=1, metavar="N", help="How often each pair meets in the lab (1)."
)
@click.option(
    "--simulated", "worlds", type=click.IntRange(1, 10_000), default=20, metavar="N", help="And simulated (20)."
)
@click.option(
    "--at-once", type=click.IntRange(1, 40), default=8, metavar="N", help="Pairs that meet at once in the lab (8)."
)
@json_option
@click.pass_context
def matrix(
    ctx: click.Context,
    parts: tuple[str, ...],
    names: tuple[str, ...],
    faults: tuple[str, ...],
    runs: int,
    worlds: int,
    at_once: int,
    as_json: bool,
) -> None:
    """Have hosts in places of every kind meet every other, and break what carries them.

    Simulated worlds first; then one lab with two hosts of each kind, real agents, servers, NATs and WireGuard; then
    faults, while packets flow. Each pair is held against what theory says: directly, or by a relay. The exit status is
    0 if everything is so, else 1.
    """
    from warren.cli.view_json import print_json
    from warren.lab.matrix.kinds import choose, pairings

    chosen = parts or (("faults",) if faults else PARTS)
    kinds = choose(names)
    pairs = pairings(kinds)
    lines = _meet(pairs, chosen, worlds, runs, at_once)
    outcomes = _break(faults) if "faults" in chosen else []
    holds = all(line.holds for line in lines) and all(one["holds"] for one in outcomes)
    if as_json:
        print_json({"ok": holds, "pairs": [asdict(line) | {"holds": line.holds} for line in lines], "faults": outcomes})
    else:
        if lines:
            _show_pairs(kinds, lines)
        if outcomes:
            _show_faults(outcomes)
    ctx.exit(0 if holds else 1)


def _meet(pairs: Sequence[Pairing], parts: Sequence[str], worlds: int, runs: int, at_once: int) -> list[Line]:
    from dataclasses import replace

    from warren.lab.control import start
    from warren.lab.matrix.field import network_of
    from warren.lab.matrix.report import line_of, simulated, times_of
    from warren.lab.matrix.simulate import Met, run_all

    if not {"simulated", "lab"}.intersection(parts):
        return []
    lines = {(pair.one.name, pair.other.name): line_of(pair) for pair in pairs}
    if "simulated" in parts:
        for done, (pair, found) in enumerate(run_all(pairs, worlds), 1):
            key = pair.one.name, pair.other.name
            lines[key] = simulated(lines[key], pair, found)
            if done % 25 == 0 or done == len(pairs):
                _progress(f"simulated: {done} of {len(pairs)} pairs, {worlds} times each")
    if "lab" in parts:
        met: dict[tuple[str, str], list[tuple[Met, bool]]] = {key: [] for key in lines}
        kinds = {kind.name: kind for pair in pairs for kind in (pair.one, pair.other)}
        done = 0
        with start(network_of(kinds.values()), None, holder="warren.lab.matrix.holder") as session:
            _progress(f"lab: up in {session.seconds:.0f} s")
            for told in session.ask("meet", pairs=list(lines), runs=runs, at_once=at_once):
                for one in told.get("met", ()):
                    met[one["one"], one["other"]].append((Met(one["first"], one["direct"]), one["as_told"]))
                    done += 1
                    if not one["as_told"]:
                        _progress(f"lab: {one['one']} × {one['other']}: {one['path'] or 'nothing'}, unlike theory")
                if "met" in told:
                    _progress(f"lab: {done} of {len(pairs) * runs} meetings")
        for key, runs_of in met.items():
            times = times_of([one for one, _ in runs_of], sum(fits for _, fits in runs_of))
            lines[key] = replace(lines[key], lab=times)
    return list(lines.values())


def _break(names: Sequence[str]) -> list[dict[str, Any]]:
    from warren.lab.control import start
    from warren.lab.matrix.faults import KINDS
    from warren.lab.matrix.field import network_of

    outcomes = []
    with start(network_of(KINDS), None, holder="warren.lab.matrix.holder") as session:
        for told in session.ask("faults", names=list(names)):
            if "fault" in told:
                outcomes.append(told["fault"])
                _progress(f"fault: {told['fault']['name']}: {told['fault']['silence']:.2f} s")
    return outcomes


def _progress(text: str) -> None:
    from warren.cli.view import show

    show(text, sys.stderr)


def _show_pairs(kinds: Sequence[Kind], lines: Sequence[Line]) -> None:
    from warren.cli.view import count, paint, show, table
    from warren.lab.matrix.report import picture

    show(picture(kinds, lines))
    show("     D: directly · r: by a relay · ·: not at all · !: not as theory says\n")
    head = ("pair", "expected", "simulated", "first byte", "direct", "lab", "first byte", "direct")
    rows = [(f"{line.one} × {line.other}", line.expected, *_cells(line.simulated), *_cells(line.lab)) for line in lines]
    head_line, *body = table(rows, head).splitlines()
    show(paint(f"     {head_line}", "bold"))
    for line, text in zip(lines, body, strict=True):
        mark = paint("ok", "green") if line.holds else paint("no", "bold", "red")
        show(f"{mark}   {text}")
    show("     seconds until the first bytes both ways, and until both sides go directly: p50/p99")
    failed = sum(not line.holds for line in lines)
    if failed:
        show(paint(f"{failed} of {count(len(lines), 'pair')} went unlike theory", "bold", "red"))
    else:
        show(paint(f"all {count(len(lines), 'pair')} went as theory says", "bold", "green"))


def _cells(times: Times) -> tuple[str, str, str]:
    def both(found: tuple[float, float] | None) -> str:
        return f"{found[0]:.2f}/{found[1]:.2f}" if found else "–"

    return f"{times.as_told}/{times.runs}" if times.runs else "–", both(times.first), both(times.direct)


def _show_faults(outcomes: Sequence[dict[str, Any]]) -> None:
    from warren.cli.view import count, paint, show, table

    rows = [
        (
            one["name"],
            one["says"],
            f"{one['silence']:.2f} s",
            f"≤ {one['within']:g} s",
            f"{one['others']:.2f} s",
            f"{one['direct']:.1f} s" if one["direct"] is not None else "–",
        )
        for one in outcomes
    ]
    head, *body = table(rows, ("fault", "what is done", "silence", "promised", "others", "direct again")).splitlines()
    show(paint(f"     {head}", "bold"))
    for one, text in zip(outcomes, body, strict=True):
        mark = paint("ok", "green") if one["holds"] else paint("no", "bold", "red")
        show(f"{mark}   {text}")
    show("     silence: the longest of the flow that is hit, fifty packets a second each way; others: of the rest")
    failed = sum(not one["holds"] for one in outcomes)
    if failed:
        show(paint(f"{failed} of {count(len(outcomes), 'fault')} took longer than promised", "bold", "red"))
    else:
        show(paint(f"after all {count(len(outcomes), 'fault')} everybody was back in time", "bold", "green"))
