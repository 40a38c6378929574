"""A boot brings back what was confirmed: the guard first, the rest as soon as it can be had.

    guard.sh        before there is any network, by the init system and without us (boot_guard.py)
    put_guards      the same by the journal, if it does not stand yet: it is what a failed apply is undone to
    bring_back      each network, tried again until its devices are there and the names of its endpoints are found

What was never confirmed does not come back, and no file is read: what its owner does to that meanwhile matters to the
next `warren apply`, not to a boot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from warren.core.guard import guard_of
from warren.core.render.services import Tools
from warren.sys import journal
from warren.sys.apply import Applied, apply
from warren.sys.change import Change
from warren.sys.errors import HostError
from warren.sys.lock import host_lock
from warren.sys.machine import Machine
from warren.sys.privilege import require_net_admin
from warren.sys.tools import tools_here

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between two tries; the last one again and again


@dataclass(frozen=True, slots=True)
class Boot:
    """What came of one try: networks that are up, and why others are not."""

    applied: dict[str, Applied] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether everything is up, and no peer waits for its name."""
        return not self.failed and not any(one.unfound for one in self.applied.values())


def at_boot(
    machine: Machine,
    *,
    tell: Callable[[Boot], None] = lambda _: None,
    wait: Callable[[float], None] | None = None,
    tools: Tools | None = None,
) -> Boot:
    """Bring back the last confirmed state of every network; one that fails keeps no other from coming up.

    With `wait`, which sleeps for so many seconds, it is tried again until all is up, and `tell` hears of every try;
    else only once.
    """
    require_net_admin("changing the network")
    tools = tools or tools_here()
    unguarded = put_guards(machine, tools)
    for attempt in range(2**62):
        boot = bring_back(machine, tools, unguarded)
        tell(boot)
        if wait is None or boot.whole:
            return boot
        wait(PAUSES[min(attempt, len(PAUSES) - 1)])
        unguarded = put_guards(machine, tools)
    raise AssertionError("nobody waits that long")


def put_guards(machine: Machine, tools: Tools) -> dict[str, str]:
    """Have the guard of every network stand that nothing of this boot is known of; give why one cannot, by owner."""
    failed: dict[str, str] = {}
    for owner in journal.owners(machine.store):
        try:
            with host_lock(machine.store, machine.patience):
                view = machine.view(owner)
                held = view.journal
                if held.confirmed is not None and not held.confirmed.is_conf and held.applied is None:
                    guard = guard_of(held.confirmed)
                    # As if it stood: so what guard.sh put up stays when a command of ours fails.
                    standing = replace(view, journal=replace(held, applied=guard, asked=guard))
                    Change(machine, standing, tools).make(guard, held.file, confirms=False)
        except HostError as error:
            failed[owner] = error.says
    return failed


def bring_back(machine: Machine, tools: Tools, unguarded: dict[str, str]) -> Boot:
    """Apply what was confirmed of each network; what fails is undone to its guard."""
    boot = Boot()
    for owner in journal.owners(machine.store):
        try:
            held = journal.load(machine.store, owner)
            if held.confirmed is not None and not held.confirmed.is_conf:  # a conf comes up by a unit of its own
                boot.applied[owner] = apply(held.confirmed, machine, file=held.file, source=held.good, tools=tools)
        except HostError as error:
            lost = f" (its guard does not stand either: {unguarded[owner]})" if owner in unguarded else ""
            boot.failed[owner] = f"{error.says}{lost}"
    return boot
