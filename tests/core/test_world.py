"""A network finds its place: deterministic, without collisions, and as the file says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from warren.core.world import client_of, place_world, surroundings_of
from warren.model.endpoint import Endpoint
from warren.model.expect import Expect, Target
from warren.model.host import Host, Lan
from warren.model.key import PublicKey
from warren.model.lab import Lab, LabLink, NatBox
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Family, Interface, covers
from warren.model.state import MAIN
from warren.model.world import World

KEY = PublicKey("A" * 43 + "=")
OVERLAY = (ip_network("10.77.0.0/24"), ip_network("fd77:7:7::/64"))


def lan(name: str, *addresses: str) -> Lan:
    return Lan(name, tuple(ip_interface(address) for address in addresses))


def portals(lab: Lab | None = None) -> Network:
    """Three sites, two of them with the same subnet."""
    hosts = (
        Host("nyc", KEY, Endpoint("nyc.example.net", 51820), lans=(lan("eth1", "192.168.1.1/24", "fd11::1/64"),)),
        Host("paris", KEY, lans=(lan("eth1", "192.168.1.1/24"), lan("wlan0", "192.168.22.1/24", "fd22::1/64"))),
        Host("tokyo", KEY, Endpoint("203.0.113.30", 51820)),
    )
    return Network("portals", OVERLAY, hosts, lab=lab)


def addresses_of(world: World) -> list[Interface]:
    nodes = [*(host.attachment for host in world.hosts), *(nat.attachment for nat in world.nats)]
    return [address for node in nodes for address in node.addresses]


def test_hosts_with_an_endpoint_stand_on_the_internet_and_others_behind_a_nat_of_their_own() -> None:
    world = place_world(portals(), None)

    assert [(host.name, host.attachment.upstream) for host in world.hosts] == [
        ("nyc", ""),
        ("paris", "nat-paris"),
        ("tokyo", ""),
    ]
    assert world.host_by_name["tokyo"].attachment.address(Family.IPV4) == ip_address("203.0.113.30")


def test_a_name_stands_for_the_address_of_the_host_whose_endpoint_it_is() -> None:
    world = place_world(portals(), None)

    assert world.names == (("nyc.example.net", (world.host_by_name["nyc"].attachment.address(Family.IPV4),)),)


def test_a_name_nobody_has_stands_for_addresses_of_the_internet() -> None:
    ask = Expect(Place(PlaceKind.HOST, "nyc"), Target(name="www.example.org"), exit="nyc")

    world = place_world(replace(portals(), expects=(ask,)), None)

    found = dict(world.names)["www.example.org"]
    assert [address.version for address in found] == [4, 6]
    assert not {address.ip for address in addresses_of(world)} & set(found)


def test_nats_are_chained_the_outermost_first() -> None:
    lab = Lab(
        nats=(NatBox("cgnat"), NatBox("box")), place=(("paris", ("cgnat", "box")), ("nyc", ("cgnat",)), ("tokyo", ()))
    )

    world = place_world(portals(lab), None)

    assert [nat.box.name for nat in world.behind("paris")] == ["box", "cgnat"]
    assert [nat.box.name for nat in world.behind("nyc")] == ["cgnat"]
    cgnat, box = world.nat_by_name["cgnat"], world.nat_by_name["box"]
    assert all(
        covers(inner.network, address.ip) for inner, address in zip(cgnat.inner, box.attachment.addresses, strict=True)
    )
    assert box.inner[1].network in cgnat.attachment.routed, "the outer NAT's upstream must know the inner IPv6 prefix"
    assert box.inner[1].network in box.attachment.routed


def test_a_host_without_ipv6_has_none_on_its_uplink() -> None:
    lab = Lab(links=(LabLink("tokyo", mtu=1400, loss=3, ipv6=False),))

    tokyo = place_world(portals(lab), None).host_by_name["tokyo"].attachment

    assert tokyo.address(Family.IPV6) is None
    assert (tokyo.mtu, tokyo.loss, len(tokyo.gateways)) == (1400, 3, 1)


def test_unique_local_lans_are_masqueraded_and_global_ones_are_routed() -> None:
    network = portals()
    paris = replace(network.hosts[1], lans=(lan("eth1", "192.168.5.1/24", "2001:db8:77::1/64", "fd11::1/64"),))

    world = place_world(replace(network, hosts=(network.hosts[0], paris)), None)

    node = world.host_by_name["paris"]
    assert node.masquerades == (ip_network("192.168.5.0/24"), ip_network("fd11::/64"))
    assert node.attachment.routed == (ip_network("2001:db8:77::/64"),)
    assert ip_network("2001:db8:77::/64") in world.nat_by_name["nat-paris"].attachment.routed


def test_each_lan_has_a_client_and_so_has_each_place_the_file_speaks_of() -> None:
    device = Place(PlaceKind.MAC, "nyc", "eth1", mac="02:00:5e:00:00:32")
    one = Place(PlaceKind.PREFIX, "nyc", "eth1", ip_network("192.168.1.51/32"))
    half = Place(PlaceKind.PREFIX, "nyc", "eth1", ip_network("192.168.1.64/26"))
    sources = tuple(Portal(place, "tokyo") for place in (device, one, half))

    world = place_world(replace(portals(), portals=sources), None)

    names = [client.name for client in world.clients]
    assert names == [
        "nyc.eth1",
        "nyc.eth1.02:00:5e:00:00:32",
        "nyc.192.168.1.51",
        "nyc.192.168.1.64/26",
        "paris.eth1",
        "paris.wlan0",
    ]
    assert client_of(world, device).mac == "02:00:5e:00:00:32"
    assert client_of(world, one).address(Family.IPV4) == ip_address("192.168.1.51")
    assert covers(ip_network("192.168.1.64/26"), client_of(world, half).addresses[0].ip)
    general = client_of(world, Place(PlaceKind.LAN, "nyc", "eth1"))
    assert not covers(ip_network("192.168.1.64/26"), general.addresses[0].ip)
    assert general.address(Family.IPV6) is not None


def test_surroundings_are_those_of_a_router_before_warren_came() -> None:
    network = portals()
    world = place_world(network, None)

    paris = surroundings_of(world, network, "paris")

    assert [link.name for link in paris.links] == ["eth0", "eth1", "wlan0"]
    defaults = [route for route in paris.routes if route.prefix.prefixlen == 0]
    assert [route.via for route in defaults] == list(world.host_by_name["paris"].attachment.gateways)
    assert all(route.table == MAIN for route in paris.routes)
    assert paris.sysctl("net.ipv4.ip_forward") == "1"
    assert surroundings_of(world, network, "tokyo").sysctl("net.ipv4.ip_forward") == "0"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 255), st.integers(22, 28)), min_size=1, max_size=12))
def test_no_two_nodes_have_the_same_address_and_none_meets_the_network(shape: list[tuple[bool, int, int]]) -> None:
    hosts = tuple(
        Host(
            f"h{at}",
            KEY,
            Endpoint(f"198.51.100.{at + 1}", 51820) if endpoint else None,
            lans=(lan("eth1", f"100.64.{third & (0xFF << max(0, 24 - length)) & 0xFF}.1/{length}"),),
        )
        for at, (endpoint, third, length) in enumerate(shape)
    )
    network = Network("random", (ip_network("100.65.0.0/16"),), hosts)

    world = place_world(network, None)

    found = addresses_of(world)
    inner = [address for nat in world.nats for address in nat.inner]
    assert len({address.ip for address in found + inner}) == len(found + inner)
    assert not any(one.network.overlaps(other.network) for one, other in combinations(inner, 2) if _same(one, other))
    own = [*network.overlay, *(prefix for host in hosts for each in host.lans for prefix in each.prefixes)]
    assert not any(covers(prefix, address.ip) for prefix in own for address in found + inner)
    assert world == place_world(network, None)


def _same(one: Interface, other: Interface) -> bool:
    return one.version == other.version
