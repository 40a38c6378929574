"""Nothing of a portal is ever on the uplink: whatever breaks, while it is put up, altered, and taken down.

Every case has a world of its own. The probes are seen on the uplink before anything is applied, and not once after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.compile.networks import lock_of, portals_network
from tests.kernel.leaks import BREAKS, BY_RULES, HALVES, RULES, SOURCES, TABLE, Watcher
from tests.kernel.portals import LAN, PLAIN, fresh
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world, a_world, rise
from warren.core.diff import diff
from warren.core.render.commands import commands
from warren.model.change import Item, PutTable, Rune
from warren.model.state import HostState

pytestmark = pytest.mark.lab

NETWORK = portals_network()


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network's world, nothing applied."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


def none(counted: dict[str, int]) -> dict[str, int]:
    """The same counts, all zero."""
    return dict.fromkeys(counted, 0)


@pytest.mark.parametrize("breaks", BREAKS, ids=", ".join)
def test_nothing_leaks_when(bare: Remote, breaks: dict[str, str]) -> None:
    """Streams that run and flows that begin afterwards, from every kind of source, in both families."""
    watcher = Watcher(bare, BY_RULES if TABLE in breaks.values() else SOURCES)
    assert all(watcher.probe().values()), "each probe can be seen before anything is applied"
    rise(bare)
    assert not any(watcher.probe(timeout=4).values())
    watcher.begin()
    for says, script in breaks.items():
        for host in ("nyc", "paris", "tokyo"):
            bare.sh(host, script)
        begun_after, streamed = watcher.probe(), watcher.streamed()
        assert (begun_after, streamed) == (none(begun_after), none(streamed)), says
    watcher.end()
    to = fresh()
    uplink = bare.watch("nyc", "eth0", to)
    bare.ask([Question(PLAIN, to, timeout=0.3)])
    assert bare.seen(uplink), "the uplink itself still carries what has no portal"


def test_all_guards_gone_leaks(bare: Remote) -> None:
    """The probes can see a leak: with rules and table gone all of it leaves by the uplink."""
    rise(bare)
    watcher = Watcher(bare)
    watcher.begin()
    for host in ("nyc", "paris", "tokyo"):
        bare.sh(host, RULES + ";" + TABLE)
    assert all(watcher.probe().values())
    assert all(watcher.end().values())


def test_losing_the_table_or_halves_in_main_changes_no_way(tmp_path: Path) -> None:
    """A portal by rules goes on working at its entry, where a foreign route or a flushed ruleset would lead it out.

    Not so one that shares its tunnel with a chain: without nft its packets cannot be told apart, and are refused.
    """
    network = replace(NETWORK, portals=tuple(one for one in NETWORK.portals if not one.via))
    with a_risen_world(network, lock_of(network), tmp_path) as world:
        for host in ("nyc", "tokyo"):
            world.sh(host, HALVES)
        asked = [Question(LAN, fresh(), "tcp"), Question(LAN, fresh(6)), Question("tokyo", fresh())]
        assert world.ask(asked) == [*world.seen_as("paris"), world.seen_as("nyc")[0]]
        world.sh("nyc", "nft flush ruleset")
        asked = [Question(LAN, fresh(), "tcp"), Question(LAN, fresh(6))]
        assert world.ask(asked) == [*world.seen_as("paris")]


def test_every_step_up_and_down_keeps_the_portal_in(bare: Remote) -> None:
    """From the first command that stands until the last one falls, not a packet; before and after, plenty."""
    states = rise(bare, old_flows=True)
    up, empty = states["nyc"], HostState("nyc", "portals", states["nyc"].backend)
    watcher = Watcher(bare, SOURCES[:3])
    watcher.begin(rate=500)
    captures = {name: capture for name, capture, _ in watcher.streams}

    def leaked(capture: int) -> int:
        return len(bare.seen(capture, stop=False))

    down = commands(diff(empty, up, up), "portals")
    assert "remove nft table" in down[-1].says
    for command in down[:-1]:
        bare.run_command("nyc", command)
        assert {name: leaked(capture) for name, capture in captures.items()} == none(captures), command.says
    bare.run_command("nyc", down[-1])
    assert all(bare.wait_packets(capture) for capture in captures.values()), "without any guard it leaks"

    again = commands(diff(up, empty, empty), "portals")
    assert again[0].says.startswith("nft table")
    bare.run_command("nyc", again[0])
    for capture in captures.values():
        leaked(capture)
    for command in again[1:]:
        bare.run_command("nyc", command)
        assert {name: leaked(capture) for name, capture in captures.items()} == none(captures), command.says
    watcher.end()


def test_twenty_replacements_under_load(bare: Remote) -> None:
    """The table is replaced in one transaction: nothing leaks, and the streams go on."""
    states = rise(bare)
    watcher = Watcher(bare, SOURCES[:3])
    watcher.begin(rate=500)
    (table,) = states["nyc"].tables
    (command,) = commands((Item(PutTable(table, table), Rune.ALTER, "a trial"),), "portals")
    for _, _, stream in watcher.streams:
        bare.flood_answers(stream)
    for _ in range(20):
        bare.run_command("nyc", command)
    answered = {name: bare.flood_answers(stream, 1) for name, _, stream in watcher.streams}
    assert all(answered.values())
    counted = watcher.end()
    assert counted == none(counted)
