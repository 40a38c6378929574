"""Countries and lists with real packets: what they exempt leaves at home, the rest by the exit or not at all.

LAN, one device by its MAC, and own traffic; UDP and TCP; both families.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.cli.shell import warren
from tests.cli.test_sets import written
from tests.core.compile.networks import lock_of, portals_network
from tests.core.sets import read_sets
from tests.core.walk.scenes import Walked
from tests.kernel.leaks import PEERS
from tests.kernel.portals import LAN, MAC, WIFI, fresh
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world
from warren.core.diff import diff
from warren.core.render.commands import commands
from warren.core.sets import fill
from warren.model.change import PutElements
from warren.model.firewall import Table
from warren.model.named_set import SetUse
from warren.model.network import Network
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES
from warren.model.state import HostState

pytestmark = pytest.mark.lab

# Where packets begin, whose uplink they would leave by without a portal, and the portal's exit.
SOURCES = ((LAN, "nyc", "paris"), (WIFI, "paris", "nyc"), (MAC, "nyc", "tokyo"), ("tokyo", "tokyo", "nyc"))
_numbers = count(1)


def network(**what: object) -> Network:
    """The portals network without its chain; every portal is for both families, and names a country."""

    def named(portal: Portal) -> Portal:
        return replace(portal, families=FAMILIES, **what)  # type: ignore[arg-type]

    whole = portals_network()
    return fill(replace(whole, portals=tuple(named(one) for one in whole.portals if not one.via)), read_sets)


def in_xx(version: int) -> str:
    """Give an address of the country XX that nothing else is sent to."""
    number = next(_numbers)
    return f"45.12.{number >> 8}.{number & 255}" if version == 4 else f"2620:100:{number:x}::1"


@pytest.fixture(scope="module", params=["excepted", "only"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The network, up; `except: [country:XX]` and `only: [country:XX]`."""
    it = network(**{request.param: (SetUse("country:XX"),)})
    with a_risen_world(it, lock_of(it), tmp_path_factory.mktemp("keys")) as world:
        yield world


def asked(sources: tuple[tuple[str, str, str], ...] = SOURCES, timeout: float = 2.0) -> list[Question]:
    """Ask an address of the country and one of elsewhere, from everywhere."""
    return [
        Question(place, to, proto, timeout=timeout)
        for place, _, _ in sources
        for version in (4, 6)
        for proto in ("udp", "tcp")
        for to in (in_xx(version), fresh(version))
    ]


def foretold(world: Remote, question: Question) -> str:
    """Name the host by which walk lets a question out."""
    source = "nyc.eth1.02:00:5e:00:00:32" if question.space == MAC else question.space
    family = FAMILIES[":" in question.to]
    return Walked(world.network).trace(source, question.to, family=family).exit


def test_a_set_divides_what_enters_a_portal(world: Remote) -> None:
    """Who is out there sees home's address or the exit's; and walk says the same."""
    only = bool(world.network.portals[0].only)
    ways = {place: (home, exit_) for place, home, exit_ in SOURCES}
    questions = asked()
    at_home = [q.to.startswith(("2620:100:", "45.")) is not only for q in questions]
    hosts = [ways[q.space][0 if home else 1] for q, home in zip(questions, at_home, strict=True)]

    assert world.ask(questions) == [world.seen_as(host)[":" in q.to] for q, host in zip(questions, hosts, strict=True)]
    assert [foretold(world, q) for q in questions[::2]] == hosts[::2]
    assert [foretold(world, q) for q in questions[1::2]] == hosts[1::2]


def test_sites_reach_each_other_all_the_same(world: Remote) -> None:
    """What is near is not exempted, whatever `only:` says."""
    questions = [Question(LAN, "192.168.22.100"), Question(LAN, "fd22:22::64"), Question("tokyo", "192.168.21.100")]

    assert world.ask(questions) == ["192.168.21.100", "fd21:21::64", "10.77.0.3"]


