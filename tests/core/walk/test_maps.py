"""Who calls a machine of a mapped LAN what: its own site by its own address, everybody else by the mapped one."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tests.core.compile.networks import key
from warren.core.load import load
from warren.core.walk import Walker, probes_of
from warren.core.walk.places import names_of
from warren.core.walk.stage import stage
from warren.model.prefix import Family
from warren.model.trace import Translated

NETWORK = """
network: maps
overlay: [10.44.0.0/24]
hub: cloud
hosts:
  cloud: {endpoint: "198.51.100.7:51820", uplink: ens3}
  home: {uplink: wan, lans: {br0: {address: 192.168.1.1/24, map: 10.99.1.0/24}, br1: {address: 192.168.7.1/24}}}
  other: {uplink: wan, lans: {br0: {address: 192.168.1.1/24, map: 10.99.2.0/24}}}
devices:
  phone: {into: home, via: cloud, reach: [home.br0]}
expect:
"""


@pytest.mark.parametrize(
    ("source", "called", "comes_as"),
    [
        ("other.192.168.1.51", "10.99.1.51", "10.99.2.51"),
        ("cloud", "10.99.1.51", "10.44.0.1"),
        ("home.br1", "192.168.1.51", "192.168.7.100"),
        ("home", "192.168.1.51", "192.168.1.1"),
        ("phone", "10.99.1.51", "10.44.0.4"),  # though its tunnel ends at home
    ],
)
def test_a_machine_is_called_by_where_one_stands(source: str, called: str, comes_as: str) -> None:
    text = NETWORK + f"  - {{from: {source}, to: home.192.168.1.51, arrives: true}}\n"
    loaded = load(text.encode(), None, "maps.yaml", key)
    assert loaded.network is not None and loaded.lock is not None, loaded.text()
    scene = stage(loaded.network, loaded.lock)
    (expect,) = loaded.network.expects
    ((family, probe),) = probes_of(scene.world, loaded.lock, expect)
    trace = Walker(scene).walk(probe)

    assert probe.destination == ip_address(called)
    assert trace.arrived and trace.reply is not None and trace.reply.arrived
    assert trace.header.destination == ip_address("192.168.1.51")
    assert trace.header.source == ip_address(comes_as)
    translated = [step.what for hop in trace.hops for step in hop.steps if isinstance(step, Translated)]
    assert ("destination" in translated) is (called != "192.168.1.51")
    ends = names_of(scene.world, expect.source_place, expect.target, family)
    assert (str(ends[-1][1]), str(ends[-1][2])) == ("192.168.1.51", "10.99.1.51")
    assert family is Family.IPV4
