"""Hosts that find each other: what is compiled for their agents, and how far walk says that packets get."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from warren.core.allot import allot
from warren.core.check import check_network
from warren.core.compile import compile_network
from warren.core.diagnostics import has_errors
from warren.core.parse import parse
from warren.core.render.nft import render_table
from warren.core.walk import Probe, Scene, Walker
from warren.core.walk.course import OnHost
from warren.core.world import place_world, surroundings_of
from warren.model.firewall import SetType
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.trace import Disposition

TEXT = """
network: mesh
overlay: [10.78.0.0/24, "fd78::/64"]
rendezvous: [{address: rv.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}]
hosts:
  a: {key: vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=, uplink: eth0}
  b: {key: OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=, uplink: eth0}
  c: {key: ARiJoJiMy+1/SIh4xiwCBYfeI+u7rpulbdZ/2fQy+Ag=, uplink: eth0, endpoint: c.example.net:51820}
lab: {links: {b: {mtu: 1400}}}
"""


def network_of(text: str = TEXT) -> Network:
    parsed = parse(text.encode(), "mesh.yaml")
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def scene(network: Network) -> Scene:
    lock = allot(network, Lock())
    world = place_world(network, lock)
    around = {host.name: surroundings_of(world, network, host.name) for host in network.hosts}
    return Scene(compile_network(network, lock, around), around, world)


def ask(walker: Walker, size: int = 84) -> tuple[Disposition, str]:
    trace = walker.walk(Probe(OnHost("a"), ip_address("10.78.0.2"), size=size))
    return trace.disposition, trace.says


def states() -> dict[str, HostState]:
    return dict(scene(network_of()).states)


def test_a_peer_that_is_found_has_no_endpoint_and_is_kept_alive() -> None:
    (device,) = states()["a"].interfaces
    peers = {peer.name: peer for peer in device.peers}

    assert (peers["b"].endpoint, peers["b"].keepalive) == (None, 25)
    assert str(peers["c"].endpoint) == "c.example.net:51820"
    assert [str(server) for server in states()["a"].rendezvous] == ["rv.example.net:51819"]


def test_what_was_left_is_dropped_before_anything_else_is_done_with_it() -> None:
    (table,) = states()["a"].tables
    text = render_table(table)

    assert [(held.name, held.type, held.timeout) for held in table.sets if held.live and not held.to] == [
        ("left4_51820", SetType.PLACE_V4, 30),
        ("left6_51820", SetType.PLACE_V6, 30),
    ]
    chain = text[text.index("chain prerouting") :]
    assert chain.index("ip saddr . udp sport @left4_51820 drop") < chain.index("meta mark set")


def test_a_port_beside_wireguards_own_is_rewritten_where_conntrack_does_not_look() -> None:
    """On its way in before conntrack, on its way out after it; the agent's own packets are out of it altogether."""
    (table,) = states()["a"].tables
    text = render_table(table)
    hooks = {chain.name: chain.hook.priority for chain in table.chains if chain.hook}

    assert hooks["aside_in"] == hooks["aside_out"] == -300 and hooks["aside"] > 100
    assert "udp dport 61440-61695 udp dport set ip saddr . udp sport map @home4_51820" in text
    assert "udp sport 51820 udp sport set ip daddr . udp dport map @bound4_51820" in text
    assert "udp sport 61440-61695 @th,64,32 0x77726e01 notrack" in text
    assert "map bound4_51820 { type ipv4_addr . inet_service : inet_service; flags timeout;" in text


def test_who_can_be_dialled_has_nothing_of_it() -> None:
    state = states()["c"]

    assert state.rendezvous == ()
    assert not [held for held in state.tables[0].sets if held.live]
    assert {peer.keepalive for peer in state.interfaces[0].peers} == {0}


def test_packets_arrive_where_both_reach_a_server() -> None:
    walker = Walker(scene(network_of()))

    assert ask(walker)[0] is Disposition.DELIVERED
    trace = walker.walk(Probe(OnHost("a"), ip_address("10.78.0.2")))
    assert trace.reply is not None and trace.reply.arrived
    assert any("where their agents find a way" in str(step) for hop in trace.hops for step in hop.steps)


def test_what_fits_is_what_both_ways_carry() -> None:
    walker = Walker(scene(network_of()))

    link = walker.tunnels.link(
        walker.view("a"),
        walker.view("a").devices["mesh"],
        next(peer for peer in states()["a"].interfaces[0].peers if peer.name == "b"),
        False,
        0,
    )
    assert link.carries == 1400


def test_without_a_server_there_is_no_tunnel_and_the_reason_is_said() -> None:
    made = scene(network_of())
    names = tuple((name, ips) for name, ips in made.world.names if name != "rv.example.net")
    disposition, says = ask(Walker(replace(made, world=replace(made.world, names=names))))

    assert disposition is Disposition.TUNNEL_DOWN
    assert "no rendezvous server is reached by both" in says and "rv.example.net is not known" in says


def test_a_portal_may_join_two_hosts_that_find_each_other() -> None:
    """Its tunnel has a device and a port of its own at its entry, and live sets of its own for what was left."""
    network = network_of(TEXT + "portals: [{from: a, exit: b, family: ipv4}]\n")
    assert not has_errors(check_network(network))
    made = scene(network)
    trace = Walker(made).walk(Probe(OnHost("a"), ip_address("1.1.1.1")))
    shared, apart = made.states["a"].interfaces
    (table,) = made.states["a"].tables
    text = render_table(table)

    assert trace.disposition is Disposition.EXITED and [hop.node for hop in trace.hops][:2] == ["a", "b"]
    assert [(peer.name, peer.endpoint, peer.keepalive) for peer in apart.peers] == [("b", None, 25)]
    assert [peer.name for peer in shared.peers] == ["c"]
    assert [held.name for held in table.sets if held.live and not held.to] == ["left4_51821", "left6_51821"]
    assert "udp dport 51821 ip saddr . udp sport @left4_51821 drop" in text
    live = [held for held in made.states["b"].tables[0].sets if held.live]
    assert [held.name for held in live if not held.to] == ["left4_51820", "left6_51820"]


def test_without_rendezvous_nobody_is_found() -> None:
    found = (
        network_of().meet("a", "b"),
        network_of().meet("a", "c"),
        replace(network_of(), rendezvous=()).meet("a", "b"),
    )

    assert found == (True, False, False)
