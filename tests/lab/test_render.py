"""Hosts that run no warren: wg-quick, or systemd-networkd, brings up what was rendered, and packets keep the promises.

    by wg-quick   the real program; a tunnel that was broken is healed by `wg syncconf`, as people do it
    by networkd   a real systemd-networkd for each host gives addresses, routes and rules; the devices of its .netdev
                  files are made by wireguard-go from these very files, where the kernel has no WireGuard
                  (tests/vm/test_networkd.py has networkd make them itself)

The rendered tree lies over each host's /etc.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.render.golden import example
from tests.core.render.units import as_wg_conf
from tests.lab.enclosed import enclosed
from warren.core.render.networkd_rules import translated
from warren.core.render.subject import state_of
from warren.core.render.targets import renderer
from warren.lab.keys import PLACE
from warren.lab.lab import bring_up
from warren.lab.spaces import MS_BIND, LabError, mount
from warren.lab.trial import try_all
from warren.lab.works import Works
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys.tree import keys_at_hand, write_tree

pytestmark = pytest.mark.lab

ENVIRONMENT = os.environ | {"WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}
RELOAD = 'wg syncconf "$1" <(wg-quick strip "$1")'
NETWORKD = "/lib/systemd/systemd-networkd"
MS_RDONLY = 1
SOMEBODYS = "203.0.113.253"  # an address on lo that is not ours
COMPLAINT = re.compile(r"0-warren-.*:\d+: |[Uu]nknown|[Cc]ould not")  # networkd names file and line
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


def by_networkd(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what renders a host for systemd-networkd and starts one there."""

    def work(host: str) -> HostState:
        state = state_of(network, lock, host)
        if is_up(state):
            set_devices(state)
            return state
        furnish(state, "networkd")
        run("nft", "-f", f"/etc/{state.table_name}/firewall.nft")
        run("/lib/systemd/systemd-sysctl", f"/etc/sysctl.d/70-{state.table_name}.conf")  # what is there by now
        for interface in state.interfaces:
            # networkd would not touch a device of its own that is of another kind.
            netdev(state.host, interface.name).write_text(
                take(f"/etc/systemd/network/70-warren-{interface.name}.netdev")
            )
            run("wireguard-go", interface.name)
        set_devices(state)
        run("/lib/systemd/systemd-sysctl", f"/etc/sysctl.d/70-{state.table_name}.conf")  # as udev does, for the new
        start_networkd(state)
        return state

    return work


def furnish(state: HostState, target: str) -> None:
    """Lay the rendered tree over this host's /etc, and give it a /run/… of its own for what it has to remember."""
    made = renderer(target)(state)
    tree = PLACE / state.host / "tree"
    write_tree(made.files, str(tree), keys_at_hand(made.files))
    work = PLACE / state.host / "work"
    work.mkdir()
    mount("overlay", "/etc", "overlay", data=f"lowerdir=/etc,upperdir={tree / 'etc'},workdir={work}")
    mount("/run/hosts", "/etc/hosts", flags=MS_BIND)  # the lab's own names
    for own in (Path("/run", state.table_name), Path("/run/systemd")):
        own.mkdir(exist_ok=True)
        mount("tmpfs", str(own), "tmpfs")


def is_up(state: HostState) -> bool:
    return state.interfaces[0].name in dict(socket.if_nameindex()).values()


def netdev(host: str, device: str) -> Path:
    return PLACE / host / f"{device}.netdev"


def take(path: str) -> str:
    """Read a file and remove it."""
    text = Path(path).read_text()
    Path(path).unlink()
    return text


def set_devices(state: HostState) -> None:
    """Do what networkd does with its .netdev files, for devices that the kernel cannot make."""
    for interface in state.interfaces:
        run(
            "wg",
            "syncconf",
            interface.name,
            "/dev/stdin",
            stdin=as_wg_conf(netdev(state.host, interface.name).read_text()),
        )
        run("ip", "link", "set", "dev", interface.name, "mtu", str(interface.mtu), "up")


def start_networkd(state: HostState) -> None:
    """Start systemd-networkd and wait until the kernel has all that the files say.

    It gives its privileges up to a user of its own; here that is the one there is. A /sys that cannot be written tells
    it that no udev is coming.
    """
    passwd = PLACE / state.host / "passwd"
    passwd.write_text("root:x:0:0::/:/bin/sh\nsystemd-network:x:0:0::/:/bin/sh\n")
    mount(str(passwd), "/etc/passwd", flags=MS_BIND)
    mount("sysfs", "/sys", "sysfs", flags=MS_RDONLY)
    for name in ("links", "leases"):
        Path("/run/systemd/netif", name).mkdir(parents=True)
    run("ip", "address", "add", f"{SOMEBODYS}/32", "dev", "lo")
    log = PLACE / state.host / "networkd.log"
    with log.open("w") as file:
        subprocess.Popen((NETWORKD,), stdout=file, stderr=file, start_new_session=True)
    ours = {route.table for route in state.routes}
    rules = sum(len(said) for _, said in translated(state.rules))
    end = time.monotonic() + PATIENCE
    while (found := (len(rules_there()), len(routes_there(ours)))) != (rules, len(state.routes)):
        if time.monotonic() > end:
            raise LabError(f"{found} of {rules} rules and {len(state.routes)} routes: {log.read_text()}")
        time.sleep(0.02)
    complaints = [line for line in log.read_text().splitlines() if COMPLAINT.search(line)]
    if SOMEBODYS not in run("ip", "address", "show", "dev", "lo"):
        complaints.append("an address that somebody gave lo is gone")
    if complaints:
        raise LabError("\n".join(complaints))


def rules_there() -> list[str]:
    both = run("ip", "-4", "rule") + run("ip", "-6", "rule")
    return [line for line in both.splitlines() if 7700 <= int(line.partition(":")[0]) < 7800]


def routes_there(tables: set[int]) -> list[str]:
    both = run("ip", "-4", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all")
    return [line for line in both.splitlines() if any(f" table {table} " in line for table in tables)]


def run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, env=ENVIRONMENT, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


def kept(name: str, works: Works) -> list[str]:
    """Try all that an example promises, its hosts brought up by `works`; give what was not kept."""
    lab = bring_up(*example(name), works)
    verdicts = list(try_all(lab))
    assert len(verdicts) == len(lab.network.expects)
    return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds]


@pytest.mark.parametrize("name", ["portals", "site-to-site", "gateway"])
def test_what_wg_quick_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_wg_quick)) == []


@pytest.mark.parametrize("name", ["portals"])
def test_what_networkd_brings_up_keeps_the_promises(name: str) -> None:
    assert enclosed(lambda: kept(name, by_networkd)) == []
