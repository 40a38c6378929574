"""What is published, with real packets: two gateways for a house, two houses behind one gateway, portals beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.test_examples import warren

pytestmark = pytest.mark.lab

# home has the address of two clouds, a LAN whose ordinary traffic leaves by one of them, and own traffic that does
# too; the cabin shares the first cloud. Every answer has to find the cloud that its question came by.
HOUSES = """
network: houses
overlay: [10.80.0.0/24, "fd80::/64"]
hosts:
  east: {endpoint: 198.51.100.7:51820, uplink: ens3}
  west: {endpoint: gate.example.net:51820, uplink: eth0}
  home: {uplink: wan, lans: {br0: {address: [192.168.16.1/24, "fd16::1/64"]}}}
  cabin: {uplink: wan, lans: {br0: {address: [192.168.17.1/24, "fd17::1/64"]}}}
hub: east
portals:
  - {from: home.br0, exit: west}
  - {from: home, exit: west}
publish:
  - {at: east, to: home, ports: [tcp/80, udp/53, icmp]}
  - {at: east, to: home.192.168.16.20, ports: [tcp/25565, udp/8000-8100→9000-9100]}
  - {at: east, to: "home.fd16::20", ports: [tcp/25565]}
  - {at: east, to: cabin, ports: [tcp/8000-8100, tcp/2222→22]}
  - {at: east, to: cabin.192.168.17.20, ports: [tcp/8443→443, udp/8443→443], source: snat}
  - {at: west, to: home, ports: all, except: [tcp/9000]}
  - {at: west, to: home.192.168.16.20, ports: [tcp/25565]}
expect:
  - {from: internet, to: east tcp/80, arrives: home, source: kept, path: [east, home]}
  - {from: internet, to: west tcp/80, arrives: home, source: kept, path: [west, home]}
  - {from: internet, to: east udp/53, arrives: home, source: kept}
  - {from: internet, to: west udp/53, arrives: home, source: kept}
  - {from: internet, to: west udp/443, arrives: home, source: kept}
  - {from: internet, to: east tcp/25565, arrives: home.192.168.16.20, source: kept}
  - {from: internet, to: west tcp/25565, arrives: home.192.168.16.20, source: kept}
  - {from: internet, to: east tcp/25565, arrives: "home.fd16::20", source: kept}
  - {from: internet, to: east udp/8007, arrives: home.192.168.16.20, source: kept, family: ipv4}
  - {from: internet, to: east tcp/8007, arrives: cabin, source: kept}
  - {from: internet, to: east tcp/2222, arrives: cabin, source: kept}
  - {from: internet, to: east tcp/8443, arrives: cabin.192.168.17.20, source: east}
  - {from: internet, to: east udp/8443, arrives: cabin.192.168.17.20, source: east}
  - {from: internet, to: east tcp/22, arrives: east}
  - {from: internet, to: west tcp/22, arrives: west}
  - {from: internet, to: west tcp/9000, arrives: west}
  - {from: internet, to: east udp/7000, arrives: east}
  - {from: home.br0, to: 1.1.1.1, exit: west}
  - {from: home, to: 1.1.1.1, exit: west}
  - {from: home.br0, to: 198.51.100.7 tcp/25565, arrives: home.192.168.16.20, path: [home]}
  - {from: home.br0, to: gate.example.net tcp/25565, arrives: home.192.168.16.20, path: [home]}
  - {from: cabin.br0, to: 198.51.100.7 tcp/25565, arrives: home.192.168.16.20}
  - {from: cabin.br0, to: home.br0, arrives: true}
  - {from: internet, to: west tcp/80, arrives: home, when: {down: [east]}}
  - {from: internet, to: east tcp/80, blocked: true, when: {down: [home]}}
lab:
  nats:
    cgnat: {mapping: address-and-port-dependent, filtering: address-and-port-dependent}
    box: {mapping: endpoint-independent, filtering: address-and-port-dependent}
  place: {home: [cgnat, box]}
"""

# A machine with an address that the gateway delegates: nothing is translated, the gateway's own ports stay its own.
ROUTED = """
network: land
overlay: [10.81.0.0/24, "fd81::/64"]
hosts:
  r2: {endpoint: 198.51.100.7:51820, uplink: ens3}
  r1: {uplink: wan, lans: {br-lan: {address: 192.168.16.1/24}}}
delegate:
  - {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}
publish:
  - {at: r2, to: "r1.2001:db8:77:100::20", ports: [tcp/80, udp/53]}
  - {at: r2, to: "r1.2001:db8:77:100::21", ports: all, except: [tcp/25]}
expect:
  - {from: internet, to: "r1.2001:db8:77:100::20 tcp/80", arrives: "r1.2001:db8:77:100::20", source: kept}
  - {from: internet, to: "r1.2001:db8:77:100::20 udp/53", arrives: "r1.2001:db8:77:100::20", source: kept}
  - {from: internet, to: "r1.2001:db8:77:100::20 tcp/81", blocked: true, family: ipv6}
  - {from: internet, to: "r1.2001:db8:77:100::21", arrives: "r1.2001:db8:77:100::21", source: kept}
  - {from: internet, to: "r1.2001:db8:77:100::21 tcp/25", blocked: true, family: ipv6}
  - {from: internet, to: r2 tcp/80, arrives: r2}
  - {from: "r1.2001:db8:77:100::20", to: "2001:db8:ffff::80", exit: r2, source: kept}
"""


@pytest.mark.parametrize("text", [HOUSES, ROUTED], ids=["houses", "routed"])
def test_what_is_published_arrives_and_nothing_else(text: str, tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    file.write_text(text)

    done = warren("lab", "test", str(file), "--json")

    told = json.loads(done.stdout)
    wrong = [(line["claim"], line["observed"], line["says"]) for line in told["expectations"] if not line["holds"]]
    assert wrong == []
    assert done.returncode == 0 and told["ok"]
