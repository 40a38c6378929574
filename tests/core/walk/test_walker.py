"""Whole walks over compiled networks: where packets go, by which rule, and how they end."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.core.compile.networks import OVERLAY, host, lan, portal, portals_network
from tests.core.walk.scenes import FOUR, PUBLIC, SIX, Walked
from warren.core.walk import DefaultHijacked, DeviceGone, FirewallGone, HostDown, TableFlushed, TunnelDown
from warren.model.lab import Lab, LabLink, Mapping, NatBox
from warren.model.network import Network
from warren.model.prefix import Family
from warren.model.state import MAIN, Backend, Rule, Sysctl
from warren.model.surroundings import ForeignChain
from warren.model.trace import (
    Disposition,
    Encrypted,
    HopKind,
    Mtu,
    RuleHit,
    SourceChosen,
    Step,
    Trace,
    Translated,
)


@pytest.fixture(scope="module")
def portals() -> Walked:
    return Walked(portals_network())


def steps(trace: Trace, node: str) -> list[Step]:
    return [step for hop in trace.hops if hop.node == node for step in hop.steps]


WAYS = [
    ("nyc.eth2", FOUR, "paris", ("nyc", "paris")),
    ("nyc.eth2", SIX, "paris", ("nyc", "paris")),
    ("paris.wlan0", FOUR, "nyc", ("paris", "nyc")),
    ("paris.wlan0", SIX, "nyc", ("paris", "nyc")),
    ("paris.eth1", FOUR, "paris", ("paris",)),
    ("nyc.eth1", FOUR, "nyc", ("nyc",)),
    ("nyc.eth1.02:00:5e:00:00:32", FOUR, "tokyo", ("nyc", "tokyo")),
    ("nyc.eth1.02:00:5e:00:00:32", SIX, "tokyo", ("nyc", "tokyo")),
    ("nyc.eth1=192.168.1.51/32", FOUR, "tokyo", ("nyc", "paris", "tokyo")),
    ("tokyo", FOUR, "nyc", ("tokyo", "nyc")),
    ("tokyo", SIX, "tokyo", ("tokyo",)),
    ("nyc", FOUR, "nyc", ("nyc",)),
]


@pytest.mark.parametrize(("source", "family", "exit_", "path"), WAYS, ids=str)
def test_each_source_leaves_where_it_should_and_is_answered(
    portals: Walked, source: str, family: Family, exit_: str, path: tuple[str, ...]
) -> None:
    trace = portals.trace(source, PUBLIC[family], family=family)

    assert (trace.disposition, trace.exit, trace.path) == (Disposition.EXITED, exit_, path)
    assert trace.reply is not None and trace.reply.arrived
    assert tuple(reversed(trace.reply.path)) == path


def test_the_same_subnet_on_both_sides_is_no_matter(portals: Walked) -> None:
    """nyc.eth1 and paris.eth1 are both 192.168.1.0/24: to a third site each comes with its host's address."""
    trace = portals.trace("nyc.eth1", "tokyo")

    assert trace.arrived and str(trace.header.source) == str(portals.lock.by_name["nyc"].address(FOUR))
    assert any(isinstance(step, Translated) for step in steps(trace, "nyc"))


def test_site_to_site_keeps_the_source(portals: Walked) -> None:
    trace = portals.trace("nyc.eth2", "paris.wlan0")

    assert trace.arrived and trace.header.source == trace.hops[0].header.source


def test_a_trace_names_the_rule_that_decided(portals: Walked) -> None:
    hit = next(step for step in steps(portals.trace("nyc.eth2", "1.1.1.1"), "nyc") if isinstance(step, RuleHit))

    assert hit.rule.iif == "eth2" and hit.rule in portals.state("nyc").rules


def test_own_traffic_has_the_tunnels_source_from_the_start(portals: Walked) -> None:
    chosen = next(step for step in steps(portals.trace("tokyo", "1.1.1.1"), "tokyo") if isinstance(step, SourceChosen))

    assert chosen.source == portals.lock.by_name["tokyo"].address(FOUR)


def test_who_comes_in_by_the_uplink_is_answered_by_it(portals: Walked) -> None:
    """The operator's ssh to tokyo, whose own traffic exits at nyc."""
    trace = portals.trace("internet", "tokyo", proto="tcp", port=22)

    assert trace.arrived and trace.reply is not None
    assert (trace.reply.disposition, trace.reply.exit) == (Disposition.EXITED, "tokyo")


