"""`warren lab up|test|exec|capture|leaks|matrix|down`: the whole network on this machine, with real packets."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from warren.cli.lab_leaks import leaks
from warren.cli.lab_matrix import matrix
from warren.cli.options import complete_places, json_option, network_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warren.lab.control import Session
    from warren.lab.report import Line


@click.group()
def lab() -> None:
    """Try a whole network on this machine: its hosts, NATs and an internet, in namespaces.

    Nothing outside is touched and nothing is left behind. Every host is set up by the same apply as a real one, with
    keys made for the occasion. Root is not needed where users may make namespaces and open /dev/net/tun.
    """


lab.add_command(leaks)
lab.add_command(matrix)


@lab.command(short_help="Bring the network up and leave it running.")
@network_argument
@json_option
def up(file: str, as_json: bool) -> None:
    """Bring the network up and leave it running, for `exec`, `capture` and `test`."""
    from warren.cli.network import open_network
    from warren.cli.view import count, show
    from warren.cli.view_json import print_json
    from warren.lab.control import Door, start
    from warren.lab.wired import wires_here

    network, lock = open_network(file, locked=False)
    with start(network, lock, Door(file)) as session:
        session.leave_alone()
        seconds = session.seconds
    if as_json:
        print_json({"ok": True, "seconds": seconds})
        return
    show(f"{count(len(network.hosts), 'host')} up in {seconds:.1f} s")
    if wires_here(network):
        show(f"  {wires_here(network)}")
    example = network.hosts[0]
    where = f"{example.name}.{example.lans[0].name}" if example.lans else example.name
    show(f"  warren lab exec {file} {where} -- curl -s http://1.1.1.1   says which address the internet sees")
    show(f"  warren lab down {file}")


@lab.command(short_help="Try every `expect` with real packets.")
@network_argument
@json_option
@click.pass_context
def test(ctx: click.Context, file: str, as_json: bool) -> None:
    """Try every `expect` with real packets: expected, predicted, observed, time.

    Uses the lab that is up, or one of its own. The exit status is 0 if every promise is kept and walk predicted what
    the kernel did, else 1.
    """
    from warren.cli.network import open_network
    from warren.cli.view import show
    from warren.cli.view_json import print_json
    from warren.lab.control import Door, start
    from warren.lab.report import as_dict, from_dict
    from warren.lab.wired import wires_here

    session, notice = Door(file).find(), ""  # `up` has said it of a lab that is up
    if session is None:
        network, lock = open_network(file, locked=False)
        session, notice = start(network, lock), wires_here(network)
    lines: list[Line] = []
    with session:
        for told in session.ask("test"):
            if "line" in told:
                lines.append(from_dict(told["line"]))
    lines.sort(key=lambda line: line.number)  # they were tried in another order
    holds = all(line.holds for line in lines)
    if as_json:
        print_json({"ok": holds, "expectations": [as_dict(line) for line in lines]})
    else:
        show_lines(lines)
        if notice:
            show(notice)
    ctx.exit(0 if holds else 1)


@lab.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run a command in the lab that is up.",
)
@network_argument
@click.argument("machine", metavar="HOST", shell_complete=complete_places)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec(file: str, machine: str, command: tuple[str, ...]) -> None:
    """Run a command on a host, a LAN's client (`nyc.eth1`), a NAT or `internet` of the lab that is up."""
    from warren.lab.control import entry_command

    with _found(file) as session:
        entry = entry_command(session, machine)
    words = command[1:] if command[0] == "--" else command
    # In the same directory as here, if the machine has it: its /run is its own.
    _become((*entry, "sh", "-c", 'cd "$0" 2>/dev/null; exec "$@"', os.getcwd(), *words))


@lab.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Watch a device in the lab that is up.",
)
@network_argument
@click.argument("machine", metavar="HOST", shell_complete=complete_places)
@click.argument("device", metavar="[DEVICE]", default="")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def capture(file: str, machine: str, device: str, options: tuple[str, ...]) -> None:
    """Watch a device of a host of the lab that is up (its uplink), with tcpdump and any of its options."""
    from warren.lab.control import entry_command, uplink_of

    if device.startswith("-"):
        device, options = "", (device, *options)
    with _found(file) as session:
        entry, chosen = entry_command(session, machine), device or uplink_of(session, machine)
    _become((*entry, "tcpdump", "-n", "-l", "-Z", "root", "-i", chosen, *options))


@lab.command()
@network_argument
@json_option
def down(file: str, as_json: bool) -> None:
    """Take the lab down; nothing of it is left."""
    from warren.cli.view_json import print_json

    with _found(file) as session:
        list(session.ask("down"))
        session.wait_for_end()
    if as_json:
        print_json({"ok": True})


def _found(file: str) -> Session:
    from warren.lab.control import Door
    from warren.lab.spaces import LabError

    session = Door(file).call()
    if session is None:
        raise LabError(f"the lab of {file} is not up", f"`warren lab up {file}` brings it up.")
    return session


def _become(command: Sequence[str]) -> NoReturn:
    """End as another program, which has the terminal and its signals."""
    from warren.sys.run import find_program, missing_program

    program = find_program(command[0])
    if program is None:
        raise missing_program(command[0])
    sys.stdout.flush()
    os.execv(program, list(command))


def show_lines(lines: Sequence[Line]) -> None:
    """Print a table of what was tried, and below it why anything does not hold."""
    from warren.cli.view import count, paint, show, table

    rows = [(_claim(line), line.expected, line.predicted, line.observed, f"{line.seconds:.2f} s") for line in lines]
    head, *body = table(rows, ("expectation", "expected", "predicted", "observed", "time")).splitlines()
    show(paint(f"     {head}", "bold"))
    for line, text in zip(lines, body, strict=True):
        mark = paint("ok", "green") if line.holds else paint("no", "bold", "red")
        show(f"{mark}   {text}")
        if not line.holds:
            show(f"      {line.at}: {line.says}" if line.at else f"      {line.says}")
    failed = sum(not line.holds for line in lines)
    if failed:
        do = "does" if failed == 1 else "do"
        show(paint(f"{failed} of {count(len(lines), 'expectation')} {do} not hold", "bold", "red"))
    else:
        show(paint(f"all {count(len(lines), 'expectation')} hold", "bold", "green"))


def _claim(line: Line) -> str:
    family = line.families[0] if len(line.families) == 1 else ""
    words = " ".join(filter(None, (line.claim, family)))
    return words + (f" with {', '.join(line.faults)}" if line.faults else "")
