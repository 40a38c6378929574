"""Programs that run for a network: watched over, started anew, stopped; and told apart from anybody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes
from warren.core.render.commands import commands
from warren.core.render.programs import WATCH, files_of
from warren.core.render.services import Tools
from warren.model.change import Change, DropService, Item, PutService, Rune
from warren.model.state import HostState, Program, Service
from warren.sys import services
from warren.sys.errors import HostError
from warren.sys.run import run

pytestmark = pytest.mark.lab

CONFIG = "port=0\nbind-dynamic\ninterface=lan\ndhcp-range=::,constructor:lan,ra-only,64,3600\nconf-file=@live@\n"
SERVICE = Service("ra", Program.DNSMASQ, CONFIG, live="ra-param=lan,60,1800\n", why="machines learn")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with boxes(tmp_path, "r1") as (made,):
        made.sh(
            "ip link add lan type veth peer name end; ip link set lan up; ip addr add 2001:db8:1::1/64 dev lan nodad"
        )
        yield made


def act(box: Box, change: Change) -> None:
    tools = Tools(directory=str(box.state))
    for command in commands([Item(change, Rune.ADD, "")], "six", tools):
        box.call(partial(run, command))


def seen(box: Box, *named: Service) -> tuple[Service, ...]:
    state = HostState("r1", "six", services=named or (SERVICE,))
    return box.call(lambda: services.running((state,), "six", str(box.state)))


def child_of(number: int, program: str = "dnsmasq") -> int:
    """The program that a watching shell has started; 0 while there is none."""
    found = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    is_program = [one for one in found if Path(f"/proc/{one}/comm").read_text() == f"{program}\n"]
    return int(is_program[0]) if is_program else 0


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_service_is_watched_over_and_leaves_nothing(box: Box) -> None:
    files = files_of("ra", "six", str(box.state))
    assert seen(box) == ()

    act(box, PutService(SERVICE))
    assert seen(box) == (SERVICE,)
    assert {path.stat().st_mode & 0o777 for path in Path(files.base).parent.glob("ra.[cl]*v*")} == {0o600}
    watcher = services.watcher(files)
    assert watcher is not None
    until(lambda: child_of(watcher))

    first = child_of(watcher)
    os.kill(first, signal.SIGKILL)  # it dies, and is started again
    until(lambda: child_of(watcher) not in (0, first))

    second = child_of(watcher)
    services.rewrite(files.live, "ra-param=lan,60,0\n")
    box.call(lambda: services.start_anew(files))
    until(lambda: child_of(watcher) not in (0, second))
    assert seen(box) == (SERVICE,)  # what it learned is no difference

    third = child_of(watcher)
    act(box, DropService(SERVICE))
    assert seen(box) == () and not Path(f"/proc/{third}").exists()
    assert list(Path(files.base).parent.iterdir()) == []


def test_who_watches_is_told_by_more_than_a_number(box: Box) -> None:
    """After a reboot the number in the file may be anybody's."""
    files = files_of("ra", "six", str(box.state))
    act(box, PutService(SERVICE))
    watcher = services.watcher(files)
    assert watcher is not None
    until(lambda: child_of(watcher))
    child = child_of(watcher)
    os.kill(watcher, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    until(lambda: services.watcher(files) is None)
    assert seen(box) == ()

    Path(files.pid).write_text(f"{os.getpid()}\n")
    assert seen(box) == ()
    act(box, DropService(SERVICE))  # and nobody is killed for it


def test_nobody_is_left_who_lost_his_watcher(box: Box) -> None:
    """It would go on telling the LAN what was so then. Who only looks at its configuration is left alone."""
    files = files_of("ra", "six", str(box.state))
    reader = subprocess.Popen(["tail", "-F", files.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lost = []
    for again in (PutService(SERVICE), DropService(SERVICE)):
        act(box, PutService(SERVICE))
        watcher = services.watcher(files)
        assert watcher is not None
        until(lambda number=watcher: child_of(number))
        lost.append(child_of(watcher))
        os.kill(watcher, signal.SIGKILL)
        until(lambda: services.watcher(files) is None)
        act(box, again)
        until(lambda: not Path(f"/proc/{lost[-1]}").exists())
    assert reader.poll() is None
    reader.kill()
    reader.wait()
    assert seen(box) == ()


def test_what_a_killed_program_has_begun_goes_with_it(box: Box) -> None:
    """A dnsmasq's children for TCP outlive it, hold its sockets, and do not hear TERM."""
    deaf = Service("deaf", Program.SHELL, "trap '' TERM\nsleep 1000 &\nwait\nwhile :; do sleep 0.1; done\n")
    files = files_of("deaf", "six", str(box.state))
    act(box, PutService(deaf))
    watcher = services.watcher(files)
    assert watcher is not None
    until(lambda: child_of(watcher, "sh") and child_of(child_of(watcher, "sh"), "sleep"))
    first = child_of(watcher, "sh")
    begun = child_of(first, "sleep")
    os.kill(first, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{begun}").exists())

    until(lambda: child_of(watcher, "sh") not in (0, first) and child_of(child_of(watcher, "sh"), "sleep"))
    second = child_of(watcher, "sh")
    os.kill(watcher, signal.SIGKILL)
    act(box, DropService(deaf))
    until(lambda: not Path(f"/proc/{second}").exists())


def test_the_machines_own_dnsmasq_keeps_its_file(box: Box) -> None:
    files = files_of("ra", "six", str(box.state))
    act(box, PutService(SERVICE))
    watcher = services.watcher(files)
    assert watcher is not None
    until(lambda: child_of(watcher))
    words = Path(f"/proc/{child_of(watcher)}/cmdline").read_bytes().split(b"\0")
    assert b"--pid-file=" in words  # and none is written
    act(box, DropService(SERVICE))


def test_a_program_that_is_missing_or_refuses_is_no_success(box: Box) -> None:
    with pytest.raises(HostError, match="--test"):
        act(box, PutService(replace(SERVICE, config="no-such-word\n")))
    assert seen(box) == ()

    box.sh("mount --bind /dev/null /usr/sbin/ndppd")
    with pytest.raises(HostError, match="ndppd"):
        act(box, PutService(Service("nd-proxy", Program.NDPPD, "proxy lan {\n}\n")))


def test_another_configuration_is_seen_and_put_right(box: Box) -> None:
    files = files_of("ra", "six", str(box.state))
    act(box, PutService(SERVICE))
    Path(files.config).write_text("port=0\ninterface=lan\n")
    (found,) = seen(box)
    assert (found.config, found.program) == ("port=0\ninterface=lan\n", Program.DNSMASQ)

    act(box, PutService(SERVICE, found))
    assert seen(box) == (SERVICE,)
    act(box, DropService(SERVICE))


@pytest.mark.parametrize("named", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_that_comes_before_the_program_is_noted_is_not_lost(tmp_path: Path, named: signal.Signals) -> None:
    """The moment between a program's birth and the shell's noting its number, made long enough to be met."""
    watch = WATCH.replace("& child=$!\n  outlive", "& sleep 0.3; child=$!\n  outlive")
    assert watch != WATCH
    born = tmp_path / "born"
    program = ("sh", "-c", f"echo >>{born}; exec sleep 60")
    watcher = subprocess.Popen(("sh", "-c", watch, "w", str(tmp_path / "pid"), str(tmp_path / "log"), *program))
    until(born.exists)
    watcher.send_signal(named)
    if named == signal.SIGUSR1:
        until(lambda: len(born.read_text()) > 1)
        watcher.terminate()
    assert watcher.wait(10) == 0
