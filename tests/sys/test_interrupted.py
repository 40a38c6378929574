"""Cut short at every step: killed, failing, interrupted. The host is then what it was, or what it should be."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import difference
from tests.sys.dying import KILLED, dying
from tests.sys.foreign import furnish
from tests.sys.site import Site, lock_of, site
from warren.model.change import Command
from warren.model.network import Network
from warren.sys import journal
from warren.sys.apply import ApplyFailed, apply, down
from warren.sys.machine import Machine
from warren.sys.prepare import allot, prepare
from warren.sys.run import CommandFailed, run

pytestmark = pytest.mark.lab


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "tokyo") as made:
        yield made


def applying(network: Network) -> Callable[[Machine], object]:
    lock = lock_of(network)
    return lambda machine: apply(prepare(network, lock, "nyc", machine).desired, machine)


@pytest.mark.slow
def test_killed_between_any_two_steps_of_apply(here: Site) -> None:
    """The next apply, or the next down, brings it right; a busy host's other things stay."""
    nyc, network = here["nyc"], here.default()
    empty = nyc.picture()
    here.apply(network, "nyc")
    full = nyc.picture()
    taking_down = partial(down, "portals", nyc.machine)
    nyc.call(taking_down)

    steps = 0
    while True:
        nyc.call(partial(allot, network, lock_of(network), "nyc", nyc.machine))
        ended = dying(here["nyc"], steps, applying(network))
        assert ended in (0, KILLED)
        if steps % 2:
            here.apply(network, "nyc")
            assert difference(full, nyc.picture()) == "", steps
        nyc.call(taking_down)
        assert difference(empty, nyc.picture()) == "", steps
        if ended == 0:
            break
        steps += 1
    assert steps > 15


@pytest.mark.slow
def test_killed_between_any_two_steps_of_down(here: Site) -> None:
    """The next down, or the next apply, brings it right."""
    nyc, network = here["nyc"], here.default()
    empty = nyc.picture()
    here.apply(network, "nyc")
    full = nyc.picture()

    steps = 0
    while True:
        ended = dying(here["nyc"], steps, partial(down, "portals"))
        assert ended in (0, KILLED)
        if steps % 2:
            here.apply(network, "nyc")
            assert difference(full, nyc.picture()) == "", steps
        nyc.call(partial(down, "portals", nyc.machine))
        assert difference(empty, nyc.picture()) == "", steps
        here.apply(network, "nyc")
        if ended == 0:
            break
        steps += 1
    assert steps > 10


def changed(here: Site) -> Network:
    """Another network than the default: other portals, exits, devices, rules, settings."""
    return here.network(portal("nyc.eth2", "tokyo"), portal("nyc", "paris"))


@pytest.mark.slow
def test_killed_between_any_two_steps_of_a_change(here: Site) -> None:
    """From one network to another: whichever of the two is applied next is reached."""
    nyc, one, other = here["nyc"], here.default(), changed(here)
    here.apply(other, "nyc")
    second = nyc.picture()
    here.apply(one, "nyc")
    first = nyc.picture()
    assert first != second

    steps = 0
    while True:
        nyc.call(partial(allot, other, lock_of(other), "nyc", nyc.machine))
        ended = dying(here["nyc"], steps, applying(other))
        assert ended in (0, KILLED)
        if steps % 2:
            here.apply(other, "nyc")
            assert difference(second, nyc.picture()) == "", steps
        here.apply(one, "nyc")
        assert difference(first, nyc.picture()) == "", steps
        if ended == 0:
            break
        steps += 1
    assert steps > 15


