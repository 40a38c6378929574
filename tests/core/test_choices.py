"""What the agent chose: an apply leaves it alone, walk knows where it leads, and it goes with its portal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network

import pytest

from tests.core.compile.networks import lock_of
from tests.core.compile.test_golden import FAILOVER, FAILOVER_LOCK
from warren.core.choices import as_chosen, chosen_route, rank_of
from warren.core.compile import compile_network
from warren.core.diff import diff
from warren.core.verify import verify
from warren.core.walk import Chosen, DeviceGone, FirewallGone, HostDown, Probe, RulesGone, TunnelDown, Walker, spot_of
from warren.core.walk.course import OnHost
from warren.core.walk.places import STRANGER
from warren.core.walk.scene import Scene
from warren.core.world import place_world, surroundings_of
from warren.model.change import AddRoute, DropRoute
from warren.model.choice import DIRECT
from warren.model.expect import Down, Expect, Target
from warren.model.place import Place, PlaceKind
from warren.model.portal import IfDown, Nat, Portal
from warren.model.prefix import FAMILIES, Family
from warren.model.state import HostState, Route, RouteKind


@cache
def walker() -> Walker:
    world = place_world(FAILOVER, FAILOVER_LOCK)
    around = {node.name: surroundings_of(world, FAILOVER, node.name) for node in world.machines}
    return Walker(Scene(compile_network(FAILOVER, FAILOVER_LOCK, around), around, world))


def berlin() -> HostState:
    return walker().scene.states["berlin"]


def exit_of(source: int, family: Family, *faults: object) -> str:
    """Where a stranger's address is reached from the example's portal of that number."""
    start = spot_of(walker().scene.world, FAILOVER.portals[source].source)
    return walker().broken(*faults).walk(Probe(start, STRANGER[family])).exit  # type: ignore[arg-type]


@pytest.mark.parametrize("rank", [0, 1])
def test_an_apply_leaves_it_alone(rank: int) -> None:
    state = berlin()
    chosen = state
    for choice in state.choices:
        if len(choice.exits) > rank:
            chosen = as_chosen(chosen, choice, rank)

    assert diff(state, chosen, state) == ()
    assert all(rank_of(one, chosen.routes) == min(rank, len(one.exits) - 1) for one in state.choices)


def test_whatever_else_stands_there_is_taken_away() -> None:
    """A metric alone makes no route the agent's."""
    state = berlin()
    table = state.choices[0].table
    foreign = [
        Route(Family.IPV4.everything, table, "wan", metric=1),
        Route(Family.IPV4.everything, table, kind=RouteKind.UNREACHABLE, metric=2),
        replace(chosen_route(state.choices[0], 1), table=state.routes[0].table),  # type: ignore[type-var]
    ]

    items = diff(state, replace(state, routes=(*state.routes, *foreign)), state)

    assert {item.change for item in items} == {DropRoute(route) for route in foreign}


def test_it_goes_with_its_portal_and_with_its_exit() -> None:
    state = berlin()
    chosen = as_chosen(state, state.choices[0], 1)
    without = replace(state, choices=())
    shorter = replace(state, choices=tuple(replace(one, exits=one.exits[:1]) for one in state.choices))

    for desired in (without, shorter):
        dropped = [item.change for item in diff(desired, chosen, state) if isinstance(item.change, DropRoute)]
        assert dropped == [DropRoute(chosen_route(state.choices[0], 1))]  # type: ignore[arg-type]
    assert not [item for item in diff(state, chosen, state) if isinstance(item.change, AddRoute)]


@pytest.mark.parametrize("family", FAMILIES)
def test_walk_takes_the_first_exit_that_answers(family: Family) -> None:
    assert exit_of(0, family) == "nyc"
    assert exit_of(0, family, HostDown("nyc")) == "tokyo"
    assert exit_of(0, family, TunnelDown("nyc", "berlin")) == "tokyo"
    assert exit_of(0, family, DeviceGone("berlin", "spare-nyc")) == "tokyo"
    assert exit_of(0, family, HostDown("tokyo")) == "nyc"
    assert exit_of(0, family, HostDown("tokyo"), HostDown("nyc")) == ""
    assert exit_of(2, family, HostDown("nyc")) == "tokyo"


def test_the_uplink_comes_last_and_needs_the_firewall() -> None:
    """Marks exempt: with the table lost, nothing leaves directly."""
    choice = next(one for one in berlin().choices if one.direct and one.family is Family.IPV4)
    direct = Chosen("berlin", choice.portal, Family.IPV4, DIRECT)

    assert exit_of(1, Family.IPV4, HostDown("tokyo")) == "berlin"
    assert exit_of(1, Family.IPV4, direct) == "berlin"
    assert exit_of(1, Family.IPV4, direct, FirewallGone("berlin")) == "tokyo"
    assert exit_of(0, Family.IPV4, direct) == "nyc"


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_is_chosen_either_guard_holds(family: Family) -> None:
    for choice in berlin().choices:
        if choice.family is family and len(choice.exits) > 1:
            chosen = Chosen("berlin", choice.portal, family, 1)
            source = next(at for at, one in enumerate(FAILOVER.portals) if choice.portal.startswith(f"{one.source} "))
            assert exit_of(source, family, chosen, FirewallGone("berlin")) == "tokyo"
            assert exit_of(source, family, chosen, RulesGone("berlin")) == ""


