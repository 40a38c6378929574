"""`warren verify FILE`: prove what the file expects, and that nothing leaks, without sending a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from warren.cli.options import host_option, json_option, network_argument

if TYPE_CHECKING:
    from warren.core.verify import Verdict


@click.command()
@network_argument
@click.option("--live", is_flag=True, help="Take this host as it is now, not as it should be.")
@host_option("With --live: which host of the file this machine is.")
@json_option
@click.pass_context
def verify(ctx: click.Context, file: str, live: bool, host: str, as_json: bool) -> None:
    """Prove offline what the file expects, and what needs no asking.

    Each `expect` is judged in every family that both ends have. Unasked: no loop; no leak of a portal when any one
    tunnel, exit or guard (the nft table, the rules) is gone or a 0.0.0.0/1 route appears; who comes in by the uplink of
    a host whose own traffic exits elsewhere is not cut off; no shadowed allowed IPs; answers come back the same way;
    MTU suffices. The exit status is 0 if all of it holds, else 1.
    """
    from warren.cli.network import open_network
    from warren.cli.view_json import print_json
    from warren.core.verify import verify as prove
    from warren.core.walk.stage import stage

    network, lock = open_network(file, locked=False)
    if live:
        from warren.cli.live import live_scene

        scene = live_scene(network, lock, host)
    else:
        scene = stage(network, lock)
    verdicts = prove(network, lock, scene.states, scene.surroundings, scene.world)
    holds = all(verdict.holds for verdict in verdicts)
    if as_json:
        from warren.cli.view_trace_json import verdict_json

        print_json({"ok": holds, "verdicts": [verdict_json(verdict) for verdict in verdicts]})
    else:
        _show(file, verdicts)
    ctx.exit(0 if holds else 1)


def _show(file: str, verdicts: tuple[Verdict, ...]) -> None:
    from warren.cli.view import count, paint, show

    width = max((len(_claim(verdict)) for verdict in verdicts), default=0)
    for verdict in verdicts:
        mark = paint("ok", "green") if verdict.holds else paint("??" if verdict.unknown else "no", "bold", "red")
        show(f"{mark}  {_claim(verdict):<{width}}  {verdict.predicted if verdict.holds else verdict.expected}")
        if verdict.holds and verdict.says:
            show(paint(f"      note: {verdict.says}", "yellow"))
        if not verdict.holds:
            at = f"{verdict.at}: " if verdict.at else ""
            show(f"      {at}{verdict.says or verdict.predicted}")
    failed = [verdict for verdict in verdicts if not verdict.holds]
    if failed:
        do = "does" if len(failed) == 1 else "do"
        show(paint(f"{len(failed)} of {count(len(verdicts), 'claim')} {do} not hold", "bold", "red"))
        show(f"  `warren trace {file} FROM TO` shows a packet's way, step by step")
    else:
        show(paint(f"all {count(len(verdicts), 'claim')} hold", "bold", "green"))


def _claim(verdict: Verdict) -> str:
    words = [verdict.claim, verdict.family.word if verdict.family else ""]
    return " ".join(filter(None, words)) + (f" with {', '.join(verdict.faults)}" if verdict.faults else "")
