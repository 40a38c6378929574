"""What enters where leaves where: compiled states in real kernels, the addresses that the far side sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from itertools import product

import pytest

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal, portals_network
from tests.kernel.portals import CHAIN, LAN, MAC, PLAIN, WIFI, answers, everywhere, exits, fresh, questions
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world, a_world
from warren.model.lab import Lab, LabLink, NatBox
from warren.model.network import Network
from warren.model.prefix import Family

pytestmark = pytest.mark.lab

NETWORK = portals_network()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network, up."""
    with a_risen_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


def test_everything_leaves_where_the_file_says(world: Remote) -> None:
    """Both portals at once, one device, a chain, a host's own traffic; UDP and TCP, both families."""
    asked = questions(list(everywhere()))
    assert answers(world, asked) == exits(world, asked)


def test_sites_reach_each_other_with_their_own_addresses(world: Remote) -> None:
    """Sources are kept, replies come back; what the far side could not answer becomes the host's overlay address."""
    asked = {
        (LAN, "192.168.22.100"): "192.168.21.100",
        (LAN, "fd22:22::64"): "fd21:21::64",
        (WIFI, "192.168.21.100"): "192.168.22.100",
        (LAN, "10.77.0.3"): "192.168.21.100",
        (PLAIN, "192.168.22.100"): "10.77.0.1",  # nyc's eth1 overlaps paris's
        (PLAIN, "fd22:22::64"): "fd11:1::64",
        (PLAIN, "10.77.0.3"): "10.77.0.1",
        ("tokyo", "192.168.21.100"): "10.77.0.3",
        ("nyc", "fd77:7:7::2"): "fd77:7:7::1",
        (LAN, "192.168.1.100"): "192.168.21.100",  # nyc's own other LAN
    }
    found = world.ask([Question(place, to, proto) for place, to in asked for proto in ("udp", "tcp")])
    assert found == [seen for seen in asked.values() for _ in ("udp", "tcp")]


def test_answers_of_a_portal_come_by_its_tunnel(world: Remote) -> None:
    """Nothing of the flow is on the uplink, there or back; all of it is on the tunnel."""
    to = fresh()
    uplink, tunnel = world.watch("nyc", "eth0", to), world.watch("nyc", "portals-paris", to)
    assert world.ask([Question(LAN, to, "tcp")]) == [world.seen_as("paris")[0]]
    assert world.seen(uplink) == []
    assert {packet.outgoing for packet in world.seen(tunnel)} == {True, False}


def test_who_comes_by_the_uplink_is_answered_there(world: Remote) -> None:
    """The operator's ssh to tokyo, whose own traffic leaves in New York; and a router's own services."""
    asked = [
        Question("internet", world.seen_as(name)[six], proto, source=fresh(6 if six else 4))
        for name in ("tokyo", "nyc")
        for six in (0, 1)
        for proto in ("udp", "tcp")
    ]
    assert world.ask(asked) == [question.source for question in asked]


def test_exceptions_leave_directly(world: Remote) -> None:
    """`except` keeps what it names on the host's own way out."""
    to = "192.0.2.77"
    uplink = world.watch("paris", "eth0", to)
    assert world.ask([Question(WIFI, to, "tcp")]) == [world.seen_as("paris")[0]]
    assert world.seen(uplink)


def test_the_segment_size_fits_the_tunnel_both_ways(world: Remote) -> None:
    """SYN and SYN-ACK are clamped for forwarded and own TCP; what has no portal is left alone."""
    for place, exit_port, size in ((LAN, "n0", 1400), (CHAIN, "h2", 1400), ("tokyo", "h0", 1400), (PLAIN, "h0", 1460)):
        to = fresh()
        device = "portals-nyc" if place == "tokyo" else "eth0"
        there, here = world.watch("internet", exit_port, to), world.watch(place, device, to)
        assert world.ask([Question(place, to, "tcp")])[0].count(".") == 3
        assert {packet.mss for packet in world.seen(there) if packet.syn and not packet.outgoing} == {size}, place
        assert [packet.mss for packet in world.seen(here) if packet.syn and not packet.outgoing] in ([size], []), place


@pytest.mark.parametrize("size", [1400, 1473, 4000])
def test_large_answers_arrive(world: Remote, size: int) -> None:
    """Datagrams larger than the tunnel's MTU are fragmented on their way back."""
    asked = [Question(place, fresh(version), answer=size) for place in (LAN, MAC, WIFI) for version in (4, 6)]
    got = world.ask(asked)
    assert all("." in answer or ":" in answer for answer in got), got


