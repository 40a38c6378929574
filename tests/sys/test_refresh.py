"""Sets refreshed while packets flow: what stays in a set never goes the other way, and the journal stays in step."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import WARREN
from tests.core.compile.networks import portal
from tests.core.geo.test_registry import FILE
from tests.kernel.capture import Capture
from tests.sys.site import Site, site
from warren.core.sets import fill
from warren.model.change import Command, PutElements
from warren.model.named_set import ListSource, SetUse
from warren.model.network import Network
from warren.model.prefix import FAMILIES
from warren.sys import journal
from warren.sys.apply import down, roll_back
from warren.sys.errors import HostError
from warren.sys.feeds import Feeds, applied_with_feeds
from warren.sys.refresh import Refreshed, refresh
from warren.sys.run import run
from warren.sys.sets import read_sets

pytestmark = pytest.mark.lab

STAYS, COMES, NEVER = ("45.12.0.9", "2620:100::9"), ("45.13.0.9", "2620:101::9"), ("46.0.0.9", "2620:200::9")
# Many more than are asked, so that an exchange takes as long as that of a country.
BULK = [f"48.{at >> 8}.{at & 255}.0/25" for at in range(1500)] + [f"2620:{0x800 + at:x}::/33" for at in range(300)]
BASE = ["45.12.0.0/24", "2620:100::/32", *BULK]
REFRESHES = 4


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        every = ("45.12.0.0/15", "46.0.0.0/16", "2620:100::/31", "2620:200::/32")
        made["inet"].sh("\n".join(f"ip route add local {prefix} dev lo" for prefix in every))
        # What leaves directly is the host's own affair: it has the client's address, which is answered here.
        made["inet"].sh("ip route add 192.168.21.0/24 via 198.51.100.10; ip route add fd21:21::/64 via 2001:db8:1::10")
        yield made


def write(here: Site, prefixes: list[str]) -> None:
    (here.directory / "work.txt").write_text("\n".join(prefixes) + "\n")


def network(here: Site, only: bool = False) -> Network:
    """The portal of nyc's eth2 that leaves in paris, but for a list; or for all but a list."""
    uses = (SetUse("list:work"),)
    one = replace(portal("nyc.eth2", "paris"), families=FAMILIES)
    one = replace(one, only=uses) if only else replace(one, excepted=uses)
    bare = replace(here.network(one), lists=(ListSource("work", ("work.txt",)),))
    return fill(bare, read_sets(str(here.directory / "net.yaml")))


def refreshed(here: Site, act: Callable[[Command], str] = run) -> Refreshed:
    machine = replace(here["nyc"].machine, act=act)
    return here["nyc"].call(partial(refresh, "portals", machine, Feeds()))


def in_force(here: Site) -> set[str]:
    words = here["nyc"].sh("nft list set inet warren-portals list_work_4").replace(",", " ").split()
    return {word for word in words if word[0].isdigit() and "/" in word}


def stream(ended: Path, tally: Path) -> None:
    """Send to every address, each packet a flow of its own, until a file is there; write how many each was sent."""
    addresses = [address for pair in (STAYS, COMES, NEVER) for address in pair]
    sent = 0
    while not ended.exists():
        for address in addresses:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(b"new", (address, 9))
        sent += 1
        time.sleep(0.001)  # no more than a tunnel in user space carries
    tally.write_text(str(sent))


@pytest.mark.parametrize("only", [False, True], ids=["except", "only"])
def test_nothing_flaps_while_a_set_is_refreshed(here: Site, tmp_path: Path, only: bool) -> None:
    """Of thousands of new flows none that a set holds before and after, or neither time, leaves the wrong way."""
    write(here, BASE)
    here.up(network(here, only))
    direct, by_exit = (NEVER, STAYS) if only else (STAYS, NEVER)
    for address in (*STAYS, *NEVER):  # handshake, neighbours
        here["client"].sh(f"ping -c1 -W8 {address}")

    def watch(name: str, address: str) -> Capture:
        return here[name].call(partial(Capture, "eth0", address))

    seen = {(name, address): watch(name, address) for name in ("nyc", "paris") for address in (*STAYS, *COMES, *NEVER)}
    ended, tally = tmp_path / "ended", tmp_path / "tally"
    child = here["client"].start(partial(stream, ended, tally))
    try:
        for turn in range(REFRESHES):
            # A part of the bulk goes, another comes: the exchange is no small one.
            come = ["45.13.0.0/24", "2620:101::/32"] if turn % 2 == 0 else []
            write(here, [*BASE[: len(BASE) - 300 * (turn % 3)], *come])
            assert refreshed(here).sets
            time.sleep(0.05)
    finally:
        ended.touch()
        os.waitpid(child, 0)
    sent = int(tally.read_text())
    assert sent > 100
    time.sleep(0.3)  # the last packets arrive
    counted = {
        key: sum(packet.destination == key[1] and packet.outgoing for packet in capture.read())
        for key, capture in seen.items()
    }
    for address in direct:
        assert (counted["nyc", address], counted["paris", address]) == (sent, 0)
    for address in by_exit:
        assert counted["nyc", address] == 0 and counted["paris", address] > 0.9 * sent
    for address in COMES:
        assert counted["nyc", address] and counted["paris", address]
        assert 0.9 * sent < counted["nyc", address] + counted["paris", address] <= sent