def test_what_is_asked_leaves_by_the_exit_it_is_asked_through() -> None:
    """Whatever is in use, and though a portal takes the host's own traffic."""
    for choice in berlin().choices:
        for one in choice.exits:
            for address in choice.health:
                trace = walker().walk(Probe(OnHost("berlin"), address, device=one.device))
                assert (trace.exit, trace.reply is not None and trace.reply.arrived) == (one.host, True)


def test_an_exit_that_cannot_be_asked_through_is_found() -> None:
    """Verify asks as the agent does: without the rule for what is bound to a device, IPv6 has no route."""
    state = berlin()
    deaf = replace(state, rules=tuple(rule for rule in state.rules if not rule.oif and rule.iif != "lo"))
    scene = walker().scene
    verdicts = verify(FAILOVER, FAILOVER_LOCK, {**scene.states, "berlin": deaf}, scene.surroundings, scene.world)

    assert [one for one in verdicts if one.kind == "health" and not one.holds]


ONE = "192.168.66.9/32"
KINDS = {
    "kept": {"nat": Nat.AUTO},
    "rewritten": {"nat": Nat.SNAT},
    "routed": {"nat": Nat.ROUTED},
    "one machine, directly at last": {
        "source": "192.168.66.9/32",
        "families": (Family.IPV4,),
        "if_down": IfDown.DIRECT,
    },
    "one machine, routed": {"source": ONE, "families": (Family.IPV4,), "nat": Nat.ROUTED},
    "a MAC, directly at last": {"mac": "02:00:5e:00:00:77", "if_down": IfDown.DIRECT},
    "some leaves at home": {"exceptions": (ip_network("192.0.2.0/24"), ip_network("2001:db8:ff::/48"))},
    "only some": {"only": (ip_network("1.0.0.0/8"), ip_network("2001:4::/32")), "if_down": IfDown.DIRECT},
    "beside a chain": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_portal_is_proved(kind: str) -> None:
    """Each exit by itself, with any one thing broken; that it can be watched; and that the next one is taken."""
    more = dict(KINDS[kind])
    place = Place(PlaceKind.LAN, "berlin", "lan")
    if "source" in more:
        place = Place(PlaceKind.PREFIX, "berlin", "lan", ip_network(str(more.pop("source"))))
    elif "mac" in more:
        place = Place(PlaceKind.MAC, "berlin", "lan", mac=str(more.pop("mac")))
    spare = replace(FAILOVER.portals[0], source=place, health=(), **more)  # type: ignore[arg-type]
    guests = Place(PlaceKind.LAN, "berlin", "guests")
    others = (Portal(guests, "tokyo", via=("nyc",)),) if kind == "beside a chain" else ()
    told = Expect(place, Target(address=ip_address("1.1.1.1")))
    dead = (Down("nyc"), Down("tokyo"))
    at_last: dict[str, object] = {"exit": "berlin"} if more.get("if_down") is IfDown.DIRECT else {"blocked": True}
    expects = (
        replace(told, exit="nyc"),
        replace(told, exit="tokyo", down=dead[:1]),
        replace(told, exit="nyc", down=dead[1:]),
        replace(told, down=dead, **at_last),  # type: ignore[arg-type]
    )
    network = replace(FAILOVER, portals=(spare, *others), expects=expects)
    lock = lock_of(network)
    world = place_world(network, lock)
    around = {node.name: surroundings_of(world, network, node.name) for node in world.machines}

    verdicts = verify(network, lock, compile_network(network, lock, around), around, world)

    assert [f"{one.claim} {one.faults}: {one.says}" for one in verdicts if not one.holds] == []
    assert sum(one.kind == "leak" for one in verdicts) >= 3 and any(one.kind == "health" for one in verdicts)


def test_one_more_exit_moves_nobody() -> None:
    """A portal's table and the addresses of its chain are known by its first exit."""
    base = replace(FAILOVER.portals[0], if_down=IfDown.DIRECT)
    one, two = (replace(FAILOVER, portals=(replace(base, spare=spare),)) for spare in ((), ("tokyo",)))
    first, second = (compile_network(network, lock_of(network), {})["berlin"].choices[0] for network in (one, two))

    assert first.portal == second.portal == "berlin.lan -> nyc"
    assert [len(choice.exits) for choice in (first, second)] == [1, 2]
