"""A host of the lab, brought up from rendered files: they lie over its /etc, and wg-quick does the rest.

A tunnel that was broken is healed as people do it, by `wg syncconf`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from warren.core.render.subject import state_of
from warren.core.render.targets import renderer
from warren.lab.keys import PLACE
from warren.lab.spaces import MS_BIND, LabError, mount
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys.tree import keys_at_hand, write_tree

ENVIRONMENT = os.environ | {"WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}
RELOAD = 'wg syncconf "$1" <(wg-quick strip "$1")'
PATIENCE = 20.0  # seconds


def by_wg_quick(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what renders a host for wg-quick and has wg-quick bring it up."""

    def work(host: str) -> HostState:
        state = state_of(network, lock, host)
        if not is_up(state):
            furnish(state, "wg-quick")
            for interface in state.interfaces:
                run("wg-quick", "up", interface.name)
        else:
            for interface in state.interfaces:
                run("bash", "-c", RELOAD, "bash", interface.name)
        return state

    return work


def furnish(state: HostState, target: str, *private: str) -> None:
    """Lay the rendered tree over this host's /etc, and give it directories of its own for what is remembered."""
    made = renderer(target)(state)
    tree = PLACE / state.host / "tree"
    write_tree(made.files, str(tree), keys_at_hand(made.files))
    work = PLACE / state.host / "work"
    work.mkdir()
    mount("overlay", "/etc", "overlay", data=f"lowerdir=/etc,upperdir={tree / 'etc'},workdir={work}")
    if (tree / "etc" / "wireguard").exists():  # the machine's own, beneath, only its root may read
        mount(str(tree / "etc" / "wireguard"), "/etc/wireguard", flags=MS_BIND)
    mount("/run/hosts", "/etc/hosts", flags=MS_BIND)  # the lab's own names
    for own in (Path("/run", state.table_name), *map(Path, private)):
        own.mkdir(exist_ok=True)
        mount("tmpfs", str(own), "tmpfs")


def is_up(state: HostState) -> bool:
    """Say whether this host was brought up before."""
    return state.interfaces[0].name in dict(socket.if_nameindex()).values()


def run(*argv: str, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    """Run a program on this host; LabError with its words if it fails."""
    done = subprocess.run(
        argv, env=ENVIRONMENT | (environment or {}), input=stdin, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def wait_until(so: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something is so; LabError with `what` there is when the time is up."""
    end = time.monotonic() + PATIENCE
    while not so():
        if time.monotonic() > end:
            raise LabError(what())
        time.sleep(0.02)
