"""Whole networks brought up by rendered scripts under busybox ash, on hosts that have no warren.

The same promises as with `warren apply` are kept by real packets, with nft and with iptables; `stop` leaves nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from functools import partial

import pytest

from tests.core.render.golden import example
from tests.lab.enclosed import enclosed
from warren.core.render.script import render_sh
from warren.core.render.subject import state_of
from warren.lab.lab import bring_up
from warren.lab.trial import try_all
from warren.lab.works import memory, on_each
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState

pytestmark = pytest.mark.lab

STATE = """
ip -br link; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all
nft -s list ruleset; iptables-save; ip6tables-save
sysctl -a 2>/dev/null | grep -e forwarding -e ip_forward -e rp_filter -e accept_ra
"""
# Asking iptables for a table makes it, with chains that hold nothing.
BARE = re.compile(r"^table ip6? |^\tchain [A-Z]+ \{|\ttype .* hook |^\t\}|^COMMIT")


def ash(host: str, firewall: str, verb: str) -> None:
    """Run a host's script where we are, in an environment that has nothing of ours."""
    folder = memory(host)
    told = {"PATH": os.environ["PATH"], "WARREN_FIREWALL": firewall, "WARREN_STATE": str(folder / "run")}
    argv = ("busybox", "ash", str(folder / "host.sh"), verb)
    done = subprocess.run(argv, env=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{host} {verb}: {done.stdout}{done.stderr}"


def standing(_host: str) -> list[str]:
    """What a host has, without what counts or passes."""
    said = subprocess.run(("sh", "-c", STATE), capture_output=True, text=True, check=False).stdout
    return [line for line in said.splitlines() if line and line[0] not in "#:*}" and not BARE.search(line)]


def only_file(state: HostState) -> str:
    made = render_sh(state)
    assert [one.item for one in made.unsaid if "within five seconds" not in one.item] == []
    (script,) = made.files
    return script.text


def by_script(firewall: str, network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Render a script for a host when it is first brought up, and start it."""

    def work(host: str) -> HostState:
        folder = memory(host)
        script, kept = folder / "host.sh", folder / "before"
        folder.mkdir(parents=True, exist_ok=True)
        state = state_of(network, lock, host)
        if not script.exists():
            kept.write_text("\n".join(standing(host)))
            script.write_text(only_file(state))
        ash(host, firewall, "start")
        return state

    return work


def left_over(firewall: str, host: str) -> list[str]:
    """Stop a host's script and say what is not as it was before."""
    ash(host, firewall, "status")
    ash(host, firewall, "stop")
    before = (memory(host) / "before").read_text().splitlines()
    now = standing(host)
    return [f"- {line}" for line in before if line not in now] + [f"+ {line}" for line in now if line not in before]


def trial(name: str, firewall: str, faults: bool) -> tuple[int, list[str]]:
    """Bring an example up by scripts; give how many promises were tried, and what fell short or was left over."""
    lab = bring_up(*example(name), partial(by_script, firewall))
    verdicts = list(try_all(lab, [one for one in lab.network.expects if faults or not one.down]))
    broken = [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]
    left = on_each(lab.spaces, [host.name for host in lab.network.hosts], partial(left_over, firewall))
    return len(verdicts), broken + [f"{host}: {line}" for host, lines in left.items() for line in lines]


@pytest.mark.parametrize(
    ("name", "firewall", "faults"),
    [
        ("portals", "nft", False),  # its faults are those of the mesh
        ("portals", "iptables", False),
        ("full-exit-mesh", "nft", False),
        ("full-exit-mesh", "iptables", True),
        ("ipv6-land", "nft", True),  # with a program that runs
        ("overlap", "iptables", False),
        ("hotspot", "nft", False),  # with bridges and LANs of its own
    ],
)
def test_scripts_keep_the_promises_and_leave_nothing(name: str, firewall: str, faults: bool) -> None:
    count, wrong = enclosed(partial(trial, name, firewall, faults))

    assert wrong == []
    assert count >= 8