def test_the_journal_stays_in_step(here: Site) -> None:
    """After a refresh plan has nothing to say, `down` takes all away, and a boot would bring the new elements."""
    machine = here["nyc"].machine
    write(here, BASE[:50])
    here.up(network(here))
    assert here["nyc"].call(partial(applied_with_feeds, machine.store)) == ("portals",)
    assert refreshed(here) == Refreshed("portals")

    write(here, [*BASE[1:50], "45.14.0.0/24"])
    (item,) = here.prepare(network(here), "nyc").plan.items
    assert isinstance(item.change, PutElements)
    assert item.reason == "1 elements new and 1 gone in list_work_4"
    (told,) = refreshed(here).sets
    assert (told.name, told.elements, told.new, told.gone) == ("list_work_4", 49, 1, 1)
    assert "45.14.0.0/24" in in_force(here) and "45.12.0.0/24" not in in_force(here)
    assert here.prepare(network(here), "nyc").plan.items == ()
    held = here["nyc"].call(partial(journal.load, machine.store, "portals"))
    assert held.confirmed == held.applied and held.pending is None

    here["nyc"].call(partial(down, "portals", machine))
    assert "warren" not in here["nyc"].sh("nft list tables")


def test_by_the_command_line(here: Site) -> None:
    """`geo refresh` and `geo update --refresh` tell what they did, and fail when a set had to stay as it was."""
    write(here, BASE[:50])
    here.up(network(here))

    def told(*words: str) -> tuple[int, dict[str, Any]]:
        state = {"WARREN_STATE_DIR": str(here["nyc"].state), "WARREN_GEO_DIR": str(here.directory / "geo")}
        done = subprocess.run(
            here["nyc"].argv(*WARREN, "geo", *words, "--json"),
            capture_output=True,
            text=True,
            env={**os.environ, **state},
        )
        return done.returncode, json.loads(done.stdout)

    write(here, [*BASE[1:50], "45.14.0.0/24"])
    status, shape = told("refresh")
    assert status == 0 and differs(shape, SHAPES["geo-refresh"]) == []
    (one,) = shape["networks"]
    assert one["network"] == "portals" and [held["new"] for held in one["sets"]] == [1]
    assert "45.14.0.0/24" in in_force(here)

    write(here, [*BASE[1:50], "45.15.0.0/24"])
    (here.directory / "apnic").write_bytes(FILE)
    status, shape = told("update", "--from", str(here.directory / "apnic"), "--refresh")
    assert status == 0 and shape["registries"][0]["registry"] == "apnic" and shape["networks"][0]["sets"]
    assert "45.15.0.0/24" in in_force(here)

    (here.directory / "work.txt").unlink()
    status, shape = told("refresh", "portals")
    assert status == 1 and "no such file" in shape["networks"][0]["kept"][0]
    status, shape = told("refresh", "elsewhere")
    assert status == 1 and "is not applied here" in shape["networks"][0]["why"]


def test_a_refresh_that_is_killed_is_taken_up_by_the_next(here: Site) -> None:
    """Before nft and after: the next refresh has both the kernel and the journal right."""
    write(here, BASE[:50])
    here.up(network(here))

    def before(_command: Command) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    def after(command: Command) -> str:
        run(command)
        return before(command)

    for act, last in ((before, "45.14.0.0/24"), (after, "45.15.0.0/24")):
        write(here, [*BASE[:50], last])
        killed = here["nyc"].fork(partial(refresh, "portals", replace(here["nyc"].machine, act=act), Feeds()))
        assert killed == -signal.SIGKILL
        refreshed(here)
        assert last in in_force(here)
        assert here.prepare(network(here), "nyc").plan.items == ()


def test_what_cannot_be_refreshed_is_left_and_said(here: Site) -> None:
    write(here, BASE[:50])
    whole = network(here)
    here.up(whole)
    there = in_force(here)

    (here.directory / "work.txt").unlink()
    assert refreshed(here).kept and in_force(here) == there
    write(here, ["10.0.0.0/8"])
    assert "holds nothing any more" in refreshed(here).kept[0] and in_force(here) == there

    write(here, BASE[:40])
    here.apply(whole, "nyc", window=60)
    with pytest.raises(HostError, match="still waits to be confirmed"):
        refreshed(here)
    here["nyc"].call(partial(roll_back, "portals", here["nyc"].machine))
    here["nyc"].sh("nft flush ruleset")
    with pytest.raises(HostError, match="is not as warren left it"):
        refreshed(here)
    with pytest.raises(HostError, match="is not applied here"):
        here["nyc"].call(partial(refresh, "elsewhere", here["nyc"].machine, Feeds()))
