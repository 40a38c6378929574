"""What others may not do: peers, neighbours on the uplink's wire, the far end of a portal's flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.core.compile.networks import lan, lock_of, portals_network
from tests.kernel.portals import CHAIN, LAN, PLAIN_PARIS, WIFI, fresh
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world, a_world, rise

pytestmark = pytest.mark.lab

NETWORK = portals_network()


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network, up."""
    with a_risen_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


def test_a_neighbour_on_the_uplink_is_not_of_the_network(world: Remote) -> None:
    """He who takes nyc for his gateway reaches neither its tunnel address nor anything beyond its tunnels."""
    wire = "dev h0 table local"
    six = world.seen_as("nyc")[1]
    world.sh("internet", f"ip route add 10.77.0.0/24 via 198.51.100.10 {wire}")
    world.sh("internet", f"ip route add 192.168.22.0/24 via 198.51.100.10 {wire}")
    world.sh(
        "internet", f"ip -6 route add fd77:7:7::/64 via {six} {wire}; ip -6 route add fd22:22::/64 via {six} {wire}"
    )
    targets = ("10.77.0.1", "10.77.0.2", "192.168.22.100", "fd77:7:7::1", "fd77:7:7::2", "fd22:22::64")
    seen = [world.watch("nyc", "eth0", to) for to in targets]
    asked = [Question("internet", to, source=fresh(6 if ":" in to else 4), timeout=0.8) for to in targets]
    assert world.ask(asked) == ["timeout"] * len(targets)
    assert all(world.seen(capture) for capture in seen), "the questions did come in by the uplink"


def test_a_peer_sends_from_its_own_addresses_only(world: Remote) -> None:
    """WireGuard lets an exit send from any address; new flows are let in from what is the peer's own."""
    world.sh("nyc", "nft delete table inet warren-portals")
    stranger = {4: "8.8.8.8", 6: "2620:f::1"}
    attempts = [
        ("paris", "10.77.0.2", stranger[4]),
        ("paris", "192.168.22.100", stranger[4]),
        ("paris", "192.168.22.100", "192.168.22.55"),
        ("paris", "10.77.0.2", "10.77.0.3"),
        ("paris", "fd22:22::64", stranger[6]),
        ("tokyo", "10.77.0.3", stranger[4]),
    ]
    for host, to, source in attempts:
        tunnel = world.watch(host, "portals-nyc", source)
        lans = world.watch("paris.wlan0", "eth0", source)
        world.sh("nyc", f"ip address add {source} dev lo {'nodad' if ':' in source else ''}")
        assert world.ask([Question("nyc", to, source=source, timeout=0.4)]) == ["timeout"], (host, to, source)
        came = world.seen(tunnel)
        assert came and not [packet for packet in came if packet.outgoing], (host, to, source)
        assert world.seen(lans) == []
        world.sh("nyc", f"ip address del {source} dev lo")


def test_an_exit_serves_its_portals_only(world: Remote) -> None:
    """What no portal names is refused at the exit, though the tunnel carries it and the sender is an honest peer."""
    world.sh("paris", "nft delete table inet warren-portals")
    to, to6 = fresh(), fresh(6)
    world.sh("paris", f"ip rule add pref 11 to {to} lookup 7701; ip -6 rule add pref 11 to {to6} lookup 7701")
    uplinks = world.watch("nyc", "eth0", to), world.watch("nyc", "eth0", to6)
    tunnels = world.watch("nyc", "portals-paris", to), world.watch("nyc", "portals-paris", to6)
    answers = world.ask([Question(PLAIN_PARIS, to, timeout=0.5), Question(PLAIN_PARIS, to6, timeout=0.5)])
    assert answers == ["timeout", "EACCES"]  # the IPv4 LAN is nyc's own too: nobody there could be told
    assert [world.seen(uplink) for uplink in uplinks] == [[], []]
    assert all(world.seen(tunnel) for tunnel in tunnels)