def test_any_reverse_path_filter_will_do(world: Remote) -> None:
    """{all, uplink and LANs} × {0, 1, 2} × src_valid_mark {0, 1}: with our own devices at 2 all of it works."""
    places = list(everywhere())
    for general, device, valid_mark in product("012", "012", "01"):
        for name, lans in (("nyc", ("eth1", "eth2")), ("paris", ("eth1", "wlan0")), ("tokyo", ())):
            settings = {
                "net.ipv4.conf.all.rp_filter": general,
                "net.ipv4.conf.all.src_valid_mark": valid_mark,
                **{f"net.ipv4.conf.{one}.rp_filter": device for one in ("eth0", *lans)},
            }
            world.sysctl(name, settings)
        asked = questions(places, protos=("udp",))
        inbound = [Question("internet", world.seen_as(name)[0], "tcp", source=fresh()) for name in ("tokyo", "nyc")]
        found = answers(world, asked), world.ask(inbound)
        assert found == (exits(world, asked), [q.source for q in inbound]), (general, device, valid_mark)


# --- other networks ------------------------------------------------------------------------------------------


def test_a_family_that_the_overlay_lacks_is_rejected(tmp_path_factory: pytest.TempPathFactory) -> None:
    """IPv6 of an IPv4 overlay's portals is refused with ICMP; nothing of it is on the uplink."""
    network = replace(NETWORK, overlay=NETWORK.overlay[:1])
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        to = [fresh(6) for _ in range(3)]
        uplinks = [world.watch("nyc", "eth0", address) for address in to]
        found = world.ask([Question(LAN, to[0]), Question(LAN, to[1], "tcp"), Question(MAC, to[2])])
        assert found == ["ENETUNREACH"] * 3
        assert [world.seen(uplink) for uplink in uplinks] == [[], [], []]
        assert world.ask([Question(PLAIN, fresh(6))]) == [world.seen_as("nyc")[1]]


