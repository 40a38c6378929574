"""Devices of `devices:`: whom they dial, what they are allotted, how large their packets may be, what they may do."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.core.render.golden import check, example
from warren.core.allot import allot
from warren.core.compile import compile_device, compile_host, compile_network
from warren.core.compile.fabric import Fabric
from warren.core.compile.mtu import inside
from warren.core.compile.openings import openings
from warren.core.load import load
from warren.core.lockfile import parse_lock, render_lock
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Family
from warren.model.state import OUTER_MARK
from warren.model.surroundings import Link, Surroundings

HEAD = 'network: n\noverlay: [10.60.0.0/24, "fd60::/64"]\n'
CLOUD = 'cloud: {endpoint: "198.51.100.7:51820", uplink: eth0}'
EDGE = 'edge: {endpoint: "edge.example.net:51820", uplink: eth0}'
HOME = "home: {uplink: wan, lans: {br0: {address: 192.168.16.1/24}}}"
PHONE = "phone: {into: home, reach: home.br0}"
UNKNOWN = Surroundings(stated=True)


def network_of(hosts: tuple[str, ...] = (CLOUD, HOME), devices: tuple[str, ...] = (PHONE,), more: str = "") -> Network:
    """Read a network; every host and device gets a key."""
    lines = [*(f"  {line}" for line in hosts), "devices:", *(f"  {line}" for line in devices)]
    text = HEAD + "hosts:\n" + "\n".join(lines) + f"\n{more}"
    loaded = load(text.encode(), None, "n.yaml", PublicKey)
    assert loaded.network is not None, loaded.text()
    return loaded.network


def mtus(network: Network) -> dict[str, int]:
    """The MTU of each tunnel device, by host or device and name."""
    lock = allot(network, Lock())
    states = compile_network(network, lock, {})
    states |= {one.name: compile_device(network, lock, one.name, UNKNOWN) for one in network.devices}
    return {f"{name} {device.name}": device.mtu for name, state in states.items() for device in state.interfaces}


# --- whom they dial ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "device", "more", "dialled"),
    [
        ((CLOUD, HOME), "phone: {into: cloud, reach: cloud}", "", "cloud"),
        ((CLOUD, HOME), PHONE, "", "cloud"),  # the only one with an endpoint
        ((CLOUD, EDGE, HOME), "phone: {into: home, via: edge, reach: home}", "", "edge"),
        ((CLOUD, EDGE, HOME), PHONE, "hub: edge\n", "edge"),
        ((CLOUD, EDGE, HOME), PHONE, "hub: edge\npublish: [{at: cloud, to: home, ports: all}]\n", "cloud"),
        ((CLOUD, EDGE, HOME), "phone: {into: edge, via: cloud, reach: home}", "", "cloud"),
    ],
)
def test_whom_a_device_dials(hosts: tuple[str, ...], device: str, more: str, dialled: str) -> None:
    network = network_of(hosts, (device,), more)

    assert network.dials(network.devices_by_name["phone"]) == dialled


# --- what they are allotted -------------------------------------------------------------------------------


def test_devices_come_after_hosts_and_keep_what_they_have() -> None:
    laptop = "laptop: {into: home, reach: home.br0}"
    first = allot(network_of(devices=(PHONE, laptop)), Lock())
    later = allot(network_of((EDGE, CLOUD, HOME), (laptop,), "hub: cloud\n"), first)

    assert [str(address) for address in first.guest_by_name["phone"].addresses] == ["10.60.0.3", "fd60::3"]
    assert later.guest_by_name["laptop"] == first.guest_by_name["laptop"]
    assert "phone" not in later.guest_by_name
    assert str(later.by_name["edge"].addresses[0]) == "10.60.0.5", "what the phone had is not soon another's"
    assert parse_lock(render_lock(first).encode(), "n.lock") == (first, ())


def test_the_port_at_the_gateway_is_free_at_both() -> None:
    more = "publish: [{at: cloud, to: home, ports: [udp/51821-51830]}]\nportals: [{from: home.br0, exit: cloud}]\n"
    network = network_of(more=more)
    lock = allot(network, Lock())
    held = lock.by_name["home"].device("devices:cloud")

    assert held.port == 51831
    led = [one for one in openings(Fabric(network, lock), "cloud") if one.holds("udp", held.port)]
    assert [str(one.to) for one in led] == ["10.60.0.2", "fd60::2"]


def test_a_host_may_be_called_devices() -> None:
    lock = allot(network_of(("devices: {endpoint: 'd.example.net:51820', uplink: eth0}", HOME)), Lock())

    assert len({device.name for device in lock.by_name["home"].devices}) == 3


# --- how large their packets may be -----------------------------------------------------------------------


def test_each_layer_takes_what_its_outer_header_needs() -> None:
    layers = [1500]
    for outer in (Family.IPV4, None, Family.IPV4):
        layers.append(inside(layers[-1], outer))

    assert layers == [1500, 1440, 1360, 1300]


@pytest.mark.parametrize(
    ("hosts", "device", "direct", "nested"),
    [
        ((CLOUD, HOME), PHONE, 1440, 1380),
        ((EDGE, HOME), PHONE, 1420, 1340),
        ((CLOUD, HOME.replace("uplink: wan", "uplink: wan, mtu: 1380")), PHONE, 1380, 1320),
        ((CLOUD.replace("uplink", "mtu: 1400, uplink"), HOME), PHONE, 1400, 1340),
        ((CLOUD, HOME), PHONE.replace("reach", "mtu: 1300, reach"), 1440, 1300),
    ],
)
def test_both_sides_of_a_tunnel_in_a_tunnel_have_its_mtu(
    hosts: tuple[str, ...], device: str, direct: int, nested: int
) -> None:
    found = mtus(network_of(hosts, (device,)))

    gateway = "cloud" if hosts[0].startswith("cloud") else "edge"
    assert found[f"home n-{gateway}"] == direct
    assert found["home n-devices"] == found["phone n"] == nested


def test_a_narrow_uplink_of_the_host_counts() -> None:
    network = network_of()
    narrow = Surroundings(links=(Link("wan", 1492),))

    state = compile_host(network, allot(network, Lock()), "home", narrow)

    assert state.interface("n-devices").mtu == 1492 - 60 - 60


def test_a_device_that_dials_its_host_has_one_layer() -> None:
    found = mtus(network_of(devices=("phone: {into: cloud, reach: home.br0}",)))

    assert found["cloud n-devices"] == found["phone n"] == 1440


# --- what they may do -------------------------------------------------------------------------------------


def test_the_outer_packets_of_a_nested_device_are_led_into_the_gateways_tunnel() -> None:
    network = network_of(devices=(PHONE, "tablet: {into: cloud, reach: home.br0}"))
    lock = allot(network, Lock())
    home, cloud = (compile_host(network, lock, name, UNKNOWN) for name in ("home", "cloud"))

    held = home.interface("n-devices")
    (table,) = {rule.table for rule in home.rules if rule.sport == held.listen_port}
    assert held.fwmark == 0 and cloud.interface("n-devices").fwmark == OUTER_MARK
    assert {route.device for route in home.routes if route.table == table} == {"n-cloud", ""}
    assert not [rule for rule in cloud.rules if rule.sport], "what is dialled here answers by the uplink"


def test_a_mapped_lan_is_reached_by_its_mapped_prefix() -> None:
    home = "home: {uplink: wan, lans: {br0: {address: 192.168.1.1/24, map: 10.99.1.0/24}}}"
    devices = ("phone: {into: home, reach: home.192.168.1.64/26, dns: 192.168.1.1}",)
    network = network_of((CLOUD, home), devices)
    state = compile_device(network, allot(network, Lock()), "phone", UNKNOWN)

    (peer,) = state.interfaces[0].peers
    assert ip_network("10.99.1.0/24") in peer.allowed_ips
    assert not [prefix for prefix in peer.allowed_ips if prefix.overlaps(ip_network("192.168.1.0/24"))]
    assert state.dns[0].servers == (ip_address("10.99.1.1"),)


@pytest.mark.parametrize("device", ["phone", "laptop"])
def test_a_devices_conf_reads_as_in_the_golden_text(device: str) -> None:
    check("nested", device, "wg-quick")


def test_a_place_may_be_a_device() -> None:
    network, _ = example("nested")

    assert network.expects[0].source_place == Place(
        PlaceKind.DEVICE, "home", device="phone", at=network.expects[0].source_place.at
    )
    assert str(network.expects[0].source_place) == "phone"
