"""Devices with real packets: what passes through a tunnel in a tunnel, and what no device gets that tries.

The examples prove the rest of it: tests/lab/test_examples.py brings the same devices up by real wg-quick.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.nested import BULK, MTU, Facts, lab_of, measure, send_fragments
from tests.lab.test_examples import warren
from tests.lab.wires import Wires
from warren.lab.spaces import LabError

pytestmark = pytest.mark.lab

WAYS = ("ipv4 phone", "ipv4 house", "ipv6 phone", "ipv6 house")


def test_full_packets_pass_both_layers_and_none_is_cut() -> None:
    def tried() -> tuple[Facts, int]:
        lab = lab_of("nested")
        wires = Wires(lab)
        facts = measure(lab, wires)
        send_fragments(lab, "device.phone", "198.51.100.200")
        return facts, wires.look().total()

    facts, seen_when_there_are_some = enclosed(tried)

    assert facts.carried == dict.fromkeys(WAYS, BULK)
    assert facts.largest == dict.fromkeys(WAYS, MTU)
    assert facts.refused == dict.fromkeys(WAYS, "EMSGSIZE")
    assert facts.cut == {}
    assert facts.seen["device.phone eth0"] > 1000 and facts.seen["host.cloud nested"] > 1000, "both layers were watched"
    assert seen_when_there_are_some > 0


def test_a_device_that_helps_itself_to_more_is_refused() -> None:
    """Its owner may write into the app what he likes: any allowed IPs, any route, another source."""

    def tried() -> dict[str, str]:
        lab = lab_of("nested")
        key = lab.network.by_name["home"].key
        run = lab.spaces.run
        uplink = str(lab.world.host_by_name["home"].attachment.addresses[0].ip)
        run("device.phone", ("wg", "set", "nested", "peer", key, "allowed-ips", "0.0.0.0/0,::/0"))
        run("device.phone", ("ip", "address", "add", "10.60.0.4/32", "dev", "nested"))  # the laptop's
        for to in ("1.1.1.1", uplink):
            run("device.phone", ("ip", "route", "replace", to, "dev", "nested"))
        said = {}
        for name, words in {
            "the internet": ("1.1.1.1",),
            "a LAN out of its reach": ("192.168.17.100",),
            "its router": ("192.168.17.1",),
            "the host by its uplink's address": (uplink,),
            "the host by its tunnel address": ("10.60.0.2",),
            "as the laptop": ("-I", "10.60.0.4", "192.168.16.100"),
            "what it may": ("192.168.16.100",),
        }.items():
            try:
                run("device.phone", ("ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", *words))
                said[name] = "answered"
            except LabError as error:
                said[name] = "refused" if "filtered" in error.says else "lost"
        return said

    assert enclosed(tried) == {
        "the internet": "refused",
        "a LAN out of its reach": "refused",
        "its router": "refused",
        "the host by its uplink's address": "refused",
        "the host by its tunnel address": "refused",
        "as the laptop": "lost",
        "what it may": "answered",
    }


PUBLISHED = """\
network: pub
overlay: [10.60.0.0/24, "fd60::/64"]
hosts:
  cloud: {endpoint: "198.51.100.7:51820", uplink: ens3}
  home: {uplink: wan, lans: {br0: {address: 192.168.16.1/24}}}
devices:
  phone: {into: home, reach: home}
  laptop: {into: home, full_tunnel: true}
  tablet: {into: cloud, full_tunnel: true}
publish:
  - {at: cloud, to: phone, ports: tcp/8081, source: snat}
  - {at: cloud, to: laptop, ports: tcp/8082}
  - {at: cloud, to: tablet, ports: [tcp/8083, udp/8083]}
expect:
  - {from: internet, to: cloud tcp/8081, arrives: phone, source: cloud}
  - {from: internet, to: cloud tcp/8082, arrives: laptop, source: kept}
  - {from: internet, to: cloud tcp/8083, arrives: tablet, source: kept}
  - {from: internet, to: cloud udp/8083, arrives: tablet, source: kept}
  - {from: tablet, to: 1.1.1.1, exit: cloud}
  - {from: tablet, to: "2606:4700::1", exit: cloud}
"""


# Two gateways and what they publish, portals of a LAN and of its router, a mapped LAN, devices at three doors.
TWO_GATEWAYS = """\
network: two
overlay: [10.60.0.0/24, "fd60::/64"]
hosts:
  cloud: {endpoint: "198.51.100.7:51820", uplink: ens3}
  edge: {endpoint: "203.0.113.9:51820", uplink: eth0}
  home:
    uplink: wan
    lans:
      br0: {address: [192.168.16.1/24, "fd16::1/64"]}
      lab0: {address: [192.168.18.1/24, "fd18::1/64"], map: auto}
devices:
  phone: {into: home, via: cloud, reach: home.br0}
  tablet: {into: home, via: edge, reach: [home.lab0, phone], full_tunnel: true, dns: 192.168.16.1}
  watch: {into: edge, reach: [home.br0, tablet]}
portals:
  - {from: home, exit: edge}
  - {from: home.br0, exit: cloud}
publish:
  - {at: cloud, to: home, ports: all}
  - {at: edge, to: home, ports: [tcp/80, udp/1024-65000], except: [udp/51820]}
expect:
  - {from: phone, to: home.br0, arrives: true, source: kept, mtu: 1380}
  - {from: tablet, to: home.lab0, arrives: true, source: kept, mtu: 1380}
  - {from: tablet, to: home.br0, blocked: true}
  - {from: tablet, to: phone, arrives: true, source: kept}
  - {from: tablet, to: 1.1.1.1, exit: home}
  - {from: watch, to: home.br0, arrives: true, source: kept, path: [edge, home]}
  - {from: watch, to: tablet, arrives: true, source: kept}
  - {from: home, to: 1.1.1.1, exit: edge}
  - {from: home.br0, to: 1.1.1.1, exit: cloud}
  - {from: home.lab0, to: 1.1.1.1, exit: home}
  - {from: home.lab0, to: phone, arrives: true}
  - {from: home.br0, to: tablet, arrives: true, source: kept}
  - {from: internet, to: cloud tcp/80, arrives: home, source: kept}
  - {from: internet, to: edge tcp/80, arrives: home, source: kept}
  - {from: internet, to: cloud, arrives: home, source: kept}
  - {from: phone, to: home.br0, blocked: true, when: {down: [cloud]}}
  - {from: tablet, to: home.lab0, arrives: true, when: {down: [cloud]}}
"""


@pytest.mark.parametrize("text", [PUBLISHED, TWO_GATEWAYS], ids=["published", "two-gateways"])
def test_devices_beside_everything_else(text: str, tmp_path: Path) -> None:
    """A port of a gateway may lead to a device; each device's tunnel answers by the gateway that it dials."""
    file = tmp_path / "network.yaml"
    file.write_text(text)

    done = warren("lab", "test", str(file), "--json")

    told = json.loads(done.stdout)
    assert [line["says"] for line in told["expectations"] if not line["holds"]] == []
    assert told["ok"] and len(told["expectations"]) >= 6