def test_the_far_end_cannot_make_the_entry_answer(world: Remote) -> None:
    """An answer whose TTL ends at the entry, or at a relay, draws no ICMP error out of that host's uplink."""
    cases = [
        (LAN, 4, "nyc", 3),
        (LAN, 6, "nyc", 3),
        (WIFI, 4, "paris", 2),
        (CHAIN, 4, "nyc", 3),
        (CHAIN, 4, "paris", 2),
    ]
    for place, version, host, ttl in cases:
        for hops in (ttl, 64):
            to = fresh(version)
            uplink = world.watch(host, "eth0", to)
            heard = world.ask_with_ttl(Question(place, to, port=7100, timeout=0.5), hops)
            assert (heard == "far end") is (hops == 64), (place, version, hops)
            assert [packet for packet in world.seen(uplink) if packet.outgoing] == [], (place, version, host)


def test_an_old_stream_does_not_draw_a_portal_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Datagrams of a stream from before the portal, sent straight to a LAN, are no flow of the uplink's to answer.

    With a prefix of its own, routed and not translated, nothing but conntrack knows who began; and it is as new as
    the portal.
    """
    nyc = NETWORK.by_name["nyc"]
    routed = replace(nyc, lans=(nyc.lans[0], lan("eth2", "192.168.21.1/24", "2001:db8:21::1/64")))
    network = replace(NETWORK, hosts=(routed, *NETWORK.hosts[1:]), portals=NETWORK.portals[:2])
    with a_world(network, lock_of(network), tmp_path_factory.mktemp("keys")) as world:
        world.sh("nyc", "nft flush ruleset")  # so that conntrack knows nothing yet
        far, near = fresh(6), "2001:db8:21::64"
        uplink = world.watch("nyc", "eth0", far)
        down = world.start_stream("internet", (far, 7001), (near, 5555), rate=300)
        up = world.start_stream(LAN, (near, 5555), (far, 7001), rate=100)
        assert world.wait_outgoing(uplink), "before there is a portal, the stream leaves by the uplink"
        rise(world, old_flows=True)
        tunnel = world.watch("nyc", "portals-paris", far)
        assert world.wait_outgoing(tunnel)
        world.seen(uplink, stop=False)
        assert world.wait_outgoing(tunnel, least=30)
        left = [packet for packet in world.seen(uplink) if packet.outgoing]
        assert left == []
        for stream in (down, up):
            world.stop_flood(stream)


def test_flows_that_began_before_live_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The operator's session to a host, and one that is forwarded to a portal's LAN, survive the portal's arrival."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        world.sh(
            "nyc",
            """nft -f - <<'END'
            table ip router4 {
                chain dstnat {
                    type nat hook prerouting priority dstnat;
                    iifname "eth0" tcp dport 8022 dnat to 192.168.21.100:7000
                    iifname "eth0" udp dport 8022 dnat to 192.168.21.100:7000
                }
            }
END""",
        )
        flows = {
            (name, to, port): world.open_flow("internet", to, port, source=fresh(6 if ":" in to else 4))
            for name in ("nyc", "tokyo")
            for to in world.seen_as(name)
            for port in (7000, *([8022] if name == "nyc" and "." in to else []))
        }
        assert len(flows) == 5
        rise(world, old_flows=True)
        assert {what: world.echo(flow) for what, flow in flows.items()} == dict.fromkeys(flows, True)
        sources = fresh(), fresh()
        forwarded = [
            Question("internet", world.seen_as("nyc")[0], "tcp", 8022, sources[0]),
            Question("internet", world.seen_as("nyc")[0], "udp", 8022, sources[1]),
        ]
        assert world.ask(forwarded) == list(sources)
        assert world.ask([Question(LAN, fresh())]) == [world.seen_as("paris")[0]]


def test_a_portals_old_flow_moves_or_ends(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A session that a LAN opened before its portal never goes on by the uplink."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        to = [fresh(), fresh(6)]
        flows = [world.open_flow(LAN, address, 7000) for address in to]
        rise(world, old_flows=True)
        uplinks = [world.watch("nyc", "eth0", address) for address in to]
        assert [world.echo(flow, timeout=1) for flow in flows] == [False, False]
        assert [packet for uplink in uplinks for packet in world.seen(uplink) if packet.outgoing] == []
