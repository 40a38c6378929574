"""Countries and lists as walk sees them: what they exempt leaves at home, and without nft by the exit."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from tests.core.compile.networks import portals_network
from tests.core.sets import read_sets
from tests.core.walk.scenes import FOUR, SIX, Walked
from warren.core.sets import fill
from warren.core.verify import Kind, verify
from warren.core.walk import FirewallGone
from warren.model.expect import Down
from warren.model.host import Lan
from warren.model.named_set import SetUse
from warren.model.network import Network
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Family

XX = {FOUR: "45.13.0.9", SIX: "2620:100::9"}
ELSEWHERE = {FOUR: "1.1.1.1", SIX: "2606:4700::1111"}
USES = (SetUse("country:XX"),)


def network(**what: object) -> Network:
    """The portals network, each of whose portals names a country."""

    def named(portal: Portal) -> Portal:
        families = portal.families if portal.via else FAMILIES
        return replace(portal, families=families, **what)  # type: ignore[arg-type]

    whole = portals_network()
    return fill(replace(whole, portals=tuple(map(named, whole.portals))), read_sets)


EXCEPT = Walked(network(excepted=USES))
ONLY = Walked(network(only=USES))
SOURCES = [
    ("nyc.eth2", "nyc", "paris"),
    ("paris.wlan0", "paris", "nyc"),
    ("nyc.eth1.02:00:5e:00:00:32", "nyc", "tokyo"),
    ("tokyo", "tokyo", "nyc"),
]
asked = pytest.mark.parametrize(
    ("source", "home", "exit_", "family"), [(*way, family) for way in SOURCES for family in FAMILIES]
)


@asked
def test_a_set_divides_a_portal(source: str, home: str, exit_: str, family: Family) -> None:
    assert EXCEPT.trace(source, XX[family], family=family).exit == home
    assert EXCEPT.trace(source, ELSEWHERE[family], family=family).exit == exit_
    assert ONLY.trace(source, XX[family], family=family).exit == exit_
    assert ONLY.trace(source, ELSEWHERE[family], family=family).exit == home


@asked
def test_a_dead_exit_blocks_only_what_goes_there(source: str, home: str, exit_: str, family: Family) -> None:
    down = (Down(host=exit_),)

    assert EXCEPT.trace(source, XX[family], family=family, down=down).exit == home
    assert EXCEPT.trace(source, ELSEWHERE[family], family=family, down=down).exit == ""
    assert ONLY.trace(source, XX[family], family=family, down=down).exit == ""
    assert ONLY.trace(source, ELSEWHERE[family], family=family, down=down).exit == home


@asked
def test_without_the_table_everything_goes_through_the_exit(source: str, home: str, exit_: str, family: Family) -> None:
    if "02:00" in source:
        return  # a MAC is told by nft alone
    for walked in (EXCEPT, ONLY):
        for to in (XX, ELSEWHERE):
            trace = walked.trace(source, to[family], FirewallGone(home), family=family)
            # Beside a chain's tunnel the exit takes only sources that nft rewrites, and refuses the others.
            assert (trace.exit or trace.at) == exit_


def test_a_chain_has_exemptions_too() -> None:
    source = "nyc.eth1=192.168.1.51/32"

    assert EXCEPT.trace(source, XX[FOUR]).exit == "nyc"
    assert EXCEPT.trace(source, ELSEWHERE[FOUR]).exit == "tokyo"


def test_what_is_near_is_never_exempted() -> None:
    assert ONLY.trace("nyc.eth2", "192.168.22.100").path == ("nyc", "paris")
    assert ONLY.trace("tokyo", "192.168.22.100").path == ("tokyo", "paris")


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("source", ["nyc.eth2", "nyc.eth1.02:00:5e:00:00:32", "nyc"])
def test_own_lans_with_public_addresses_are_never_swallowed(source: str, closed: bool) -> None:
    """A LAN within the country's own blocks is reached as ever, by everybody at home, whatever is exempted."""
    public = Lan("eth3", (ip_interface("45.12.9.1/24"), ip_interface("2620:100:9::1/64")), closed)
    for what in ({"excepted": USES}, {"only": USES}):
        whole = network(**what)
        hosts = tuple(replace(one, lans=(*one.lans, public)) if one.name == "nyc" else one for one in whole.hosts)
        walked = Walked(replace(whole, hosts=hosts))
        for family, to in ((FOUR, "45.12.9.7"), (SIX, "2620:100:9::7")):
            trace = walked.trace(source, to, family=family)
            assert (trace.exit, trace.path) == ("", ("nyc",)), trace.says


def test_a_narrower_portal_without_sets_keeps_its_own_way() -> None:
    whole = network(excepted=USES)
    plain = tuple(replace(one, excepted=()) if one.via or one.source.mac else one for one in whole.portals)
    wide = replace(whole.portals[0], source=replace(whole.portals[0].source, lan="eth1"))
    walked = Walked(replace(whole, portals=(*plain, wide)))

    assert walked.trace("nyc.eth1=192.168.1.51/32", XX[FOUR]).exit == "tokyo"
    assert walked.trace("nyc.eth1.02:00:5e:00:00:32", XX[FOUR]).exit == "tokyo"
    assert walked.trace("nyc.eth1", XX[FOUR]).exit == "nyc"
    assert walked.trace("nyc.eth1", ELSEWHERE[FOUR]).exit == "paris"


@pytest.mark.parametrize("walked", [EXCEPT, ONLY], ids=["except", "only"])
def test_verify_proves_both_sides(walked: Walked) -> None:
    scene = walked.scene
    verdicts = verify(walked.network, walked.lock, scene.states, scene.surroundings, scene.world)

    assert [one for one in verdicts if not one.holds] == []
    assert sum(one.kind is Kind.EXEMPT for one in verdicts) == 9  # the chain has one family


def test_verify_sees_that_nothing_is_exempted() -> None:
    state = EXCEPT.state("nyc")
    table = replace(state.tables[0], sets=tuple(replace(s, elements=()) for s in state.tables[0].sets))
    walked = EXCEPT.change("nyc", state=replace(state, tables=(table,)))
    scene = walked.scene
    verdicts = verify(walked.network, walked.lock, scene.states, scene.surroundings, scene.world)

    assert {one.kind for one in verdicts if not one.holds} >= {Kind.EXEMPT}
