"""An apply that undoes itself unless it is confirmed in time: the window, and the guard that stands by.

The guard is there before the first change, and outlives the process, the terminal and the login that asked for it:

    where systemd runs     a timer and service of the system's own (systemd-run --on-active), in no user's slice
    elsewhere              a process of its own session, with init as its parent and none of our files open

It wakes once, at the deadline, and rolls back if its window is still open (guard.py).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from warren.model.change import Command
from warren.model.state import HostState
from warren.sys import boot_guard, journal, register, systemd
from warren.sys.errors import HostError
from warren.sys.journal import Window
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.run import environment, run
from warren.sys.store import Store

GRACE = 120.0  # seconds after the deadline in which the guard may still be at work
READY = 15.0  # seconds a guard may take to stand by
LOG = "confirm.log"


def open_window(seconds: float, back_to: HostState | None) -> Window:
    """Make a window that closes in so many seconds."""
    return Window(os.urandom(16).hex(), time.time() + seconds, back_to)


def is_open(window: Window) -> bool:
    """Say whether a window's guard has yet to act."""
    return time.time() < window.deadline + GRACE


def confirm(owner: str, machine: Machine) -> None:
    """Keep what was applied: close the window and send its guard home. HostError if none is open."""
    with host_lock(machine.store, machine.patience):
        held = journal.load(machine.store, owner)
        window = held.window
        if window is None:
            raise HostError(
                f"no apply of {owner} waits to be confirmed",
                "It was confirmed already, or its time ran out and it was taken back: `warren plan` shows which.",
            )
        if held.pending is not None or held.applied is None:
            raise HostError(
                f"the apply of {owner} was cut short, so there is nothing whole to confirm",
                "Apply again, or say `warren rollback`.",
            )
        kept = replace(held, confirmed=held.asked or held.applied, good=held.source, window=None)
        boot_guard.refresh(machine.store, kept)
        journal.save(machine.store, kept)
        known = register.load(machine.store)
        slimmer = register.slimmed(known, owner, (held.applied,))
        if slimmer != known:
            register.save(machine.store, slimmer)
    dismiss(window)


def waiting(store: Store) -> tuple[str, ...]:
    """Name the owners whose apply waits to be confirmed."""
    return tuple(owner for owner in journal.owners(store) if journal.load(store, owner).window is not None)


def post_guard(window: Window, owner: str, store: Store, seconds: float) -> Window:
    """Have a guard stand by; HostError, before anything is changed, if none can be had."""
    if systemd.runs_units_here():
        unit = f"warren-confirm-{window.token[:12]}"
        try:
            run(_systemd_run(unit, window, owner, store, seconds))
            return replace(window, guard=f"unit {unit}")
        except HostError:  # no bus, or not allowed: then by ourselves
            pass
    return replace(window, guard=f"process {_detach(window, owner, store, seconds)}")


def dismiss(window: Window) -> None:
    """Send a guard home; one that is gone already is no trouble, for without its window it does nothing."""
    kind, _, name = window.guard.partition(" ")
    if kind == "unit":
        try:
            run(Command(("systemctl", "stop", f"{name}.timer"), fine=(0, 5)))
        except HostError:
            return
    elif kind == "process" and _is_guard(int(name), window.token):
        os.kill(int(name), signal.SIGTERM)


def guard_words(window_token: str, owner: str, seconds: float) -> list[str]:
    """Give the command line of a guard."""
    return [sys.executable, "-m", "warren.sys.guard", window_token, owner, f"{seconds:.3f}"]


# --- where systemd runs --------------------------------------------------------------------------------------


def _systemd_run(unit: str, window: Window, owner: str, store: Store, seconds: float) -> Command:
    when = (f"--on-active={seconds:.0f}s", "--timer-property=AccuracySec=100ms")
    where = ("--collect", f"--unit={unit}", f"--setenv=WARREN_STATE_DIR={store.path.absolute()}")
    return Command(("systemd-run", "--quiet", *when, *where, "--", *guard_words(window.token, owner, 0)))


# --- elsewhere -----------------------------------------------------------------------------------------------


def _detach(window: Window, owner: str, store: Store, seconds: float) -> int:
    """Start a guard that has nothing of ours but its words, and wait until it stands by; give its process id."""
    log = os.open(store.path / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    mine, its = os.pipe()
    try:
        starter = subprocess.Popen(
            [*guard_words(window.token, owner, seconds), str(its)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={**environment(os.environ), "WARREN_STATE_DIR": str(store.path.absolute())},
            start_new_session=True,
            pass_fds=(its,),
        )
        os.close(its)
        its = -1
        ready, _, _ = select.select([mine], [], [], READY)
        said = os.read(mine, 100).decode() if ready else ""
        starter.wait(READY)  # it has forked by then: init, not we, is the guard's parent
    finally:
        os.close(log)
        os.close(mine)
        if its >= 0:
            os.close(its)
    if not said.strip().isdecimal():
        raise HostError(
            "no guard could be started that would undo this apply, so nothing was changed",
            f"What it said is in {store.path / LOG}. Apply without --confirm if you accept that.",
        )
    return int(said)


def _is_guard(process: int, token: str) -> bool:
    """Make sure that the process with this number is still that guard."""
    try:
        return token.encode() in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
