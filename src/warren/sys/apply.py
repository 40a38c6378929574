"""Make a host what it should be, and take it back: the verbs.

    lock the host · observe · diff · remember (register, journal) · run the commands · observe again: nothing differs

The journal is written before the first change, so whoever is killed at any step leaves a host that the next `apply`
or `down` brings right: both start from what is there, not from what was meant. A command that fails, or a signal, and
what was done is undone: that too is a diff, back to the state before (change.py).
"""

from __future__ import annotations

from warren.core.render.services import Tools
from warren.model.state import HostState
from warren.sys import backend, confirm
from warren.sys.change import Applied, ApplyFailed, Change, empty
from warren.sys.errors import HostError
from warren.sys.journal import Journal, Source
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.privilege import require_net_admin
from warren.sys.tools import tools_here

__all__ = ["Applied", "ApplyFailed", "apply", "down", "roll_back"]


def apply(
    desired: HostState,
    machine: Machine,
    *,
    window: float | None = None,
    file: str = "",
    source: Source | None = None,
    tools: Tools | None = None,
) -> Applied:
    """Make this host what `desired` says for its owner; with `window`, only until so many seconds have passed.

    `source` is what it was compiled from: kept, so that the agent and a boot do not depend on the file.
    Raises ApplyFailed when a command fails (then everything is undone), Busy when another warren is at work, and
    HostError for what the host lacks. Confirmed at once unless there is a window.
    """
    require_net_admin("changing the network")
    backend.require(desired.backend)
    with host_lock(machine.store, machine.patience):
        view = machine.view(desired.owner, desired)
        former = view.journal.window
        if window is None:
            _refuse_open_window(view.journal)
        applied = Change(machine, view, tools or tools_here()).make(desired, file, source=source, seconds=window)
        if former is not None:
            confirm.dismiss(former)
        return applied


def down(owner: str, machine: Machine, *, tools: Tools | None = None) -> Applied:
    """Take everything of an owner's off this host and put back what it had changed. Errors as for apply."""
    require_net_admin("changing the network")
    with host_lock(machine.store, machine.patience):
        view = machine.view(owner)
        applied = Change(machine, view, tools or tools_here()).make(empty(view.journal), view.journal.file)
        if view.journal.window is not None:
            confirm.dismiss(view.journal.window)
        return applied


def roll_back(owner: str, machine: Machine, *, token: str = "", tools: Tools | None = None) -> Applied:
    """Go back to the state before the unconfirmed apply, whose window is closed by that.

    With a `token`, as its guard calls it, do nothing unless that very window is still open. HostError if none is.
    """
    require_net_admin("changing the network")
    with host_lock(machine.store, machine.patience):
        view = machine.view(owner)
        window = view.journal.window
        if token and (window is None or window.token != token):
            return Applied()
        if window is None:
            raise HostError(
                f"no apply of {owner} waits to be confirmed, so there is nothing to roll back",
                "To go back to an older network file, apply that file; to take everything away, `warren down`.",
            )
        back = window.back_to or empty(view.journal)
        source = view.journal.good if back == view.journal.confirmed else None
        change = Change(machine, view, tools or tools_here())
        applied = change.make(back, source.file if source else view.journal.file, source=source, confirms=False)
        if not token:
            confirm.dismiss(window)
        return applied


def _refuse_open_window(held: Journal) -> None:
    if held.window is not None and confirm.is_open(held.window):
        raise HostError(
            f"the last apply of {held.owner} still waits to be confirmed",
            "Say `warren confirm` to keep it, or `warren rollback` to take it back; then apply again.",
        )
