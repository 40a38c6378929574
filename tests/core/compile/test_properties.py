"""What is true of every compiled state: devices, routes, rules and numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.compile.cases import CASES, Case, compiled, over_networks, steady
from tests.core.compile.networks import lock_of, portals_network
from warren.core.compile import compile_device, compile_host, compile_network, ledger_needs
from warren.core.render.nft import rule_text
from warren.core.world import place_world, surroundings_of
from warren.model.firewall import SetCtMark, SetMark, Table
from warren.model.place import PlaceKind
from warren.model.prefix import FAMILIES, Family, covers
from warren.model.state import (
    BEHIND,
    FRONT_PRIORITIES,
    MARK_MASK,
    MARKS,
    OUTER_MARK,
    OWNER_SLOTS,
    PORTAL_MARK,
    PRIORITIES,
    TABLES,
    UPLINK_MARK,
    HostState,
    Peer,
    RouteKind,
    Rule,
)
from warren.model.surroundings import Surroundings


def bag(state: HostState) -> tuple[object, ...]:
    """A state without order, and with the numbers that tell chains of a kind apart left out of their names."""
    return (
        {
            (interface.name, interface.listen_port, interface.mtu, frozenset(interface.addresses), frozenset(held))
            for interface in state.interfaces
            for held in [
                tuple(replace(peer, allowed_ips=tuple(sorted(peer.allowed_ips, key=str))) for peer in interface.peers)
            ]
        },
        frozenset(state.routes),
        frozenset(state.rules),
        sorted(_rules_of(state.tables)),
        frozenset(state.sysctls),
        frozenset(state.forget),
        frozenset(state.consents),
    )


def _sorted(peer: Peer) -> Peer:
    return replace(peer, allowed_ips=tuple(sorted(peer.allowed_ips, key=str)))


def _rules_of(tables: tuple[Table, ...]) -> Iterator[str]:
    for table in tables:
        yield from (f"{held.name} {sorted(map(str, held.elements))}" for held in table.sets)
        for chain in table.chains:
            yield from (re.sub(r"_\d+\b", "", f"{chain.name}: {rule_text(rule)}") for rule in chain.rules)


@given(CASES, st.randoms(use_true_random=False))
@over_networks
def test_the_order_of_the_file_changes_nothing_but_order(case: Case, chance: random.Random) -> None:
    network, lock = case
    hosts, portals = list(network.hosts), list(network.portals)
    chance.shuffle(hosts)
    chance.shuffle(portals)
    shuffled = replace(network, hosts=tuple(hosts), portals=tuple(portals))
    world = place_world(network, lock)
    for host in network.hosts:
        around = replace(
            surroundings_of(world, network, host.name), ledger=steady(ledger_needs(network, lock, host.name))
        )
        one, other = (compile_host(one, lock, host.name, around) for one in (network, shuffled))
        assert bag(one) == bag(other)


@given(CASES)
@over_networks
def test_compiling_twice_and_alone_gives_the_same(case: Case) -> None:
    network, lock = case
    everything = compile_network(network, lock, {})
    assert compile_network(network, lock, {}) == everything
    for name, state in everything.items():
        assert compile_host(network, lock, name, Surroundings(stated=True)) == state


@given(CASES)
@over_networks
def test_every_exit_table_ends_in_unreachable(case: Case) -> None:
    """And it has one device, or those of a portal's exits, in the families that the overlay has.

    A host's own IPv6 is led into the device also where no tunnel carries it: the device refuses it.
    """
    network, lock = case
    for name, state in compiled(case).items():
        ledger = steady(ledger_needs(network, lock, name))
        for purpose, number in ledger.tables:
            routes = [route for route in state.routes if route.table == number]
            if purpose == "near":
                continue
            last = {route.prefix for route in routes if (route.kind, route.metric) == (RouteKind.UNREACHABLE, BEHIND)}
            assert last == {family.everything for family in FAMILIES}
            others = [route for route in routes if route.kind is not RouteKind.UNREACHABLE]
            exits = {one.device for choice in state.choices if choice.table == number for one in choice.exits}
            assert {route.device for route in others} == (exits or {purpose.removeprefix("exit:")})
            own = {
                Family.IPV6.everything
                for way in network.ways
                if way.portal.source.kind is PlaceKind.HOST
                and way.hops[0] == name
                and Family.IPV6 in way.portal.families
            }
            led = {route.prefix for route in others} - {family.everything for family in network.families}
            assert led <= own


@given(CASES)
@over_networks
def test_behind_every_near_route_stands_an_unreachable(case: Case) -> None:
    """A device that is gone blocks what was meant for it, and nothing hides a route that is there."""
    network, lock = case
    for name, state in compiled(case).items():
        table = steady(ledger_needs(network, lock, name)).table("near")
        near = [route for route in state.routes if route.table == table]
        ends = [route.prefix for route in near if route.kind is RouteKind.UNREACHABLE]
        for route in near:
            if route.kind is RouteKind.UNICAST:
                assert any(covers(end, route.prefix) for end in ends), (name, route)
                assert not any(covers(route.prefix, end) and end != route.prefix for end in ends), (name, route)
            elif route.kind is RouteKind.BLACKHOLE:  # a chain's address is nobody's where it begins
                assert any(
                    str(route.prefix).partition("/")[0] in map(str, one.addresses) for one in lock.by_name[name].chains
                )
            else:
                assert route.metric == BEHIND
        assert len({(route.prefix, route.metric) for route in near}) == len(near)


@given(CASES)
@over_networks
def test_no_two_peers_of_a_device_share_an_allowed_ip(case: Case) -> None:
    for state in compiled(case).values():
        for interface in state.interfaces:
            for one, other in combinations(interface.peers, 2):
                for mine in one.allowed_ips:
                    for theirs in other.allowed_ips:
                        assert not covers(mine, theirs) and not covers(theirs, mine), (interface.name, mine, theirs)
            for peer in interface.peers:
                assert len(set(peer.allowed_ips)) == len(peer.allowed_ips)


@given(CASES)
@over_networks
def test_both_ends_of_a_tunnel_agree(case: Case) -> None:
    """Who dials, dials the port of the device that holds it, and somebody dials; each lets in the other's address."""
    network, _ = case
    states = compiled(case)
    keys = {host.key: host.name for host in network.hosts}
    held = {
        (state.host, keys[peer.public_key]): (interface, peer)
        for state in states.values()
        for interface in state.interfaces
        for peer in interface.peers
        if peer.public_key in keys
    }
    for (here, there), (interface, peer) in held.items():
        far, back = held[there, here]
        assert peer.endpoint is not None or back.endpoint is not None
        if peer.endpoint is not None:
            assert peer.endpoint.port == far.listen_port
        for address in interface.addresses:
            assert any(covers(prefix, address.ip) for prefix in back.allowed_ips), (here, there)