def test_a_family_that_the_exit_lacks_is_rejected(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The exit says that it has no way out in this family; the network's own addresses are still reached."""
    lab = Lab(nats=(NatBox("cafe"),), place=(("paris", ("cafe",)),), links=(LabLink("paris", ipv6=False),))
    network = replace(NETWORK, lab=lab)
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        to = fresh(6)
        uplink = world.watch("nyc", "eth0", to)
        assert world.ask([Question(LAN, to), Question(LAN, to, "tcp")]) == ["ENETUNREACH"] * 2
        assert world.seen(uplink) == []
        assert world.ask([Question(LAN, "fd22:22::64")]) == ["fd21:21::64"]


def test_a_hub_joins_two_hosts_behind_nats(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hosts that cannot dial each other meet at the hub, LANs with their sources kept; portals go on from there."""
    hosts = (
        host("hub", "198.51.100.7", lan("eth1", "192.168.7.1/24"), lan("eth2", "192.168.8.1/24", closed=True)),
        host("a", "", lan("eth1", "192.168.31.1/24", "fd31::1/64")),
        host("b", "", lan("eth1", "192.168.32.1/24", "fd32::1/64")),
    )
    network = Network("hubnet", OVERLAY, hosts, hub="hub", portals=(portal("a.eth1", "b"),))
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        reached = {
            ("a.eth1", "192.168.32.100"): "192.168.31.100",
            ("b.eth1", "192.168.31.100"): "192.168.32.100",
            ("a.eth1", "fd32::64"): "fd31::64",
            ("a", "10.77.0.3"): "10.77.0.2",
            ("b", "fd77:7:7::2"): "fd77:7:7::3",
            ("hub.eth1", "192.168.31.100"): "192.168.7.100",
            ("hub.eth2", "192.168.31.100"): "10.77.0.1",  # closed: it goes out under the hub's address
        }
        assert world.ask([Question(place, to, timeout=6) for place, to in reached]) == list(reached.values())
        asked = [
            Question("a.eth1", fresh(), timeout=6),
            Question("a.eth1", fresh(6), "tcp"),
            Question("b.eth1", fresh()),
        ]
        assert world.ask(asked) == [*world.seen_as("b"), world.seen_as("b")[0]]


def test_hosts_may_exit_at_each_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two hosts' own traffic leaves at the other one: no loop; a third's goes through both, as a chain."""
    hosts = (host("x", "198.51.100.7"), host("y", "198.51.100.8"), host("z", ""))
    portals = (portal("x", "y"), portal("y", "x"), portal("z", "x", via=("y",)))
    network = Network("cross", OVERLAY, hosts, portals=portals)
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        asked = questions(["x", "y", "z"])
        where = {"x": "y", "y": "x", "z": "x"}
        assert world.ask(asked) == [world.seen_as(where[q.space])[":" in q.to] for q in asked]
        inbound = [Question("internet", world.seen_as(name)[0], "tcp", source=fresh()) for name in ("x", "y")]
        assert world.ask(inbound) == [q.source for q in inbound]


def test_the_narrower_portal_wins(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Portals of a device, an address, two nested prefixes and the whole LAN: the most specific one decides."""
    hosts = (
        host("x", "198.51.100.7", lan("eth1", "192.168.7.1/24", "fd07::1/64")),
        *(host(name, f"198.51.100.{number}") for number, name in enumerate("yzv", start=8)),
    )
    portals = (
        portal("x.eth1", "y"),
        portal("x.eth1=192.168.7.64/26", "z"),
        portal("x.eth1=192.168.7.80/28", "v"),
        portal("x.eth1=192.168.7.81/32", "y"),
        portal("x.eth1.02:00:5e:00:00:99", "z"),
    )
    network = Network("nested", OVERLAY, hosts, portals=portals)
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        where = {
            "x.eth1": ("y", "y"),
            "x.192.168.7.64/26": ("z", "y"),
            "x.192.168.7.80/28": ("v", "y"),
            "x.192.168.7.81": ("y", "y"),
            "x.eth1.02:00:5e:00:00:99": ("z", "z"),
        }
        asked = questions(list(where), protos=("udp",))
        assert world.ask(asked) == [world.seen_as(where[q.space][":" in q.to])[":" in q.to] for q in asked]


def test_a_one_armed_router_has_portals(tmp_path_factory: pytest.TempPathFactory) -> None:
    """LAN and uplink share a device: portal traffic still leaves by the tunnel, or not at all."""
    nats = Lab(nats=(NatBox("cafe"),), place=tuple((name, ("cafe",)) for name in "xcd"))
    bare = Network("onearm", OVERLAY, tuple(host(n, "198.51.100.8" if n == "y" else "") for n in "xycd"), lab=nats)
    addresses = ("100.64.0.2/24", "2001:db8:1::2/64")
    hosts = (host("x", "", lan("eth0", *addresses)), host("y", "198.51.100.8"))
    network = Network("onearm", OVERLAY, hosts, portals=(portal("x.eth0", "y"),))
    with a_world(bare, lock_of(bare), tmp_path_factory.mktemp("keys")) as world:
        assert world.sh("x", "ip -br a show eth0").split()[2:4] == list(addresses)
        states = world.compile(network, lock_of(network))
        world.apply({"y": states["y"]})
        world.apply({"x": states["x"]})
        world.sh("c", "ip route replace default via 100.64.0.2; ip -6 route replace default via 2001:db8:1::2")
        world.sysctl("x", {"net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.eth0.send_redirects": "0"})
        asked = [Question("c", fresh(), timeout=6), Question("c", fresh(), "tcp"), Question("c", fresh(6))]
        four, six = world.seen_as("y")
        assert world.ask(asked) == [four, four, six]
        assert world.ask([Question("c", "10.77.0.2"), Question("y", "100.64.0.3")]) == ["100.64.0.3", "10.77.0.2"]
        world.sh("x", "ip link del onearm-y")
        to = fresh()
        arm = world.watch("x", "eth0", to)
        assert world.ask([Question("c", to, timeout=1)]) == ["EHOSTUNREACH"]
        assert [packet for packet in world.seen(arm) if packet.outgoing and packet.destination == to] == []


def test_a_closed_lan_is_reached_by_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither announced nor let in, not even where the other host's owner routes there by hand."""
    hosts = (
        host(
            "x", "198.51.100.7", lan("eth1", "192.168.7.1/24", "fd07::1/64", closed=True), lan("eth2", "192.168.8.1/24")
        ),
        host("y", "198.51.100.8", lan("eth1", "192.168.31.1/24", "fd31::1/64")),
    )
    network = Network("shut", OVERLAY, hosts, portals=(portal("y.eth1", "x", families=(Family.IPV4,)),))
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        assert world.ask([Question("y.eth1", "192.168.8.100"), Question("x.eth1", "192.168.31.100")]) == [
            "192.168.31.100",
            "10.77.0.1",
        ]
        inside = world.watch("x.eth1", "eth0", "192.168.7.100")
        world.sh("y", "ip route add 192.168.7.0/24 dev shut-x table 7700; nft delete table inet warren-shut")
        tunnel = world.watch("x", "shut", "192.168.7.100")
        asked = [Question("y.eth1", "192.168.7.100"), Question("y", "192.168.7.100", "tcp")]
        assert all("UNREACH" in answer for answer in world.ask(asked))
        assert [packet for packet in world.seen(tunnel) if not packet.outgoing], "it did come as far as x"
        assert world.seen(inside) == []


def test_every_kind_of_portal_has_exceptions(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What `except` names leaves directly from a MAC, an address, a LAN and the host itself; the rest as ever."""
    exceptions = (ip_network("9.200.0.0/16"), ip_network("2620:200::/32"))
    portals = (
        portal(MAC, "tokyo", exceptions=exceptions),
        portal("nyc.eth1=192.168.1.51/32", "tokyo", exceptions=exceptions[:1], families=(Family.IPV4,)),
        portal(LAN, "paris", exceptions=exceptions),
        portal("tokyo", "nyc", exceptions=exceptions),
    )
    network = replace(NETWORK, portals=portals)
    with a_risen_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        away = {MAC: "tokyo", CHAIN: "tokyo", LAN: "paris", "tokyo": "nyc"}
        for place, exit_ in away.items():
            home, there = world.seen_as(place.partition(".")[0]), world.seen_as(exit_)
            asked = [Question(place, to, proto) for to in ("9.200.1.1", "2620:200::1") for proto in ("udp", "tcp")]
            assert world.ask([*asked, Question(place, fresh())]) == [home[0], home[0], home[1], home[1], there[0]], (
                place
            )


def test_a_travellers_uplink_keeps_its_own_network(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The café uses a site's subnet: its gateway stays within reach, and all but that site works."""
    lab = Lab(nats=(NatBox("cafe"),), place=(("x", ("cafe",)), ("guest", ("cafe",))))
    home = (lan("eth1", "192.168.31.1/24"),)
    traveller = host("x", "", lan("eth1", "192.168.44.1/24"))
    bare = Network("trip", OVERLAY, (traveller, host("y", "198.51.100.8", *home), host("guest", "")), lab=lab)
    hosts = (traveller, host("y", "198.51.100.8", *home, lan("eth7", "100.64.0.9/24")))
    network = Network("trip", OVERLAY, hosts, portals=(portal("x.eth1", "y"), portal("x", "y")))
    with a_world(bare, lock_of(bare), tmp_path_factory.mktemp("keys")) as world:
        states = world.compile(network, lock_of(network))
        for name in ("y", "x"):
            world.apply({name: states[name]})
        exit_ = world.seen_as("y")[0]
        asked = [Question("x", fresh(), timeout=6), Question("x.eth1", fresh()), Question("x.eth1", "192.168.31.100")]
        assert world.ask(asked) == [exit_, exit_, "192.168.44.100"]
        assert world.ask([Question("x", "100.64.0.3"), Question("guest", "100.64.0.2")]) == ["100.64.0.2", "100.64.0.3"]


def test_hosts_whose_kernel_has_no_ipv6(tmp_path_factory: pytest.TempPathFactory) -> None:
    """They take part with IPv4, and IPv6 of a portal that exits there goes nowhere."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        without = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
        for name in ("paris", "tokyo"):
            world.sysctl(name, without)
        states = world.compile(more={name: {"ipv6": False} for name in ("paris", "tokyo")})
        for name in ("nyc", "tokyo", "paris"):
            world.apply({name: states[name]})
        world.meet()
        to = fresh(6)
        uplink = world.watch("nyc", "eth0", to)
        asked = [Question(place, fresh()) for place in (LAN, WIFI, MAC, CHAIN, "tokyo")]
        exits_ = [world.seen_as(name)[0] for name in ("paris", "nyc", "tokyo", "tokyo", "nyc")]
        assert world.ask([*asked, Question(LAN, to, timeout=0.5)]) == [*exits_, "timeout"]
        assert world.seen(uplink) == []
