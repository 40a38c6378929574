"""The agent beside applies and a busy uplink: what it sees to is what is there, and it is never busy with one thing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes
from warren.core.delegates import Watched
from warren.daemon import followed
from warren.daemon.agent import Agent
from warren.daemon.duties import after_each_apply
from warren.daemon.duty import Duties, Event
from warren.daemon.pulse import Pulse
from warren.model.lock import FollowedLock
from warren.model.prefix import Prefix
from warren.sys import echo, journal
from warren.sys.errors import HostError
from warren.sys.journal import Journal
from warren.sys.machine import Machine
from warren.sys.store import Store

FAR = ip_address("fd00::2")
HERE = Duties("six", "up0", (), (Watched("r2", "t0", FAR, ("lan",)),), "/nowhere")


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Box]:
    with boxes(tmp_path, "r1", "r2") as (near, far):
        lay(near, far)
        near.far = far  # type: ignore[attr-defined]
        near.sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up")
        yield near


def lay(near: Box, far: Box) -> None:
    near.wire("t0", far, "t0")
    near.sh("ip addr add fd00::1/64 dev t0 nodad")
    far.sh(f"ip addr add {FAR}/64 dev t0 nodad")


@contextmanager
def at_work(box: Box, again: Callable[[], Duties | None]) -> Iterator[Path]:
    """The agent in a process of its own; what it tells is a line of a file."""
    told = box.state / "told"
    told.touch()

    def tell(event: Event) -> None:
        with told.open("a") as file:
            file.write(f"{time.monotonic()} {event.kind} {event.subject}\n")

    number = box.start(lambda: asyncio.run(Agent(HERE, tell, again).run()))
    try:
        until(lambda: kinds(told))
        yield told
    finally:
        os.kill(number, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


def kinds(told: Path) -> list[str]:
    return [line.split()[1] for line in told.read_text().splitlines()]


def until(what: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.lab
def test_a_tunnel_made_anew_is_heard(cable: Box) -> None:
    """Or a LAN would be told forever that there is no way out: a socket stays with the device that it was opened on."""
    with at_work(cable, after_each_apply(lambda: HERE, "six", cable.machine)) as told:
        cable.sh("ip link del t0")
        until(lambda: kinds(told)[-1] == "silent")
        lay(cable, cable.far)  # type: ignore[attr-defined]
        journal.save(cable.machine.store, Journal("six", host="r1"))
        until(lambda: kinds(told)[-1] == "answers")


@pytest.mark.lab
def test_what_cannot_be_told_leaves_the_agent_at_work(cable: Box) -> None:
    """The file is edited while the agent runs, and wrong when it is looked at."""

    def read() -> Duties:
        raise HostError("six.yaml has 1 error")

    with at_work(cable, after_each_apply(read, "six", cable.machine)) as told:
        journal.save(cable.machine.store, Journal("six", host="r1"))
        until(lambda: "trouble" in kinds(told))
        time.sleep(1.2)
        assert kinds(told).count("trouble") <= 2  # once for each change of the journal
        assert "silent" not in kinds(told)


@pytest.mark.lab
def test_a_followed_device_is_looked_at_once_a_second(cable: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = cable.state / "looked"
    looked.touch()

    def look() -> dict[str, Prefix]:
        with looked.open("a") as file:
            file.write("x")
        return {"up0": ip_network("2001:db8:2::/64")}

    monkeypatch.setattr(followed, "prefixes_here", look)
    here = replace(HERE, followed=(FollowedLock("up0", ip_network("2001:db8:1::/64")),))
    given = [here]
    with at_work(cable, lambda: given.pop() if given else None) as told:
        until(lambda: "watching" in kinds(told)[1:])
        cable.sh("for n in $(seq 90); do ip addr add 10.0.0.$n/24 dev up0; done; ip addr flush dev up0")
        until(lambda: "renumbered" in kinds(told))
        assert kinds(told).count("renumbered") == 1
        assert len(looked.read_text()) <= 3


@pytest.mark.lab
def test_an_uplink_that_never_rests_costs_little(cable: Box) -> None:
    """Each move costs two programs; a routing table that is fed all the time is a thousand moves a second."""
    with at_work(cable, lambda: None) as told:
        began = time.monotonic()
        while time.monotonic() < began + 2:
            cable.sh("for n in 1 2 3 4 5 6 7 8 9; do ip addr add 10.0.0.$n/24 dev up0; done; ip addr flush dev up0")
        assert 2 <= kinds(told).count("moved") <= 12


def test_the_journal_tells_of_an_apply(tmp_path: Path) -> None:
    machine = Machine(Store(tmp_path))
    again = after_each_apply(lambda: HERE, "six", machine)
    assert again() is None  # nothing was ever applied
    journal.save(machine.store, Journal("six", host="r1"))
    assert (again(), again()) == (HERE, None)
    journal.save(machine.store, Journal("six", host="r1"))
    assert (again(), again()) == (HERE, None)


def test_who_is_no_longer_asked_is_not_down() -> None:
    pulse = Pulse(("a", "b"), 0.0)
    assert pulse.changed(6.0) == (("a", "b"), ())
    pulse.watch(("b", "c"), 6.0)
    assert pulse.down == {"b"}
    assert pulse.changed(6.0) == ((), ())


def test_a_flood_of_answers_is_taken_in_portions() -> None:
    class Flood:
        """A socket on which more comes in than anybody can read."""

        taken = 0
        family = socket.AF_INET6

        def recvfrom(self, _: int) -> tuple[bytes, tuple[str, int]]:
            self.taken += 1
            return bytes((129, 0, 0, 0, 0, 7, 0, 0)), ("fd00::2", 0)

    flood = Flood()
    assert echo.answers(flood, 7) == {"fd00::2"}  # type: ignore[arg-type]
    assert flood.taken == echo.AT_ONCE
