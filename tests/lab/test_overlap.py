"""Mapped LANs among all else that a network does, with real packets: portals of every kind, publishes, a device, a hub.

home   192.168.1.0/24 = 10.99.1.0/24 ─┐                    ┌─ cloud (hub)
other  192.168.1.0/24 = by the lock ──┴── NATs ─ internet ─┴─ two
plain  192.168.1.0/24, no map ─────────────────────────────── (announced to nobody)
"""

from __future__ import annotations

import pytest

from tests.core.compile.networks import key
from tests.lab.enclosed import enclosed
from warren.core.load import load
from warren.lab.lab import Lab, bring_up
from warren.lab.topology import host_space
from warren.lab.trial import try_all

pytestmark = pytest.mark.lab

NETWORK = """
network: maps
overlay: [10.44.0.0/24, "fd44:44::/64"]
hub: cloud
hosts:
  cloud: {endpoint: "198.51.100.7:51820", uplink: ens3}
  two: {endpoint: "203.0.113.9:51820", uplink: ens3}
  home:
    uplink: wan
    lans:
      br0: {address: [192.168.1.1/24, "fd00:1::1/64"], map: [10.99.1.0/24, "fd99:1::/64"]}
      br1: {address: 192.168.7.1/24, closed: true}
  other:
    uplink: wan
    lans:
      br0: {address: [192.168.1.1/24, "fd00:1::1/64"], map: auto}
  plain:
    uplink: wan
    lans:
      br0: {address: 192.168.1.1/24}
devices:
  phone: {into: home, via: cloud, reach: [home.br0, other.192.168.1.0/24]}
publish:
  - {at: cloud, to: home.192.168.1.20, ports: [tcp/25565, udp/25565]}
  - {at: cloud, to: "home.fd00:1::20", ports: [tcp/25565]}
  - {at: two, to: home.192.168.1.20, ports: [tcp/25565, tcp/8080→80]}
  - {at: two, to: other.192.168.1.20, ports: [tcp/443], source: snat}
portals:
  - {from: home.br0, exit: two, except: [9.9.9.9]}
  - {from: other.192.168.1.64/26, exit: two, via: cloud, family: ipv4}
  - {from: other.br0.02:00:5e:00:00:32, exit: two, nat: snat}
  - {from: plain.br0, exit: two, family: ipv4}
expect:
  - {from: home.br0, to: other.br0, arrives: true, source: kept, path: [home, cloud, other]}
  - {from: other.br0, to: home.br0, arrives: true, source: kept, path: [other, cloud, home]}
  - {from: other.192.168.1.64/26, to: home.br0, arrives: true, source: kept, family: ipv4}
  - {from: other.br0.02:00:5e:00:00:32, to: home.br0, arrives: true, source: kept}
  - {from: home.br1, to: other.br0, arrives: true, source: home, family: ipv4}
  - {from: plain.br0, to: home.br0, arrives: true, source: plain, family: ipv4}
  - {from: home.br0, to: plain, arrives: true, source: kept}
  - {from: home.br0, to: 1.1.1.1, exit: two}
  - {from: home.br0, to: 9.9.9.9, exit: home}
  - {from: other.192.168.1.64/26, to: 1.1.1.1, exit: two, path: [other, cloud, two]}
  - {from: other.br0.02:00:5e:00:00:32, to: 1.1.1.1, exit: two}
  - {from: other.br0, to: 1.1.1.1, exit: other}
  - {from: plain.br0, to: 1.1.1.1, exit: two}
  - {from: internet, to: cloud tcp/25565, arrives: home.192.168.1.20, source: kept}
  - {from: internet, to: cloud tcp/25565, arrives: "home.fd00:1::20", source: kept}
  - {from: internet, to: cloud udp/25565, arrives: home.192.168.1.20, source: kept}
  - {from: internet, to: two tcp/25565, arrives: home.192.168.1.20, source: kept}
  - {from: internet, to: two tcp/8080, arrives: home.192.168.1.20, source: kept, family: ipv4}
  - {from: internet, to: two tcp/443, arrives: other.192.168.1.20, source: two, family: ipv4}
  - {from: home.br1, to: 198.51.100.7 tcp/25565, arrives: home.192.168.1.20}
  - {from: phone, to: home.192.168.1.20, arrives: true, source: kept}
  - {from: phone, to: other.br0, family: ipv4, arrives: true, source: kept}
  - {from: phone, to: other.br0, family: ipv6, blocked: true}
  - {from: phone, to: home.br1, blocked: true}
  - {from: other.br0, to: phone, arrives: true, source: kept, family: ipv4}
  - {from: home.br0, to: 1.1.1.1, blocked: true, when: {down: [two]}}
  - {from: home.br0, to: other.br0, arrives: true, source: kept, when: {down: [two]}}
"""


def tried() -> tuple[list[str], str, str]:
    """Try all of it; then have a host that should not send to a LAN's own prefix by its tunnel."""
    loaded = load(NETWORK.encode(), None, "maps.yaml", key)
    assert loaded.network is not None, loaded.text()
    lab = bring_up(loaded.network, loaded.lock)
    wrong = [f"{one.expect}: {one.shortfall} {one.disagreement}" for one in try_all(lab) if not one.holds]
    return wrong, ping_by_tunnel(lab, "10.99.1.100"), ping_by_tunnel(lab, "192.168.1.100")


def ping_by_tunnel(lab: Lab, address: str) -> str:
    """Let `two` think that home's own prefix lies behind its tunnel, and ping; gives what ping says."""
    home = next(host for host in lab.network.hosts if host.name == "home")
    script = f"""
        held=$(wg show maps allowed-ips | grep "^{home.key}" | cut -f2 | tr ' ' ,)
        wg set maps peer {home.key} allowed-ips "$held,192.168.1.0/24"
        ip route replace 192.168.1.0/24 dev maps table 7700
        ping -c2 -i0.3 -W2 {address} || true
    """
    return lab.spaces.run(host_space("two"), ("sh", "-c", script))


def test_maps_go_with_everything_else_and_let_nothing_past_them() -> None:
    wrong, mapped, past = enclosed(tried)

    assert wrong == []
    assert "2 received" in mapped
    assert "0 received" in past and "Packet filtered" in past
