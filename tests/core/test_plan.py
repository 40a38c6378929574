"""A plan as people read it and as scripts do."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.core.render.states import changed, nyc
from warren.core.plan import describe, make_plan, plan_json
from warren.model.change import Plan, SetSysctl
from warren.model.endpoint import Endpoint
from warren.model.prefix import Family
from warren.model.state import HostState, Route, Sysctl
from warren.model.surroundings import ForeignChain, Surroundings

GOLDEN = Path(__file__).parents[1] / "golden" / "plan"
NOTHING = HostState("nyc", "portals")
BOOT = {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.eth0.accept_ra": "1"}
DOCKER = Surroundings(chains=(ForeignChain("ip", "filter", "FORWARD", "forward", 0, "drop", 4, "docker"),))


def plans() -> dict[str, Plan]:
    booted = replace(NOTHING, sysctls=tuple(Sysctl(name, value) for name, value in BOOT.items()))
    return {
        "up": make_plan(nyc(), booted, None, DOCKER),
        "change": make_plan(changed(nyc()), nyc(), nyc(), Surroundings()),
        "down": make_plan(NOTHING, nyc(), nyc(), Surroundings(), BOOT),
        "nothing": make_plan(nyc(), nyc(), nyc(), Surroundings()),
    }


@pytest.mark.parametrize("step", ["up", "change", "down", "nothing"])
def test_a_plan_reads_as_in_the_golden_files(step: str) -> None:
    plan = plans()[step]

    assert describe(plan) == (GOLDEN / f"nyc-{step}.txt").read_text()
    assert json.dumps(plan_json(plan), indent=1) + "\n" == (GOLDEN / f"nyc-{step}.json").read_text()


def test_twenty_thousand_routes_are_summed_up_for_people_and_listed_for_scripts() -> None:
    routes = tuple(Route(ip_network((0x0A000000 + (n << 8), 24)), 7700, "portals") for n in range(20_000))
    plan = make_plan(replace(nyc(), routes=routes), nyc(), nyc(), Surroundings())

    text = describe(plan)

    assert len(text.splitlines()) < 60 and "… and 19988 more" in text
    changes = plan_json(plan)["changes"]
    assert isinstance(changes, list) and len(changes) > 20_000


def test_no_secret_and_no_path_to_one_is_told() -> None:
    for plan in plans().values():
        told = describe(plan) + json.dumps(plan_json(plan))
        assert "private" not in told.lower() and "/etc/warren" not in told


def test_settings_that_cannot_be_written_are_left_out_and_said() -> None:
    plan = make_plan(nyc(), NOTHING, None, Surroundings(read_only_sysctls=True))

    assert not any(isinstance(item.change, SetSysctl) for item in plan.items)
    assert any("cannot be written here" in obstacle.what for obstacle in plan.obstacles)


def test_a_peer_with_a_new_endpoint_and_more_prefixes_says_both() -> None:
    shared = nyc().interfaces[0]
    tokyo = shared.peers[0]
    more = replace(
        tokyo, allowed_ips=(*tokyo.allowed_ips, ip_network("10.9.0.0/24")), endpoint=Endpoint("t.example", 9)
    )
    wanted = replace(nyc(), interfaces=(replace(shared, peers=(more,)), nyc().interfaces[1]))

    text = describe(make_plan(wanted, nyc(), nyc(), Surroundings()))

    assert "~ peer tokyo of portals   tokyo may also use 10.9.0.0/24; is dialled at t.example:9" in text


def test_each_rule_says_what_it_is_for() -> None:
    rules = {
        item.change.rule.priority: item.reason
        for item in plans()["up"].items
        if hasattr(item.change, "rule")
        and getattr(item.change.rule, "family", None) is Family.IPV4
        and hasattr(item.change.rule, "priority")
    }  # type: ignore[union-attr]

    assert rules == {
        7700: "WireGuard's own packets leave by the uplink, never through a tunnel",
        7712: "the network's own prefixes come before every portal",
        7730: "what is marked for an exit that has no route is refused",
        7778: "what comes in at eth2 leaves by portals-paris (to paris)",
    }
