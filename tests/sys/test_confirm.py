"""A change that cuts its own operator off undoes itself: whatever became of the process that made it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import Box, difference
from tests.sys.site import UPLINKS, Site, lock_of, site
from tests.sys.talk import Echo, Talk
from warren.model.change import Command
from warren.model.prefix import FAMILIES
from warren.model.state import Action, HostState, Rule
from warren.sys import confirm, journal, register
from warren.sys.apply import apply, down, roll_back
from warren.sys.boot import at_boot
from warren.sys.errors import HostError
from warren.sys.journal import Window
from warren.sys.prepare import allot, prepare
from warren.sys.run import run
from warren.sys.store import Store

pytestmark = pytest.mark.lab
# Seconds: time enough for a busy machine to look at what was cut, and for the VM's emulated processor.
WINDOW = 60.0 if os.environ.get("WARREN_IN_VM") else 5.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris") as made:
        yield made


def until(holds: Callable[[], bool], within: float = 60 + 3 * WINDOW) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def reachable(here: Site) -> tuple[bool, bool]:
    """Say whether the operator reaches nyc, by IPv4 and IPv6."""
    v4, v6 = UPLINKS["nyc"]
    return here["inet"].ok(f"ping -c1 -W1 {v4}"), here["inet"].ok(f"ping -c1 -W1 {v6}")


def cutting(here: Site) -> HostState:
    """Give a state with a mistake in it: rules that refuse everything."""
    good = here.prepare(here.default(), "nyc").desired
    cut = tuple(Rule(family, 7700, action=Action.UNREACHABLE) for family in FAMILIES)
    return replace(good, rules=(*good.rules, *cut))


def guard_of(box: Box) -> int:
    """Give the process number of the guard that stands by."""
    window = journal.load(box.machine.store, "portals").window if box.call(lambda: 1) else None
    window = box.call(lambda: journal.load(box.machine.store, "portals").window)
    assert window is not None
    kind, _, number = window.guard.partition(" ")
    assert kind == "process"
    return int(number)


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_a_bad_change_is_undone_by_itself(here: Site) -> None:
    """The operator's own path is cut, by both families, and comes back; his session with it."""
    nyc = here["nyc"]
    here.apply(here.default(), "nyc")
    good, bad = nyc.picture(), cutting(here)
    Echo(nyc, 22)
    with Talk(here["inet"], UPLINKS["nyc"][0], 22) as session:
        assert session.say("a")

        applied = nyc.call(lambda: apply(bad, nyc.machine, window=WINDOW))
        assert applied.window is not None
        assert reachable(here) == (False, False)
        guard = guard_of(nyc)
        until(lambda: reachable(here) == (True, True))

        assert session.say("b", within=20 + 3 * WINDOW)
    until(lambda: gone(guard))
    assert difference(good, nyc.picture()) == ""
    assert here.prepare(here.default(), "nyc").plan.items == ()


@pytest.mark.parametrize("steps", [1, 4, 9, 100])
def test_also_when_who_applied_was_killed(here: Site, steps: int) -> None:
    """Killed in the middle, or right after, with its terminal and its login: the guard is in no one's session."""
    nyc = here["nyc"]
    empty = nyc.picture()
    network = here.default()
    nyc.call(partial(allot, network, lock_of(network), "nyc", nyc.machine))
    bad = cutting(here)
    assert reachable(here) == (True, True)

    def operator() -> None:
        os.setsid()
        left = [steps]

        def act(command: Command) -> str:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return run(command)

        apply(bad, replace(nyc.machine, act=act), window=WINDOW)
        os.killpg(0, signal.SIGKILL)

    assert nyc.fork(operator) == -signal.SIGKILL
    guard = guard_of(nyc)
    assert os.getsid(guard) != os.getsid(0)
    assert Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1] != str(os.getpid())
    until(lambda: gone(guard))

    assert reachable(here) == (True, True)
    assert difference(empty, nyc.picture()) == ""
    assert nyc.call(lambda: journal.owners(nyc.machine.store)) == ()