def test_the_outer_packet_walks_through_nats(portals: Walked) -> None:
    """paris has no endpoint: it dialled, so nyc knows where it is and its NAT lets the answer in."""
    hop = next(hop for hop in portals.trace("nyc.eth2", "1.1.1.1").hops if hop.node == "nyc")
    wrapped = next(step for step in hop.steps if isinstance(step, Encrypted))

    assert wrapped.learned and [outer.kind for outer in hop.outer] == [HopKind.HOST, HopKind.NAT, HopKind.HOST]


def test_an_unannounced_source_has_no_answer() -> None:
    """Without masquerading nobody on the internet can answer a private address."""
    bare = portals_network()
    walked = Walked(replace(bare, portals=()))
    world = walked.scene.world
    hosts = tuple(replace(node, masquerades=()) for node in world.hosts)
    walked.scene = replace(walked.scene, world=replace(world, hosts=hosts))
    trace = walked.trace("nyc.eth2", "1.1.1.1")

    assert trace.disposition is Disposition.EXITED
    assert trace.reply is not None and trace.reply.disposition is Disposition.LOST


def test_nobody_is_supposed_where_the_file_knows_nobody(portals: Walked) -> None:
    """Two LANs of one subnet: the far one's address is looked for on the near one, where nobody answers."""
    trace = portals.trace("nyc", "192.168.1.77")

    assert (trace.disposition, trace.at) == (Disposition.LOST, "nyc")


def own_traffic_without_ipv6(*rules: Rule) -> Walked:
    """tokyo's own traffic exits at nyc in both families, but the tunnels carry IPv4 only; `rules` come first."""
    network = replace(portals_network(), overlay=OVERLAY[:1], portals=(portal("tokyo", "nyc"),))
    walked = Walked(network)
    state = walked.state("tokyo")
    routes = tuple(route for route in state.routes if route.prefix.version == 4 or not route.device)
    plain = tuple(rule for rule in state.rules if rule.source is None)
    return walked.change("tokyo", state=replace(state, routes=routes, rules=(*rules, *plain), tables=()))


def test_ipv6_asks_again_with_a_source_when_there_was_no_route_without_one() -> None:
    """ip6_dst_lookup_tail: so a rule by the uplink's address, meant for answers, catches new flows (lab, seed 12)."""
    walked = own_traffic_without_ipv6()
    uplink = walked.scene.world.host_by_name["tokyo"].attachment.address(SIX)
    assert uplink is not None
    lured = own_traffic_without_ipv6(Rule(SIX, 7600, MAIN, iif="lo", source=ip_network(uplink)))

    assert walked.trace("tokyo", PUBLIC[SIX], family=SIX).disposition is Disposition.NO_ROUTE
    assert lured.trace("tokyo", PUBLIC[SIX], family=SIX).exit == "tokyo"


def test_a_loose_filter_still_wants_a_way_back() -> None:
    """Where own traffic finds only an `unreachable`, what comes in by the uplink is dropped (lab, seed 56)."""
    walked = Walked(replace(portals_network(), portals=(portal("tokyo", "nyc"),)))
    state = walked.state("tokyo")
    bare = replace(
        state,
        routes=tuple(route for route in state.routes if not route.device),
        rules=tuple(rule for rule in state.rules if rule.source is None),
    )

    assert walked.trace("internet", "tokyo").arrived
    assert walked.change("tokyo", state=bare).trace("internet", "tokyo").disposition is Disposition.RPF_DROP


# --- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [FOUR, SIX], ids=str)
@pytest.mark.parametrize(
    "fault",
    [
        HostDown("paris"),
        TunnelDown("nyc", "paris"),
        DeviceGone("nyc", "portals-paris"),
        FirewallGone("nyc"),
        DefaultHijacked("nyc"),
        TableFlushed("nyc", 7701),
    ],
    ids=str,
)
def test_no_fault_makes_a_portal_leak(portals: Walked, fault: object, family: Family) -> None:
    trace = portals.trace("nyc.eth2", PUBLIC[family], fault, family=family)  # type: ignore[arg-type]

    assert trace.exit in ("", "paris")


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (HostDown("paris"), Disposition.TUNNEL_DOWN),
        (TunnelDown("paris", "nyc"), Disposition.TUNNEL_DOWN),
        (DeviceGone("nyc", "portals-paris"), Disposition.NO_ROUTE),
        (DeviceGone("paris", "portals-nyc"), Disposition.NO_PEER_ENDPOINT),
        (TableFlushed("nyc", 7701), Disposition.BLOCKED),
    ],
    ids=str,
)
def test_what_is_broken_is_named(portals: Walked, fault: object, ends: Disposition) -> None:
    assert portals.trace("nyc.eth2", "1.1.1.1", fault).disposition is ends  # type: ignore[arg-type]


