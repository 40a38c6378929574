"""Names in a walk: what was asked for is known, and of everything else it is said that a name may stand for it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.core.compile.networks import portals_network
from tests.core.sets import read_sets
from tests.core.walk.scenes import FOUR, PUBLIC, SIX, Walked, from_place
from warren.core.sets import fill
from warren.core.verify import Kind, verify
from warren.core.walk import FirewallGone, Walker, probe_of
from warren.model.expect import Expect, Target
from warren.model.named_set import SetUse
from warren.model.prefix import FAMILIES, Family
from warren.model.trace import Note, Trace

NETFLIX = (SetUse("domain:netflix.com"),)


def walked(**what: object) -> Walked:
    network = portals_network()
    portals = tuple(replace(one, families=FAMILIES, **what) for one in network.portals if not one.via)  # type: ignore[arg-type]
    return Walked(fill(replace(network, portals=portals), read_sets))


ONLY, EXCEPT = walked(only=NETFLIX), walked(excepted=NETFLIX)
# Where packets begin, their own host, and the exit.
SOURCES = (("nyc.eth2", "nyc", "paris"), ("nyc.eth1.02:00:5e:00:00:32", "nyc", "tokyo"), ("tokyo", "tokyo", "nyc"))


def to_name(scene: Walked, source: str, family: Family, gone: str = "") -> Trace:
    probe = probe_of(scene.scene.world, scene.lock, from_place(source), Target(name="netflix.com"), family)
    assert probe is not None
    walker = Walker(scene.scene)
    return (walker.broken(FirewallGone(gone)) if gone else walker).walk(probe)


@pytest.mark.parametrize("family", [FOUR, SIX])
@pytest.mark.parametrize(("source", "home", "exit_"), SOURCES)
def test_a_name_that_was_asked_for(source: str, home: str, exit_: str, family: Family) -> None:
    assert to_name(ONLY, source, family).exit == exit_
    assert to_name(EXCEPT, source, family).exit == home
    assert ONLY.trace(source, PUBLIC[family], family=family).exit == home
    assert EXCEPT.trace(source, PUBLIC[family], family=family).exit == exit_


@pytest.mark.parametrize("scene", [ONLY, EXCEPT])
def test_what_is_not_known_is_said(scene: Walked) -> None:
    def notes(trace: Trace) -> list[str]:
        return [step.says for hop in trace.hops for step in hop.steps if isinstance(step, Note)]

    says = "unless a name of domain:netflix.com stands for it, which is known only once it was asked for"
    assert notes(scene.trace("nyc.eth2", PUBLIC[FOUR])) == [says]
    assert notes(to_name(scene, "nyc.eth2", FOUR)) == []


def test_without_the_table_everything_goes_through_the_exit() -> None:
    assert to_name(EXCEPT, "nyc.eth2", FOUR, gone="nyc").exit == "paris"
    assert ONLY.trace("nyc.eth2", PUBLIC[FOUR], FirewallGone("nyc")).exit == "paris"


@pytest.mark.parametrize("scene", [ONLY, EXCEPT])
def test_every_claim_holds(scene: Walked) -> None:
    verdicts = verify(scene.network, scene.lock, scene.scene.states, scene.scene.surroundings, scene.scene.world)

    assert [one.claim for one in verdicts if not one.holds] == []
    assert sum(one.kind is Kind.EXEMPT for one in verdicts) == 8


def test_questions_to_other_resolvers_come_to_ours() -> None:
    for source, family in (("nyc.eth2", FOUR), ("nyc.eth2", SIX)):
        trace = ONLY.trace(source, PUBLIC[family], family=family, proto="udp", port=53)
        assert (trace.exit, trace.at) == ("", "nyc") and trace.arrived
        assert trace.reply is not None and trace.reply.arrived


def test_verify_says_that_a_name_must_have_been_asked_for() -> None:
    expect = Expect(from_place("nyc.eth2"), Target(name="netflix.com"), exit="paris")
    scene = ONLY.scene
    network = replace(
        ONLY.network, expects=(expect, replace(expect, target=Target(address=ip_address("1.1.1.1")), exit="nyc"))
    )
    told = [one.predicted for one in verify(network, ONLY.lock, scene.states, scene.surroundings, scene.world)][:3]

    assert told == ["exits at paris, once it was asked for"] * 2 + ["exits at nyc"]
