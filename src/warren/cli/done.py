"""What the commands that change this host share: saying each step as it is made, and finding whose turn it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warren.model.change import Command
    from warren.sys.machine import Machine


def told(machine: Machine, as_json: bool) -> Machine:
    """Have a machine say each command on standard error before it is run; with JSON it is silent."""
    return machine if as_json else replace(machine, tell=_teller())


def one_of(owners: Sequence[str], none: str, verb: str) -> str:
    """Give the only one of several owners; HostError with `none` if there is none, or naming them if there are more."""
    from warren.sys.errors import HostError

    if not owners:
        raise HostError(none)
    if len(owners) > 1:
        raise HostError(f"which of them? {', '.join(owners)}", f"Say it: `warren {verb} {owners[0]}`.")
    return owners[0]


def _teller() -> Callable[[Command], None]:
    """Make what says each command; several in a row that do one thing (conntrack's, by protocol) are said once."""
    from warren.cli.view import paint, show

    last = ""

    def tell(command: Command) -> None:
        nonlocal last
        says = command.says or " ".join(command.argv)
        if says != last:
            show(paint(f"  {says}", "dim", on=sys.stderr), sys.stderr)
        last = says

    return tell