def test_a_host_that_is_cut_off_still_serves_its_lans(portals: Walked) -> None:
    assert portals.trace("nyc.eth1", "nyc.eth2", HostDown("nyc")).arrived
    assert portals.trace("nyc.eth1", "1.1.1.1", HostDown("nyc")).disposition is Disposition.HOST_DOWN


def test_a_hijacked_default_does_not_move_plain_traffic_off_its_uplink(portals: Walked) -> None:
    assert portals.trace("nyc.eth1", "1.1.1.1", DefaultHijacked("nyc")).exit == "nyc"


# --- who can dial whom -----------------------------------------------------------------------------------


def two(mapping: Mapping, filtering: Mapping, **more: object) -> Walked:
    """a behind a NAT dials b, which has an endpoint."""
    network = Network(
        "two",
        OVERLAY,
        (host("a", "", lan("lan0", "192.168.3.1/24")), host("b", "198.51.100.20", lan("lan0", "192.168.4.1/24"))),
        lab=Lab((NatBox("box", mapping, filtering),), (("a", ("box",)),), **more),  # type: ignore[arg-type]
    )
    return Walked(network)


@pytest.mark.parametrize("mapping", Mapping, ids=str)
@pytest.mark.parametrize("filtering", Mapping, ids=str)
def test_whoever_dials_out_is_reached_through_any_nat(mapping: Mapping, filtering: Mapping) -> None:
    """The answer comes from where the packet went, which every mapping and filter lets in."""
    assert two(mapping, filtering).trace("b.lan0", "a.lan0").arrived


def test_nobody_can_dial_without_an_endpoint() -> None:
    walked = two(*[Mapping.ENDPOINT_INDEPENDENT] * 2)
    far = walked.state("a")
    deaf = replace(
        far,
        interfaces=tuple(
            replace(one, peers=tuple(replace(peer, endpoint=None) for peer in one.peers)) for one in far.interfaces
        ),
    )
    trace = walked.change("a", state=deaf).trace("b.lan0", "a.lan0")

    assert trace.disposition is Disposition.NO_PEER_ENDPOINT


def test_without_a_keepalive_the_far_side_has_to_send_first() -> None:
    walked = two(*[Mapping.ENDPOINT_INDEPENDENT] * 2)
    far = walked.state("a")
    quiet = replace(
        far,
        interfaces=tuple(
            replace(one, peers=tuple(replace(peer, keepalive=0) for peer in one.peers)) for one in far.interfaces
        ),
    )
    changed = walked.change("a", state=quiet)

    assert changed.trace("b.lan0", "a.lan0").disposition is Disposition.NO_PEER_ENDPOINT
    there = changed.trace("a.lan0", "b.lan0")
    assert there.arrived and there.reply is not None and there.reply.arrived


def test_a_wrong_port_is_named() -> None:
    walked = two(*[Mapping.ENDPOINT_INDEPENDENT] * 2)
    near = walked.state("b")
    moved = replace(near, interfaces=tuple(replace(one, listen_port=4444) for one in near.interfaces))
    trace = walked.change("b", state=moved).trace("a.lan0", "b.lan0")

    assert trace.disposition is Disposition.TUNNEL_DOWN and "no device at port 51820" in trace.says


def test_a_source_outside_the_allowed_ips_is_dropped_at_the_far_end() -> None:
    walked = two(*[Mapping.ENDPOINT_INDEPENDENT] * 2)
    near = walked.state("b")
    strict = replace(
        near,
        interfaces=tuple(
            replace(
                one,
                peers=tuple(replace(peer, allowed_ips=(ip_network("10.77.0.1/32"),)) for peer in one.peers),
            )
            for one in near.interfaces
        ),
    )
    trace = walked.change("b", state=strict).trace("a.lan0", "b.lan0")

    assert (trace.disposition, trace.at) == (Disposition.NOT_ALLOWED_IP, "b")


# --- MTU -------------------------------------------------------------------------------------------------


