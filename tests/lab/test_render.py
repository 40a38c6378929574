"""Hosts that run no warren: real wg-quick brings up what was rendered, and the same promises are kept by packets.

Each host of the lab has an /etc/wireguard and a /run/warren-… of its own. A tunnel that was broken is healed as
people do it: `wg syncconf` with what `wg-quick strip` prints.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.render.golden import example
from tests.lab.enclosed import enclosed
from warren.core.render.subject import state_of
from warren.core.render.wgquick import render_wg_quick
from warren.lab.keys import PLACE
from warren.lab.lab import bring_up
from warren.lab.spaces import LabError, mount
from warren.lab.trial import try_all
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys.tree import keys_at_hand, write_tree

pytestmark = pytest.mark.lab

ENVIRONMENT = os.environ | {"WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}
RELOAD = 'wg syncconf "$1" <(wg-quick strip "$1")'


def by_wg_quick(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what renders a host for wg-quick and has wg-quick bring it up."""

    def work(host: str) -> HostState:
        state = state_of(network, lock, host)
        if state.interfaces[0].name not in dict(socket.if_nameindex()).values():
            furnish(state)
            for interface in state.interfaces:
                run("wg-quick", "up", interface.name)
        else:
            for interface in state.interfaces:
                run("bash", "-c", RELOAD, "bash", interface.name)
        return state

    return work


def furnish(state: HostState) -> None:
    """Write the rendered files where wg-quick looks for them on this host alone."""
    made = render_wg_quick(state)
    assert made.unsaid == ()
    tree = PLACE / state.host / "tree"
    write_tree(made.files, str(tree), keys_at_hand(made.files))
    mount(str(tree / "etc" / "wireguard"), "/etc/wireguard", flags=0x1000)
    own = Path("/run", state.table_name)
    own.mkdir(exist_ok=True)
    mount("tmpfs", str(own), "tmpfs")


def run(*argv: str) -> None:
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr}")


def kept(name: str) -> list[str]:
    """Try all that an example promises, hosts brought up by wg-quick; give what was not kept."""
    lab = bring_up(*example(name), by_wg_quick)
    verdicts = list(try_all(lab))
    assert len(verdicts) == len(lab.network.expects)
    return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]


@pytest.mark.parametrize("name", ["portals", "site-to-site"])
def test_rendered_confs_keep_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name)) == []
