"""The leak suite itself: it finds nothing where all stands, and finds it in every group where the guards are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.test_examples import warren
from warren.lab.control import Session, start
from warren.lab.leaks.play import Outcome, from_dict
from warren.lab.leaks.scenarios import GROUPS, SCENARIOS
from warren.lab.leaks.suite import HOLDER, choose, stock_world

pytestmark = pytest.mark.lab

# A few of every group, none that takes long.
CHOSEN = (
    "flush-ruleset",
    "specific-routes",
    "rules-deleted",
    "exit-captive",
    "apply-again",
    "redirects",
    "forged-sources",
)
# In every group one that leaves the uplinks alive; with every guard gone it must be seen there.
SABOTAGED = {
    "firewall": "ttl-and-dscp",
    "routes": "half-routes",
    "rules": "rule-behind",
    "tunnels": "mtu-shrunk",
    "exits": "exit-devices-deleted",
    "applies": "apply-again",
    "programs": "agent-killed",
    "networks": "second-network",
    "uplink": "neighbours-forgotten",
    "settings": "redirects",
    "clients": "dns-anywhere",
    "resolvers": "exit-names-killed",
}
# A resolver that asks by whatever way there is: its own host may, so that only the name tells whose question it was.
BY_ANY_WAY = """
cd /run/warren-lab/home/state/services/resolvers
sed -i 's/^server=.*/server=9.9.9.9/' lan-lan1.conf
kill -USR1 $(cat lan-lan1.pid)
"""


@pytest.fixture(scope="module")
def lane() -> Iterator[Session]:
    """A lab in which scenarios are played."""
    with start(stock_world(), None, holder=HOLDER) as session:
        yield session


@pytest.fixture(scope="module")
def names() -> Iterator[Session]:
    """One in which names are resolved."""
    with start(stock_world("world_resolvers.yaml"), None, holder=HOLDER) as session:
        yield session


def played(lane: Session, name: str, *, sabotage: bool | str = False, alive: int = 14) -> Outcome:
    (told,) = lane.ask("play", name=name, sabotage=sabotage)
    assert not told["unseen"]
    assert len(told["alive"]) == alive, "every portal's source arrives by its exit when all is well"
    return from_dict(told["outcome"])


@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_leaks_where(lane: Session, name: str) -> None:
    outcome = played(lane, name)
    assert outcome.holds, (outcome.leaks, outcome.short)
    assert outcome.checks and not outcome.spoiled


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("programs", "networks", "resolvers")])
def test_without_guards_it_is_seen(lane: Session, group: str) -> None:
    """Rules and table are taken away before the check: what then leaves is named, with where it was seen."""
    outcome = played(lane, SABOTAGED[group], sabotage=True)
    assert any(leak.startswith("nyc.eth2 ipv4 at eth0 of nyc: IPv4 ") for leak in outcome.leaks), outcome
    assert any(leak.startswith("paris.wlan0 ipv6 at eth0 of paris: IPv6 ") for leak in outcome.leaks), outcome
    assert not outcome.holds
    assert not outcome.spoiled, "the lab comes back even from that"


def test_programs_that_resolve_names_die_and_nobody_else_is_asked(names: Session) -> None:
    outcome = played(names, "dnsmasq-stays-dead", alive=8)
    assert outcome.holds, (outcome.leaks, outcome.short)
    assert outcome.checks == 4 and not outcome.spoiled


@pytest.mark.parametrize(("sabotage", "lan", "asked"), [(True, "lan2", "10.78.0.1"), (BY_ANY_WAY, "lan1", "9.9.9.9")])
def test_a_name_that_is_asked_for_by_the_uplink_is_seen(
    names: Session, sabotage: bool | str, lan: str, asked: str
) -> None:
    outcome = played(names, SABOTAGED["resolvers"], sabotage=sabotage, alive=8)
    told = [leak for leak in outcome.leaks if leak.startswith(f"home.{lan} ipv4 at wan of home: IPv4 UDP ")]
    assert any(f" → {asked}:53, " in leak and ", a name probe" in leak for leak in told), outcome
    assert not outcome.spoiled


def test_there_are_enough_and_each_says_what_it_is() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(set(names)) == len(names) >= 50
    assert set(SABOTAGED) == set(GROUPS)
    assert set(SABOTAGED.values()) | set(CHOSEN) <= set(names)
    chosen, unfit = choose((), None)
    assert len(chosen) == len(names) and not unfit, "in worlds of its own everything can be tried"


def test_the_command_lists_them_and_knows_no_other() -> None:
    listed = json.loads(warren("lab", "leaks", "--list", "--json").stdout)
    assert [one["name"] for one in listed["scenarios"]] == [one.name for one in SCENARIOS]
    unknown = warren("lab", "leaks", "--only", "nonsense")
    assert unknown.returncode == 1 and "no scenario nonsense" in unknown.stderr
