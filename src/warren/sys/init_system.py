"""The init system of this host: which it is, and the commands by which it starts and forgets what is ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from warren.core.install.files import Enabled, Init, Installation
from warren.model.change import Command
from warren.sys import systemd
from warren.sys.errors import HostError
from warren.sys.machine import Machine
from warren.sys.run import Run, find_program, run


def init_here(root: Path = Path("/")) -> Init:
    """Say which init system this host has; HostError if it is one that we have no files for."""
    if (root / "run/systemd/system").is_dir():
        return Init.SYSTEMD
    if (root / "run/openrc").is_dir():
        return Init.OPENRC
    for init, sign in ((Init.SYSTEMD, "lib/systemd/systemd"), (Init.OPENRC, "sbin/openrc-run")):
        if (root / sign).exists():
            return init
    raise HostError(
        "this host has neither systemd nor OpenRC, and warren has files for no other init system",
        "Have yours run these, as root: the script that `warren install --init openrc --dry-run` names before the "
        "network is up, `warren apply --at-boot --retry` after it, and `warren agent --network NAME` to stay.",
    )


def enable(made: Installation, machine: Machine) -> None:
    """Have what was made started at boot, and at once what is of use at once."""
    for command in _enabling(made, at_work=_at_work(made.init)):
        machine.act(command)


def _enabling(made: Installation, *, at_work: bool) -> Iterator[Command]:
    """Give the commands that have things started at boot, and at once what is of use at once."""
    if made.init is Init.SYSTEMD:
        if at_work:
            yield Command(("systemctl", "daemon-reload"), says="systemd reads its units again")
        yield Command(("systemctl", "--quiet", "enable", *(one.name for one in made.enabled)), says="enable units")
        # An agent that runs already is another version's: it begins anew.
        now = tuple(one.name for one in made.enabled if one.now)
        if at_work and now:
            yield Command(("systemctl", "restart", *now), says=f"start {', '.join(now)}")
        return
    for one in made.enabled:
        yield Command(("rc-update", "--quiet", "add", one.name, one.level), says=f"enable {one.name}")
    for one in made.enabled:
        if at_work and one.now:
            yield Command(("rc-service", "--quiet", one.name, "restart"), says=f"start {one.name}")


def disable(init: Init, enabled: Iterable[Enabled], machine: Machine) -> None:
    """Stop things and have them started no more; no unit of ours takes a network down with it."""
    for command in _disabling(init, tuple(enabled), at_work=_at_work(init)):
        machine.act(command)


def _disabling(init: Init, enabled: tuple[Enabled, ...], *, at_work: bool) -> Iterator[Command]:
    """Give the commands that stop and forget things; it is no failure if they are not there any more."""
    if not enabled:
        return
    if init is Init.SYSTEMD:
        names = [one.name for one in enabled]
        if at_work:
            yield Command(("systemctl", "stop", *names), says="stop units", fine=(0, 5))
        yield Command(("systemctl", "--quiet", "disable", *names), says="disable units", fine=(0, 1))
        return
    for one in enabled:
        if at_work:
            yield Command(("rc-service", "--quiet", one.name, "stop"), says=f"stop {one.name}", fine=(0, 1))
        yield Command(("rc-update", "--quiet", "delete", one.name, one.level), says=one.name, fine=(0, 1))


def forgotten(init: Init, machine: Machine) -> None:
    """Have the init system notice that files are gone."""
    if init is Init.SYSTEMD and _at_work(init):
        machine.act(Command(("systemctl", "daemon-reload"), says="systemd reads its units again"))


def _at_work(init: Init) -> bool:
    """Say whether the init system runs here; in an image that is being built it is told by files alone."""
    if init is Init.SYSTEMD:
        return systemd.runs_units_here()
    return os.path.isdir("/run/openrc") and find_program("rc-service") is not None


def is_enabled(init: Init, one: Enabled, run: Run = run) -> bool:
    """Say whether something is started at boot; the files that say so are the init system's own."""
    if init is Init.SYSTEMD:
        try:
            run(Command(("systemctl", "--quiet", "is-enabled", one.name)))
        except HostError:
            return False
        return True
    return os.path.lexists(f"/etc/runlevels/{one.level}/{one.name}")