def test_a_packet_that_fits_no_tunnel_is_refused(portals: Walked) -> None:
    trace = portals.trace("nyc.eth2", "1.1.1.1", size=1500)

    assert (trace.disposition, trace.at) == (Disposition.MTU_EXCEEDED, "nyc")
    assert portals.trace("nyc.eth2", "1.1.1.1", size=trace.hops[1].steps[-2].mtu).arrived  # type: ignore[union-attr]


def test_a_thin_link_between_stops_wireguard_go_and_cuts_the_kernels_packets() -> None:
    """wireguard-go sets DF on outer packets, the kernel does not."""
    walked = two(*[Mapping.ENDPOINT_INDEPENDENT] * 2, links=(LabLink("b", mtu=1400),))
    size = walked.state("a").interfaces[0].mtu
    go = walked.change("a", state=replace(walked.state("a"), backend=Backend.USERSPACE))

    assert go.trace("a.lan0", "b.lan0", size=size).disposition is Disposition.MTU_EXCEEDED
    cut = walked.trace("a.lan0", "b.lan0", size=size)
    assert cut.arrived and any(isinstance(step, Mtu) and "cut" in step.says for step in steps(cut, "a"))


# --- what is foreign -------------------------------------------------------------------------------------

DOCKER = ForeignChain("ip", "filter", "FORWARD", "forward", 0, "drop", 8, "docker")


def beside(walked: Walked, chain: ForeignChain) -> Walked:
    return walked.change("nyc", surroundings=replace(walked.around("nyc"), chains=(chain,)))


def test_a_foreign_policy_drop_blocks_and_is_named(portals: Walked) -> None:
    trace = beside(portals, DOCKER).trace("nyc.eth2", "1.1.1.1")

    assert trace.disposition is Disposition.BLOCKED and "ip filter FORWARD" in trace.says


def test_with_consent_it_passes(portals: Walked) -> None:
    assert beside(portals, replace(DOCKER, consented=True)).trace("nyc.eth2", "1.1.1.1").arrived


def test_a_chain_that_warren_cannot_read_is_unknown_only_where_it_matters(portals: Walked) -> None:
    walked = beside(portals, replace(DOCKER, policy="accept"))
    passing, blocked = (
        walked.trace("nyc.eth2", "1.1.1.1"),
        walked.trace("nyc.eth2", "1.1.1.1", TunnelDown("nyc", "paris")),
    )

    assert (passing.disposition, passing.presumed) == (Disposition.UNKNOWN, Disposition.EXITED)
    assert "foreign chain ip filter FORWARD" in passing.says
    assert blocked.disposition is Disposition.TUNNEL_DOWN
    assert walked.trace("nyc.eth2", "1.1.1.1", family=FOUR).exit == "paris"
    assert walked.trace("nyc.eth2", PUBLIC[SIX], family=SIX).disposition is Disposition.EXITED


def test_an_empty_chain_is_harmless(portals: Walked) -> None:
    assert beside(portals, ForeignChain("ip", "filter", "FORWARD", "forward", 0)).trace("nyc.eth2", "1.1.1.1").arrived


def test_a_host_that_does_not_forward_says_so(portals: Walked) -> None:
    state = portals.state("nyc")
    settings = tuple(one for one in state.sysctls if "forward" not in one.name)
    around = replace(portals.around("nyc"), sysctls=(Sysctl("net.ipv4.ip_forward", "0"),))
    walked = portals.change("nyc", state=replace(state, sysctls=settings), surroundings=around)

    assert walked.trace("nyc.eth2", "1.1.1.1").disposition is Disposition.NOT_FORWARDING


def test_a_strict_filter_on_a_tunnel_kills_what_a_mark_steers(portals: Walked) -> None:
    """Why tunnels are loose: the way back to the internet is the uplink's, unless a rule by `iif` says otherwise.

    The kernel asks with the outgoing device as `iif`, so a LAN's portal passes even a strict filter; one device of a
    LAN, which only a mark steers, does not.
    """
    state = portals.state("nyc")
    settings = tuple(replace(one, value="1") if "rp_filter" in one.name else one for one in state.sysctls)
    strict = portals.change("nyc", state=replace(state, sysctls=settings))
    lan, device = (strict.trace(source, "1.1.1.1") for source in ("nyc.eth2", "nyc.eth1.02:00:5e:00:00:32"))

    assert lan.reply is not None and lan.reply.arrived
    assert device.reply is not None and device.reply.disposition is Disposition.RPF_DROP
