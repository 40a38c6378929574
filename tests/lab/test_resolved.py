"""`dns:` for a host's own programs where systemd-resolved keeps its resolvers: a real one is told them, and is asked.

Its own resolver, that of the provider, is what it goes on with when warren is taken down.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.managers import stand_in, start, start_bus
from tests.lab.renders import run, wait_until
from tests.unpacked import program
from warren.core.load import load
from warren.lab.lab import Lab, bring_up
from warren.lab.lookup import Lookup, look_up
from warren.lab.spaces import mount
from warren.lab.topology import host_space
from warren.lab.works import applier, compiler, memory
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.proto.dns.message import wire_name
from warren.sys.apply import apply, down
from warren.sys.machine import Machine
from warren.sys.store import Store
from warren.sys.tools import tools_here

pytestmark = pytest.mark.lab

FILE = """
network: own
overlay: [10.84.0.0/24]
hosts:
  cloud: {key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=, endpoint: cloud.example.net:51820, uplink: ens3}
  home: {key: u4w1QbNc/ia/uKfYBf6Eno17a8T1JKnbXcjpUZLD5RU=, uplink: wan}
portals:
  - {from: home, exit: cloud, dns: 8.8.8.8}
lab: {place: {cloud: internet}}
"""
RESOLVED, STUB, PROVIDER = "lib/systemd/systemd-resolved", "127.0.0.53", "223.5.5.5"
NEWS = "93.184.216.34"
CONFIG = f"[Resolve]\nDNS={PROVIDER}\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\n"


def by_resolved(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what applies the network, at home where systemd-resolved runs."""
    apply_as_ever, compiled = applier(network, lock), compiler(network, lock)

    def work(host: str) -> HostState:
        if host != "home":
            return apply_as_ever(host)
        machine = Machine(Store(memory(host)))
        desired = compiled(host, machine)
        if not Path("/run/systemd/resolve").exists():
            _start_resolved(desired)
        tools = replace(tools_here(), dns="resolvectl")
        assert not tools.no_dns
        apply(desired, machine, tools=tools, file=network.file)
        return desired

    return work


def _start_resolved(state: HostState) -> None:
    stand_in(state, "systemd-resolve")
    for own in ("/run/dbus", "/run/systemd"):
        Path(own).mkdir(exist_ok=True)
        mount("tmpfs", own, "tmpfs")
    given = Path("/run/systemd/resolved.conf.d/provider.conf")
    given.parent.mkdir()
    given.write_text(CONFIG)
    start_bus(state)
    log = start(state, program(RESOLVED))
    asked = (program("bin/resolvectl"), "dns")
    wait_until(lambda: PROVIDER in subprocess.run(asked, capture_output=True, text=True).stdout, log.read_text)


def _told() -> str:
    """Give whom systemd-resolved asks, as it says itself."""
    return run(program("bin/resolvectl"), "dns")


class Scene:
    def __init__(self) -> None:
        os.environ["PATH"] = f"{Path(program('bin/resolvectl')).parent}:{os.environ['PATH']}"
        loaded = load(FILE.encode(), None, "own.yaml")
        assert loaded.network is not None, loaded.text()
        self.lab: Lab = bring_up(loaded.network, None, by_resolved)
        self.cloud = str(self.lab.world.host_by_name["cloud"].attachment.addresses[0].ip)

    def asked(self, name: str) -> tuple[bool, set[str]]:
        """Ask systemd-resolved, as programs do: whether it answered, and from where the internet was asked."""
        self.lab.zone.addresses[wire_name(name)] = (ip_address(NEWS),)
        lookup = Lookup(host_space("home"), STUB, name)
        look_up([lookup], self.lab.spaces, self.lab.selector, self.lab.wait, 15.0)
        askers = {asker for asker, asked, _ in self.lab.zone.asked if asked == wire_name(name)}
        return bool(lookup.addresses), {"cloud" if asker == self.cloud else "home" for asker in askers}


def _tried(scene: Scene) -> Iterator[tuple[str, object]]:
    yield "up", scene.asked("news-1.example")
    with scene.lab.spaces.inside(host_space("home")):
        yield "told", _told()
        yield "domains", run(program("bin/resolvectl"), "domain")
        down("own", Machine(Store(memory("home"))), tools=replace(tools_here(), dns="resolvectl"))
        yield "told afterwards", _told()
    yield "down", scene.asked("news-2.example")


@pytest.fixture(scope="module")
def seen() -> dict[str, object]:
    return enclosed(lambda: dict(_tried(Scene())))


def test_what_resolved_is_asked_leaves_at_the_exit(seen: dict[str, object]) -> None:
    assert seen["up"] == (True, {"cloud"})
    assert re.search(r"\(own-cloud\): 127\.77\.", str(seen["told"])), seen["told"]
    assert "(own-cloud): ~.\n" in str(seen["domains"])  # every name


def test_taken_down_it_asks_whom_it_asked_before(seen: dict[str, object]) -> None:
    assert f"Global: {PROVIDER}\n" in str(seen["told afterwards"])
    assert seen["down"] == (True, {"home"})
