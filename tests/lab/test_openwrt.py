"""Networks of OpenWrt routers: what is rendered is put in by the router's own script under ash, and carries packets.

uci is a second reader (tests/core/render/uci.py), netifd and fw4 are what their documentation says (netifd.py). The
router has two zones as every OpenWrt does, lan and wan, and refuses what nothing opens.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.core.render import uci
from tests.core.render.golden import example
from tests.core.render.uci import export, parse
from tests.lab import netifd
from tests.lab.enclosed import enclosed
from warren.core.render.openwrt import render_openwrt
from warren.core.render.subject import state_of
from warren.lab.lab import bring_up
from warren.lab.trial import try_all
from warren.lab.works import memory, on_each
from warren.model.host import Host
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.state import HostState

pytestmark = pytest.mark.lab

PLACES = (
    "/etc/warren",
    "/etc/sysctl.d",
    "/etc/crontabs",
    "/etc/init.d",
    "/usr/bin/warren",
    "/sbin/ifup",
    "/etc/hotplug.d",
)
UNSAID = ("within five seconds",)


def router_of(host: Host, serves: bool) -> dict[str, uci.Package]:
    """The configuration that a router has before it hears of the network."""
    network = {"loopback": uci.Section("interface", {"proto": "static", "device": "lo"})}
    network |= {
        lan.name.replace("-", "_"): uci.Section("interface", {"proto": "static", "device": lan.name})
        for lan in host.lans
    }
    network["wan"] = uci.Section("interface", {"proto": "static", "device": host.uplink})
    lan, wan = [lan.name.replace("-", "_") for lan in host.lans], ["wan"]
    opened: dict[str, str | list[str]] = {"name": "lan", "network": lan, "input": "ACCEPT", "forward": "ACCEPT"}
    closed: dict[str, str | list[str]] = {"name": "wan", "network": wan}
    if serves:
        closed["input"] = "ACCEPT"
    firewall = {"lan": uci.Section("zone", opened), "wan": uci.Section("zone", closed)}
    firewall["out"] = uci.Section("forwarding", {"src": "lan", "dest": "wan"})
    if not lan:
        del firewall["lan"], firewall["out"]
    return {"network": network, "firewall": firewall, "dhcp": {}}


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def furnish(root: Path, host: Host, serves: bool, state: HostState) -> None:
    """Make a router's root with its configuration and programs, and copy what was rendered onto it."""
    for name, package in router_of(host, serves).items():
        (root / "etc/config").mkdir(parents=True, exist_ok=True)
        (root / "etc/config" / name).write_text(export(package))
    lans, wan = " ".join(lan.name for lan in host.lans) or "-", host.uplink
    program(root / "sbin/uci", f'exec {sys.executable} {uci.__file__} {root}/etc/config "$@"')
    zone = f'case "$3" in {wan}) echo wan ;; {lans.replace(" ", " | ")}) echo lan ;; *) exit 1 ;; esac'
    program(root / "sbin/fw4", zone)
    program(root / "sbin/ifup", ":")
    for name in ("network", "firewall", "odhcpd", "cron"):
        program(root / "etc/init.d" / name, f"echo {name} >>{root}/reloads")
    (root / "etc/crontabs").mkdir()
    made = render_openwrt(state)
    assert all(any(word in one.item for word in UNSAID) for one in made.unsaid)
    for file in made.files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = file.text
        if file.path.startswith("usr/bin/"):
            for place in PLACES:
                text = text.replace(place, f"{root}{place}")
        path.write_text(text)


def ask(root: Path, owner: str, verb: str) -> None:
    """Run the router's script, and then do what the services that it called do."""
    told = os.environ | {"PATH": f"{root}/sbin:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = ("busybox", "ash", str(root / f"usr/bin/warren-{owner}"), verb)
    done = subprocess.run(argv, env=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    config = {name: parse((root / "etc/config" / name).read_text()) for name in ("network", "firewall", "dhcp")}
    devices: dict[str, str] = {}
    for service in (root / "reloads").read_text().split():
        if service == "network":
            devices = netifd.network(config["network"])
        if service in ("network", "firewall"):  # fw4 is told of each interface that comes up
            netifd.firewall(config["firewall"], devices, root)
        if service == "odhcpd":
            netifd.advertise(config["dhcp"], devices, root)
    (root / "reloads").unlink()
    for file in (root / "etc/sysctl.d").iterdir():
        netifd.settings(file)


def by_uci(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what puts a host's files in, or in again."""

    def work(name: str) -> HostState:
        state, root = state_of(network, lock, name), memory(name) / "root"
        if not root.exists():
            asked = (one.target.place for one in network.expects if one.source_place.kind is PlaceKind.INTERNET)
            serves = any(place is not None and place.kind is PlaceKind.HOST and place.host == name for place in asked)
            furnish(root, network.by_name[name], serves, state)
        ask(root, network.name, "install")
        return state

    return work


def kept(name: str, faults: bool) -> list[str]:
    lab = bring_up(*example(name), by_uci)
    expects = [one for one in lab.network.expects if faults or not one.down]
    verdicts = list(try_all(lab, expects))
    assert len(verdicts) == len(expects) >= 8
    owners = on_each(lab.spaces, [host.name for host in lab.network.hosts], sections_left)
    left = [f"{host}: {section}" for host, sections in owners.items() for section in sections]
    return [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in verdicts if not one.holds] + left


def sections_left(host: str) -> list[str]:
    """Nothing of the network is in the configuration of a router that was told to forget it."""
    root = memory(host) / "root"
    owner = next((root / "usr/bin").iterdir()).name.removeprefix("warren-")
    ours = f"warren_{owner}__".replace("-", "_")
    told = os.environ | {"PATH": f"{root}/sbin:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = ("busybox", "ash", str(root / f"usr/bin/warren-{owner}"), "remove")
    subprocess.run(argv, env=told, capture_output=True, timeout=60, check=True)
    return [
        name
        for package in ("network", "firewall", "dhcp")
        for name in parse((root / "etc/config" / package).read_text())
        if name.startswith((ours, "w_"))
    ]


@pytest.mark.parametrize(("name", "faults"), [("portals", False), ("ipv6-land", True), ("own-traffic", True)])
def test_routers_of_openwrt_keep_the_promises(name: str, faults: bool) -> None:
    assert enclosed(partial(kept, name, faults)) == []