def test_confirmed_stays(here: Site) -> None:
    """`warren confirm` in time: the guard goes home, and the state is what a boot brings back."""
    nyc, network = here["nyc"], here.default()
    here.apply(network, "nyc", window=60)
    guard, full = guard_of(nyc), nyc.picture()
    assert nyc.call(lambda: journal.load(nyc.machine.store, "portals").confirmed) is None

    nyc.call(lambda: confirm.confirm("portals", nyc.machine))

    until(lambda: gone(guard))
    assert difference(full, nyc.picture()) == ""
    held = nyc.call(lambda: journal.load(nyc.machine.store, "portals"))
    assert held.confirmed == held.applied
    assert held.window is None
    with pytest.raises(HostError, match="no apply of portals waits to be confirmed"):
        nyc.call(lambda: confirm.confirm("portals", nyc.machine))


def test_rolled_back_at_once(here: Site) -> None:
    """`warren rollback` does not wait."""
    nyc = here["nyc"]
    here.apply(here.default(), "nyc")
    good = nyc.picture()
    here.apply(here.network(portal("nyc", "paris")), "nyc", window=60)
    guard = guard_of(nyc)
    assert difference(good, nyc.picture()) != ""

    nyc.call(lambda: roll_back("portals", nyc.machine))

    assert difference(good, nyc.picture()) == ""
    until(lambda: gone(guard))
    with pytest.raises(HostError, match="nothing to roll back"):
        nyc.call(lambda: roll_back("portals", nyc.machine))


def test_a_window_is_not_slammed(here: Site) -> None:
    """Another apply is refused while one waits; another try with a window goes back to before the first."""
    nyc = here["nyc"]
    here.apply(here.default(), "nyc")
    good, other = nyc.picture(), here.network(portal("nyc", "paris"))
    here.apply(other, "nyc", window=60)
    first = guard_of(nyc)

    with pytest.raises(HostError, match="still waits to be confirmed"):
        here.apply(here.default(), "nyc")
    here.apply(here.network(portal("nyc.eth2", "paris"), portal("nyc", "paris")), "nyc", window=WINDOW)

    until(lambda: gone(first))
    second = guard_of(nyc)
    until(lambda: gone(second))
    assert difference(good, nyc.picture()) == ""


def test_a_failed_apply_leaves_no_guard(here: Site) -> None:
    """What failed was undone already."""
    nyc, network = here["nyc"], here.default()

    def act(command: Command) -> str:
        if command.argv[0] == "wg":
            raise HostError("made up for a test")
        return run(command)

    with pytest.raises(HostError, match="made up"):
        here.apply(network, "nyc", replace(nyc.machine, act=act), window=60)

    until(lambda: not [p for p in os.listdir("/proc") if p.isdecimal() and _guards(p, nyc)])
    assert nyc.call(lambda: journal.owners(nyc.machine.store)) == ()


def _guards(process: str, box: Box) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes()
        inside = os.stat(f"/proc/{process}/ns/net").st_ino == os.stat(box.net).st_ino
    except OSError:
        return False
    return inside and b"warren.sys.guard" in words and not gone(int(process))


