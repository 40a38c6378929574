"""Compiled states as text: tests/golden/compile/CASE.HOST.txt.

`UPDATE_GOLDEN=1 pytest tests/core/compile/test_golden.py` writes the texts anew, for a diff to be read.
"""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal, portals_network
from tests.core.compile.text import state_text
from tests.core.render.golden import example
from warren.core.compile import compile_host
from warren.core.world import place_world, surroundings_of
from warren.model.delegate import Delegate
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Nat
from warren.model.prefix import FAMILIES, Family
from warren.model.publish import PortRange, Publish, SourceKept
from warren.model.state import Backend, Route, Rule
from warren.model.surroundings import Surroundings

GOLDEN = Path(__file__).parents[2] / "golden" / "compile"


def around(network: Network, name: str) -> Surroundings:
    """What observe would say of a host in the lab."""
    return surroundings_of(place_world(network, lock_of(network)), network, name, Backend.USERSPACE)


def hub_network() -> Network:
    """Two hosts that cannot dial each other, and a portal from one to the other."""
    hosts = (
        host(
            "hub",
            "198.51.100.7",
            lan("eth1", "192.168.7.1/24", "fd07::1/64"),
            lan("eth2", "192.168.8.1/24", closed=True),
        ),
        host("a", "", lan("eth1", "192.168.31.1/24", "fd31::1/64", closed=True)),
        host("b", "", lan("eth1", "192.168.32.1/24", "fd32::1/64"), firewall="docker"),
    )
    return Network("hubnet", OVERLAY, hosts, hub="hub", portals=(portal("a.eth1", "b", nat=Nat.SNAT),))


def narrow_network() -> Network:
    """IPv4 alone; portals of nested prefixes with an exception; one host is a one-armed router."""
    hosts = (
        host("x", "", lan("eth0", "192.168.7.2/24")),
        host("y", "198.51.100.8", mtu=1380, psk=(("z", "/etc/warren/z.psk"),)),
        host("z", "z.example.net"),
    )
    portals = (
        portal("x.eth0=192.168.7.0/25", "y", exceptions=(ip_network("203.0.113.0/24"),)),
        portal("x.eth0=192.168.7.64/28", "z"),
        portal("x", "z", families=(Family.IPV4,)),
    )
    return Network("narrow", OVERLAY[:1], hosts, portals=portals)


def land_network() -> Network:
    """Two prefixes delegated to one host's LANs: one is routed to r2, the other is r3's own link's."""
    hosts = (
        host("r1", "", lan("br-lan", "192.168.1.1/24"), lan("guests", "192.168.2.1/24", "fd11:2::1/64")),
        host("r2", "198.51.100.7"),
        host("r3", "198.51.100.8"),
    )
    routed = Delegate("r2", "r1", ("br-lan", "guests"), ip_network("2001:db8:77:100::/56"))
    on_link = Delegate("r3", "r1", ("guests",), ip_network("2001:db8:5::/64"), proxy=True)
    return Network("land", OVERLAY, hosts, delegates=(routed, on_link))


def gateway_network() -> Network:
    """A gateway for two houses: all of it for one, ports with and without sources for the other."""
    hosts = (
        host("cloud", "198.51.100.7"),
        host("home", "", lan("br0", "192.168.16.1/24", "fd16::1/64")),
        host("cabin", ""),
    )
    server = Place(PlaceKind.PREFIX, "home", "br0", ip_network("192.168.16.20"))
    web = PortRange("tcp", 8080, 8080, (80, 80))
    publishes = (
        Publish("cloud", Place(PlaceKind.HOST, "home"), None, (PortRange("tcp", 9000, 9010),)),
        Publish("cloud", server, (PortRange("tcp", 25565, 25565), PortRange("udp", 8000, 8100), web)),
        Publish("cloud", Place(PlaceKind.HOST, "cabin"), (PortRange("tcp", 443, 443),), source=SourceKept.SNAT),
    )
    portals = (portal("home.br0", "cloud"),)
    return Network("gateway", OVERLAY, hosts, hub="cloud", portals=portals, publishes=publishes)


def behind_a_full_tunnel(network: Network) -> Surroundings:
    """A host on which somebody's catch-all rule stands in front of ours, and that has no IPv6."""
    foreign = Rule(Family.IPV4, 7699, 51820, mark=51820, mark_mask=0xFFFFFFFF, invert=True, protocol="boot")
    routes = tuple(Route(family.everything, 51820, "wq0", protocol="boot") for family in FAMILIES)
    seen = around(network, "tokyo")
    return replace(seen, rules=(foreign,), routes=(*seen.routes, *routes), ipv6=False)


PORTALS, HUB, NARROW, LAND = portals_network(), hub_network(), narrow_network(), land_network()
GATEWAY = gateway_network()
NESTED, LOCKED = example("nested")
FAILOVER, FAILOVER_LOCK = example("failover")
CASES: dict[str, tuple[Network, Surroundings]] = {
    **{f"portals.{name}": (PORTALS, around(PORTALS, name)) for name in PORTALS.by_name},
    **{f"hub.{name}": (HUB, around(HUB, name)) for name in HUB.by_name},
    **{f"land.{name}": (LAND, around(LAND, name)) for name in LAND.by_name},
    **{f"gateway.{name}": (GATEWAY, around(GATEWAY, name)) for name in GATEWAY.by_name},
    **{f"narrow.{name}": (NARROW, around(NARROW, name)) for name in NARROW.by_name},
    "in-front.tokyo": (PORTALS, behind_a_full_tunnel(PORTALS)),
    "stated.nyc": (PORTALS, Surroundings(stated=True)),
    "nested.home": (NESTED, around(NESTED, "home")),
    "failover.berlin": (FAILOVER, around(FAILOVER, "berlin")),
    "failover.tokyo": (FAILOVER, around(FAILOVER, "tokyo")),
}


def lock_beside(network: Network) -> Lock:
    """The lock of a case's network: an example has its own."""
    examples = {id(NESTED): LOCKED, id(FAILOVER): FAILOVER_LOCK}
    return examples.get(id(network)) or lock_of(network)


@pytest.mark.parametrize("case", CASES)
def test_states_read_as_written_down(case: str) -> None:
    """The whole state of one host."""
    network, surroundings = CASES[case]
    name = case.rpartition(".")[2]
    text = state_text(compile_host(network, lock_beside(network), name, surroundings))
    expected = GOLDEN / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(text)
    assert text == expected.read_text()


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