class Failing:
    """Runs commands until the n-th, which fails after it was done: the worst of both."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.failed: Command | None = None

    def __call__(self, command: Command) -> str:
        self.left -= 1
        out = run(command)
        if self.left == -1:
            self.failed = command
            raise CommandFailed(command, "RTNETLINK answers: made up for a test", 2)
        return out


def test_a_failure_at_any_step_is_undone(here: Site, tmp_path: Path) -> None:
    """Whatever fails, the host is as it was, and the words say which command."""
    nyc, network = here["nyc"], here.default()
    furnish(nyc, tmp_path)
    before = nyc.picture()

    for step in range(100):
        failing = Failing(step)
        try:
            here.apply(network, "nyc", replace(nyc.machine, act=failing))
        except ApplyFailed as failure:
            assert failure.undone
            assert failing.failed is not None
            assert failing.failed.argv[0] in failure.says
            assert "made up for a test" in failure.says
            assert difference(before, nyc.picture()) == "", step
            assert journal.owners(nyc.machine.store) == ()
        else:
            break
    assert step > 8


def test_a_failed_change_is_undone(here: Site) -> None:
    """Back to the network that ran before, not to nothing."""
    nyc, one, other = here["nyc"], here.default(), changed(here)
    here.apply(one, "nyc")
    first = nyc.picture()

    for step in range(100):
        try:
            here.apply(other, "nyc", replace(nyc.machine, act=Failing(step)))
        except ApplyFailed as failure:
            assert failure.undone
            assert difference(first, nyc.picture()) == "", step
            assert here.prepare(one, "nyc").plan.items == ()
        else:
            break
    assert step > 8


def test_a_failed_undo_is_said_and_mended_later(here: Site) -> None:
    """When nothing works any more the words say so; the next down starts from what is there."""
    nyc, network = here["nyc"], here.default()
    before = nyc.picture()
    steps = [0]

    def breaking(command: Command) -> str:
        steps[0] += 1
        if steps[0] > 6:
            raise CommandFailed(command, "out of order", 1)
        return run(command)

    with pytest.raises(ApplyFailed) as failure:
        here.apply(network, "nyc", replace(nyc.machine, act=breaking))

    assert not failure.value.undone
    assert "Undoing it failed as well" in str(failure.value)
    assert nyc.picture() != before
    nyc.call(partial(down, "portals", nyc.machine))
    assert difference(before, nyc.picture()) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_by_undoing(here: Site, number: signal.Signals) -> None:
    """Ctrl-C in the middle: the step is ended, and everything taken back."""
    nyc, network = here["nyc"], here.default()
    before = nyc.picture()

    def interrupted() -> None:
        steps = [0]

        def act(command: Command) -> str:
            steps[0] += 1
            if steps[0] == 5:
                os.kill(os.getpid(), number)
            return run(command)

        signal.signal(number, signal.SIG_DFL)
        machine = replace(nyc.machine, act=act)
        nyc_lock = lock_of(network)
        allot(network, nyc_lock, "nyc", machine)
        try:
            apply(prepare(network, nyc_lock, "nyc", machine).desired, machine)
        except ApplyFailed as failure:
            assert failure.undone
            assert "interrupted" in failure.says
            os._exit(42)

    assert nyc.fork(interrupted) == 42
    assert difference(before, nyc.picture()) == ""


def test_the_end_of_the_terminal_does_not_stop_it(here: Site) -> None:
    """SIGHUP in the middle: an ssh session that ends must not leave half a network."""
    nyc, network = here["nyc"], here.default()

    def hung_up() -> None:
        def act(command: Command) -> str:
            os.kill(os.getpid(), signal.SIGHUP)
            return run(command)

        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        machine = replace(nyc.machine, act=act)
        allot(network, lock_of(network), "nyc", machine)
        apply(prepare(network, lock_of(network), "nyc", machine).desired, machine)

    assert nyc.fork(hung_up) == 0
    assert here.prepare(network, "nyc").plan.items == ()


def test_two_at_once(here: Site) -> None:
    """Both are asked for in the same moment: one waits for the other, and one whole network is there."""
    nyc, one, other = here["nyc"], here.default(), changed(here)
    here.apply(other, "nyc")
    second = nyc.picture()
    here.apply(one, "nyc")
    first = nyc.picture()

    for _ in range(4):
        children = [nyc.start(partial(applying(network), nyc.machine)) for network in (other, one, other)]
        endings = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert endings == [0, 0, 0]
        assert nyc.picture() in (first, second)