def test_without_a_guard_nothing_is_changed(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody can stand by, the change is not begun."""
    nyc, network = here["nyc"], here.default()
    before = nyc.picture()
    monkeypatch.setattr(confirm, "guard_words", lambda *_: ["false"])

    with pytest.raises(HostError, match="no guard could be started"):
        here.apply(network, "nyc", window=60)

    assert difference(before, nyc.picture()) == ""


def test_a_boot_brings_back_what_was_confirmed(here: Site, tmp_path: Path) -> None:
    """Not what was still waiting; and nothing of an owner that was taken down."""
    nyc, confirmed = here["nyc"], here.default()
    here.apply(confirmed, "nyc")
    good = nyc.picture()
    here.apply(here.network(portal("nyc", "paris")), "nyc", window=600)
    nyc.close()

    (tmp_path / "again").mkdir()
    with site(tmp_path / "again", "nyc", "paris") as later:
        later["nyc"].state = nyc.state
        reborn = later["nyc"]
        reborn.call(lambda: at_boot(reborn.machine))
        assert later.boxes["nyc"].picture().count("proto 77") == good.count("proto 77")
        assert difference(_stable(good), _stable(reborn.picture())) == ""
        assert reborn.call(lambda: journal.load(reborn.machine.store, "portals").window) is None
        reborn.call(lambda: down("portals", reborn.machine))
        assert reborn.call(lambda: at_boot(reborn.machine)).applied == {}
        assert reborn.call(lambda: register.load(reborn.machine.store)).owners == ()


def _stable(picture: str) -> str:
    """Leave out the MACs of the test's own cables."""
    return "\n".join(line for line in picture.splitlines() if "link/ether" not in line)


def test_the_words_for_systemd() -> None:
    """Where systemd runs, the guard is a timer of the system's, in nobody's slice, with the state directory named."""
    command = confirm._systemd_run("warren-confirm-x", Window("token", 1.0), "portals", Store(Path("/s")), 60)

    assert command.argv[:6] == (
        "systemd-run",
        "--quiet",
        "--on-active=60s",
        "--timer-property=AccuracySec=100ms",
        "--collect",
        "--unit=warren-confirm-x",
    )
    assert command.argv[6:8] == ("--setenv=WARREN_STATE_DIR=/s", "--")
    assert command.argv[9:] == ("-m", "warren.sys.guard", "token", "portals", "0.000")


def test_prepare_is_what_apply_does(here: Site) -> None:
    """The same value is planned and applied, and planning writes nothing."""
    nyc, network = here["nyc"], here.default()
    prepared = nyc.call(lambda: prepare(network, lock_of(network), "nyc", nyc.machine))

    assert not list(nyc.state.iterdir())
    assert prepared.plan.items
    assert {item.change for item in here.apply(network, "nyc").items} == {item.change for item in prepared.plan.items}


def test_a_failure_leaves_an_open_window_open(here: Site) -> None:
    """An unconfirmed network, and another apply that fails: the first window still goes back by itself."""
    nyc = here["nyc"]
    before = nyc.picture()
    here.apply(here.default(), "nyc", window=WINDOW)
    unconfirmed, guard = nyc.picture(), guard_of(nyc)

    failing = [HostError("made up for a test")]

    def act(command: Command) -> str:
        if command.argv[0] == "conntrack" and failing:
            raise failing.pop()
        return run(command)

    with pytest.raises(HostError, match="made up"):
        here.apply(here.network(portal("nyc", "paris")), "nyc", replace(nyc.machine, act=act), window=60)

    assert difference(unconfirmed, nyc.picture()) == ""
    assert guard_of(nyc) == guard
    until(lambda: gone(guard))
    assert difference(before, nyc.picture()) == ""


def test_an_undo_that_fails_is_the_guards_to_mend(here: Site) -> None:
    """Nothing works any more in the middle of a change: what is left open is closed at the deadline."""
    nyc = here["nyc"]
    before = nyc.picture()
    steps = [0]

    def act(command: Command) -> str:
        steps[0] += 1
        if steps[0] > 6:
            raise HostError("made up for a test")
        return run(command)

    with pytest.raises(HostError, match="Undoing it failed as well"):
        here.apply(here.default(), "nyc", replace(nyc.machine, act=act), window=WINDOW)

    guard = guard_of(nyc)
    assert difference(before, nyc.picture()) != ""
    until(lambda: gone(guard))
    assert difference(before, nyc.picture()) == ""


def test_down_sends_the_guard_home(here: Site) -> None:
    """What is taken down needs no rollback."""
    nyc = here["nyc"]
    here.apply(here.default(), "nyc", window=60)
    guard = guard_of(nyc)

    nyc.call(lambda: down("portals", nyc.machine))

    until(lambda: gone(guard))
    assert nyc.call(lambda: journal.owners(nyc.machine.store)) == ()
