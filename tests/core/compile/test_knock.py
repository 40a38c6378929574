"""Hosts that are knocked at: what their table closes, to whom, how closed looks, and what a walk makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.compile.networks import OVERLAY, host, lock_of, place
from tests.core.walk.scenes import Walked, expecting, to_target
from warren.core.compile import compile_host
from warren.core.obstacles import find_obstacles
from warren.core.render.nft import render_table
from warren.core.render.subject import state_of
from warren.core.render.wgquick import render_wg_quick
from warren.core.verify import verify
from warren.model.expect import Expect
from warren.model.host import Host
from warren.model.knock import Knock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import ForeignChain, Surroundings

DROPS = ForeignChain("inet", "filter", "input", "input", 0, policy="drop", rules=3)


def network(knock: Knock | None = Knock(), *more: Host) -> Network:  # noqa: B008 - a frozen value
    nyc = host("nyc", "203.0.113.10", knock=knock)
    return Network("net", OVERLAY, (nyc, host("paris"), host("rome"), *more))


def compiled(of: Network, name: str = "nyc", *chains: ForeignChain) -> HostState:
    return compile_host(of, lock_of(of), name, Surroundings(chains=chains))


def rules(state: HostState, about: str) -> list[str]:
    return [line.strip() for line in render_table(state.tables[0]).splitlines() if about in line]


def test_the_ports_are_closed_to_new_flows_of_who_has_not_knocked() -> None:
    four, six = rules(compiled(network()), "that knocked")

    assert four.startswith(
        'udp dport 51820 ct state != established ip saddr != @knocked4 iifname != "net" '
        "counter reject with icmpx port-unreachable"
    )
    assert "ip6 saddr != @knocked6" in six


def test_who_is_let_in_runs_out_and_is_kept_over_an_apply() -> None:
    state = compiled(network(Knock(open_for=900)))
    sets = {held.name: held for held in state.tables[0].sets if held.name.startswith("knocked")}

    assert sorted(sets) == ["knocked4", "knocked6"]
    assert all(held.live and held.timeout == 900 for held in sets.values())
    again = render_table(state.tables[0], state.tables[0])
    assert "delete set inet warren-net knocked" not in again


def test_closed_is_silent_where_another_firewall_drops() -> None:
    silent = compiled(network(), "nyc", DROPS)
    only_four = compiled(network(), "nyc", replace(DROPS, family="ip"))

    assert all("counter drop" in line for line in rules(silent, "that knocked"))
    assert [("drop" in line, "reject" in line) for line in rules(only_four, "that knocked")] == [
        (True, False),
        (False, True),
    ]


def test_nobody_else_has_anything_of_it() -> None:
    with_, without = compiled(network(), "paris"), compiled(network(None), "paris")

    assert with_.knocks == ("nyc",) and with_.knock is None
    assert with_.tables == without.tables
    assert compiled(network(None)).tables == replace(compiled(network(None)), knock=None).tables
    assert rules(compiled(network(None)), "knock") == []


def test_traceroute_is_heard_in_front_of_everything_but_at_wireguards_own_port() -> None:
    four, six = rules(compiled(network(Knock(traceroute=51800))), "traceroute")

    assert four.startswith(
        'udp dport { 51800-51819, 51821-51899 } ip ttl 1 fib daddr type local iifname != "net" '
        "update @knocked4 { ip saddr }"
    )
    assert "ip6 hoplimit 1" in six and "update @knocked6 { ip6 saddr }" in six
    (whole, _) = rules(compiled(network(Knock(traceroute=19000))), "traceroute")
    assert whole.startswith("udp dport 19000-19099 ")


def test_a_plan_says_what_follows() -> None:
    told = [one.what for one in find_obstacles(compiled(network(Knock(run=("/bin/true", "-x")))), Surroundings())]
    knocks = [one.what for one in find_obstacles(compiled(network(), "paris"), Surroundings())]

    assert any("(51820) open only to peers that knock; only the agent hears" in one for one in told)
    assert "at a knock the agent runs `/bin/true -x` as nobody" in told
    assert "nyc answers only to who knocked" in knocks


# --- what is rendered has no agent -----------------------------------------------------------------------------


def test_a_rendered_host_stays_open_and_says_so() -> None:
    of = network()
    state = state_of(of, lock_of(of), "nyc")
    told = [str(one) for one in render_wg_quick(state).unsaid]

    assert rules(state, "knock") == []
    assert told == [
        "that WireGuard's ports of nyc answer only peers that knocked: there is no agent that hears them; "
        "the ports are open to everybody"
    ]


def test_a_rendered_host_hears_traceroute_by_itself() -> None:
    of = network(Knock(traceroute=19000))
    state = state_of(of, lock_of(of), "nyc")

    assert len(rules(state, "a knock of traceroute")) == len(rules(state, "that knocked")) == 2
    assert any("only traceroute's is heard" in str(one) for one in render_wg_quick(state).unsaid)


def test_a_rendered_host_that_has_to_knock_says_so() -> None:
    of = network()
    told = [str(one) for one in render_wg_quick(state_of(of, lock_of(of), "paris")).unsaid]

    assert any(one.startswith("that paris knocks at nyc: there is no agent that does it") for one in told)


# --- walks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("knock", [Knock(), Knock(traceroute=19000)])
def test_members_get_in_and_strangers_do_not(knock: Knock) -> None:
    walked = Walked(
        expecting(
            network(knock),
            Expect(place("paris"), to_target("nyc"), arrives=True),
            Expect(place("nyc"), to_target("rome"), arrives=True),
        )
    )
    scene = walked.scene

    verdicts = verify(walked.network, walked.lock, scene.states, scene.surroundings, scene.world)

    assert [one for one in verdicts if not one.holds] == []


def test_who_cannot_knock_has_no_tunnel() -> None:
    walked = Walked(expecting(network(), Expect(place("paris"), to_target("nyc"), arrives=True)))
    deaf = walked.change("paris", state=replace(walked.state("paris"), knocks=()))
    scene = deaf.scene

    verdicts = verify(deaf.network, deaf.lock, scene.states, scene.surroundings, scene.world)

    assert any(not one.holds and "that knocked" in str(one) for one in verdicts)