@given(CASES)
@over_networks
def test_a_device_and_its_host_agree(case: Case) -> None:
    """It dials the port at which it is held, both have one MTU, and what is nested is led into the gateway's tunnel."""
    network, lock = case
    states = compiled(case)
    for device in network.devices:
        (own,) = compile_device(network, lock, device.name, Surroundings(stated=True)).interfaces
        state = states[device.into]
        (held,) = [one for one in state.interfaces if any(peer.public_key == device.key for peer in one.peers)]
        assert own.peers[0].endpoint is not None
        assert own.peers[0].endpoint.port == held.listen_port and own.mtu >= held.mtu
        assert {address.network for address in own.addresses} == set(held.peer(device.key).allowed_ips)
        nested = network.dials(device) != device.into
        assert (held.fwmark == 0) is nested
        assert any(rule.sport == held.listen_port for rule in state.rules) is nested


@given(CASES, st.sampled_from(tuple(OWNER_SLOTS)))
@over_networks
def test_numbers_stay_within_the_ledger(case: Case, slot: int) -> None:
    """Priorities, tables, marks of packets and connections: ours only, and only under our mask."""
    for state in compiled(case, slot).values():
        for rule in state.rules:
            assert rule.priority in PRIORITIES or rule.priority in FRONT_PRIORITIES
            assert rule.table in (0, 254) or rule.table in TABLES
            assert not rule.mark_mask or rule.mark_mask == MARK_MASK
            assert rule.mark in (0, OUTER_MARK, UPLINK_MARK, *MARKS)
        assert {route.table for route in state.routes} <= set(TABLES)
        assert {interface.fwmark for interface in state.interfaces} <= {OUTER_MARK, 0}
        for table in state.tables:
            for chain in table.chains:
                for deed in (deed for rule in chain.rules for deed in rule.statements):
                    if isinstance(deed, SetMark):
                        assert deed.mask == MARK_MASK and deed.value in (0, OUTER_MARK, UPLINK_MARK, *MARKS)
                    if isinstance(deed, SetCtMark):
                        assert deed.mask == MARK_MASK and deed.value in (UPLINK_MARK, PORTAL_MARK, *MARKS)


@given(CASES, st.permutations(tuple(OWNER_SLOTS)))
@over_networks
def test_two_owners_never_have_the_same_rule(case: Case, slots: list[int]) -> None:
    """Each could be taken away by its owner without touching the other's: at every step both stand side by side."""
    one, other = (compiled(case, slot) for slot in slots[:2])
    for name in one:
        mine, theirs = set(one[name].rules), set(other[name].rules)
        assert not mine & theirs
        assert {rule.priority for rule in mine}.isdisjoint(rule.priority for rule in theirs)


@given(CASES)
@over_networks
def test_rules_of_one_step_need_no_order(case: Case) -> None:
    """Re-added in any order they decide the same: no packet is matched by two that say different things.

    Own-traffic exemptions may overlap: all of them lead to main.
    """
    for state in compiled(case).values():
        for one, other in combinations(state.rules, 2):
            if (one.family, one.priority) != (other.family, other.priority) or one.table == other.table == 254:
                continue
            said = {(rule.table, rule.action, rule.suppress_prefixlength) for rule in (one, other)}
            assert len(said) == 1 or _apart(one, other), (one, other)


def _apart(one: Rule, other: Rule) -> bool:
    """Whether no packet is matched by both."""
    if one.iif != other.iif or one.mark != other.mark or (one.oif and other.oif and one.oif != other.oif):
        return True
    for mine, theirs in ((one.source, other.source), (one.destination, other.destination)):
        if mine is not None and theirs is not None and not covers(mine, theirs) and not covers(theirs, mine):
            return True
    return False


def test_adding_a_portal_leaves_the_far_sides_port_alone() -> None:
    """Tokyo's shared device keeps its port and its other peers when New York begins to exit there."""
    network = portals_network()
    without = replace(network, portals=tuple(p for p in network.portals if p.exit != "tokyo"))

    before, after = (compiled((one, lock_of(one)))["tokyo"].interface("portals") for one in (without, network))

    assert before.listen_port == after.listen_port
    assert {peer.name for peer in before.peers} == {peer.name for peer in after.peers}
