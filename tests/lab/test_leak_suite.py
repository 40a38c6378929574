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
}


@pytest.fixture(scope="module")
def lane() -> Iterator[Session]:
    """A lab in which scenarios are played."""
    with start(stock_world(), None, holder=HOLDER) as session:
        yield session


def played(lane: Session, name: str, *, sabotage: bool = False) -> Outcome:
    (told,) = lane.ask("play", name=name, sabotage=sabotage)
    assert not told["unseen"]
    assert len(told["alive"]) == 14, "every portal's source arrives by its exit when all is well"
    return from_dict(told["outcome"])


@pytest.mark.parametrize("name", CHOSEN)
def test_nothing_leaks_where(lane: Session, name: str) -> None:
    outcome = played(lane, name)
    assert outcome.holds, (outcome.leaks, outcome.short)
    assert outcome.checks and not outcome.spoiled


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("programs", "networks")])
def test_without_guards_it_is_seen(lane: Session, group: str) -> None:
    """Rules and table are taken away before the check: what then leaves is named, with where it was seen."""
    outcome = played(lane, SABOTAGED[group], sabotage=True)
    assert any(leak.startswith("nyc.eth2 ipv4 at eth0 of nyc: IPv4 ") for leak in outcome.leaks), outcome
    assert any(leak.startswith("paris.wlan0 ipv6 at eth0 of paris: IPv6 ") for leak in outcome.leaks), outcome
    assert not outcome.holds
    assert not outcome.spoiled, "the lab comes back even from that"


def test_there_are_enough_and_each_says_what_it_is() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(set(names)) == len(names) >= 50
    assert set(SABOTAGED) == set(GROUPS)
    assert set(SABOTAGED.values()) | set(CHOSEN) <= set(names)
    chosen, unfit = choose((), stock_world())
    assert len(chosen) == len(names) and not unfit, "in the world of its own everything can be tried"


def test_the_command_lists_them_and_knows_no_other() -> None:
    listed = json.loads(warren("lab", "leaks", "--list", "--json").stdout)
    assert [one["name"] for one in listed["scenarios"]] == [one.name for one in SCENARIOS]
    unknown = warren("lab", "leaks", "--only", "nonsense")
    assert unknown.returncode == 1 and "no scenario nonsense" in unknown.stderr