def test_a_refreshed_set_moves_no_flow(world: Remote) -> None:
    """The elements go in one transaction; what has begun goes on where it was, and what begins then follows the new."""
    before: HostState = world.states["nyc"]
    only = bool(world.network.portals[0].only)
    (table,) = before.tables
    emptied = replace(table, sets=tuple(_without_elements(table)))
    after = replace(before, tables=(emptied,))
    to, again = in_xx(4), in_xx(4)
    uplink = world.watch("nyc", "eth0", to)
    flow = world.open_flow(LAN, to, 7000)
    assert world.echo(flow)
    there = len(world.seen(uplink, stop=False))
    assert bool(there) is not only
    (command,) = commands(diff(after, before, before), "portals")
    try:
        world.run_command("nyc", command)
        assert world.echo(flow)
        assert bool(world.seen(uplink)) is not only
        assert world.ask([Question(LAN, again)]) == [world.seen_as("nyc" if only else "paris")[0]]
    finally:
        world.close_flow(flow)
        (back,) = commands(diff(before, after, after), "portals")
        world.run_command("nyc", back)


def _without_elements(table: Table) -> Iterator[object]:
    for held in table.sets:
        yield replace(held, elements=()) if held.name.startswith("country_") else held


def test_a_dead_exit_and_then_a_lost_table(world: Remote) -> None:
    """The exit dead: what is exempted still leaves at home. The table lost: nothing does but a MAC's."""
    only = bool(world.network.portals[0].only)
    for host in ("nyc", "paris", "tokyo"):
        world.sh(host, PEERS)
    leaves = [q.to.startswith(("2620:100:", "45.")) is not only for q in asked()]
    # An answer is waited for, silence only for a moment.
    questions = [replace(q, timeout=5.0 if at_home else 0.4) for q, at_home in zip(asked(), leaves, strict=True)]
    ways = {place: home for place, home, _ in SOURCES}
    out = {address: name for name in ("nyc", "paris", "tokyo") for address in world.seen_as(name)}
    found = [out.get(answer, "") for answer in world.ask(questions)]
    assert found == [ways[q.space] if at_home else "" for q, at_home in zip(questions, leaves, strict=True)]

    for host in ("nyc", "paris", "tokyo"):
        world.sh(host, "nft flush ruleset")
    by_rules = tuple(one for one in SOURCES if one[0] != MAC)
    watched = []
    questions = asked(by_rules, timeout=0.4)
    for question in questions:
        watched.append(world.watch(ways[question.space], "eth0", question.to))
    assert [out.get(answer, "") for answer in world.ask(questions)] == [""] * len(questions)
    assert [len(world.seen(capture)) for capture in watched] == [0] * len(questions)


def test_without_the_table_everything_goes_through_the_exit(tmp_path: Path) -> None:
    """A foreign `nft flush ruleset` exempts nothing, and cuts nothing off."""
    it = network(excepted=(SetUse("country:XX"),))
    with a_risen_world(it, lock_of(it), tmp_path) as world:
        for place, host, exit_ in (("tokyo", "tokyo", "nyc"), (LAN, "nyc", "paris")):  # nyc translates as an exit
            world.sh(host, "nft flush ruleset")
            questions = [Question(place, in_xx(version), "tcp") for version in (4, 6)]
            assert world.ask(questions) == [*world.seen_as(exit_)]


def test_the_diff_is_one_transaction(world: Remote) -> None:
    """Of a changed set the elements are exchanged: nothing else is altered."""
    before: HostState = world.states["nyc"]
    (table,) = before.tables
    after = replace(before, tables=(replace(table, sets=tuple(_without_elements(table))),))

    assert [type(item.change) for item in diff(after, before, before)] == [PutElements]


def test_a_registry_file_a_network_file_and_real_packets(tmp_path: Path) -> None:
    """By the command line: every promise is kept by packets, as walk had foretold."""
    file, env = written(tmp_path)
    assert warren("geo", "update", "--from", str(tmp_path / "delegated"), env=env).returncode == 0
    done = warren("lab", "test", str(file), "--json", env=env)

    told = json.loads(done.stdout)
    assert [line["says"] for line in told["expectations"] if not line["holds"]] == []
    assert told["ok"] and done.returncode == 0 and len(told["expectations"]) == 8
