"""Warren itself at work: applying, failing to, being killed at it, taking back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

from warren.core.allot import allot
from warren.core.diff import diff
from warren.core.render.commands import commands
from warren.core.render.guard import render_guard
from warren.lab.keys import PLACE
from warren.lab.leaks.scenario import HELD, LIVES, Check, Needs, Play, Scenario
from warren.lab.leaks.stage import Stage
from warren.lab.spaces import LabError
from warren.lab.topology import host_space
from warren.lab.works import compiler, lab_tools, memory
from warren.model.change import Command
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.state import HostState
from warren.sys import apply as verbs
from warren.sys import journal
from warren.sys.boot import bring_back
from warren.sys.machine import Machine
from warren.sys.run import run
from warren.sys.store import Store
from warren.sys.tools import tools_here

_WARREN = "from warren.cli.main import main; main()"


def _compiled(stage: Stage, network: Network) -> Callable[[str, Machine], HostState]:
    """Give what compiles another version of the network for a host, from what is there."""
    return compiler(network, allot(network, stage.lab.lock))


def _apply(desired: HostState, machine: Machine, window: float | None = None) -> object:
    return verbs.apply(desired, machine, window=window, tools=lab_tools())


def _changed(stage: Stage) -> Network:
    """The network without exceptions and with one more LAN's portal, where there is one that has none."""
    portals = tuple(replace(one, exceptions=()) for one in stage.network.portals)
    taken = {(one.source.host, one.source.lan) for one in portals}
    for sender in stage.of_kind("lan"):
        host = stage.network.by_name[sender.host]
        for lan in host.lans:
            if (host.name, lan.name) not in taken and sender.way is not None:
                source = replace(sender.way.portal.source, lan=lan.name)
                return replace(stage.network, portals=(*portals, replace(sender.way.portal, source=source, at=None)))
    return replace(stage.network, portals=portals)


def _fewer(stage: Stage) -> Network:
    """The network without its last portal of a LAN."""
    lans = [one for one in stage.network.portals if one.source.kind is PlaceKind.LAN]
    return replace(stage.network, portals=tuple(one for one in stage.network.portals if one is not lans[-1]))


def _again(stage: Stage) -> Generator[Check]:
    for _ in range(3):
        stage.apply()
    yield LIVES


def _reload(stage: Stage) -> Generator[Check]:
    changed = _changed(stage)
    work = _compiled(stage, changed)
    stage.on(stage.hosts, lambda host, machine: _apply(work(host, machine), machine))
    stage.afterwards(stage.apply)
    yield Check(uplinks=False)


def _reload_fewer(stage: Stage) -> Generator[Check]:
    fewer = _fewer(stage)
    gone = {str(one.source) for one in stage.network.portals} - {str(one.source) for one in fewer.portals}
    work = _compiled(stage, fewer)
    stage.afterwards(stage.apply)
    stage.on(stage.hosts, lambda host, machine: _apply(work(host, machine), machine))
    stays: Callable[..., bool] = lambda sender: sender.way is None or str(sender.way.portal.source) not in gone  # noqa: E731
    yield Check(held=stays, lives=lambda sender: sender.portal and stays(sender))


def _invalid(stage: Stage) -> Generator[Check]:
    """The command as a person types it, on files that are wrong, cut off, empty, and not there."""
    host = stage.entries[0]
    texts = ("network: leaks\nhosts: {nyc: {uplink: }}\nportals: [{from: nowhere}]\n", "hosts: {", "")
    files = [PLACE / f"broken{number}.yaml" for number in range(len(texts) + 1)]
    for file, text in zip(files, texts, strict=False):
        file.write_text(text)
    refused = [_type(stage, host, "apply", str(file), "--host", host) for file in files]
    for process in refused:
        if process.wait(60) != 1:
            raise LabError(f"warren apply {process.args!r} was not refused")
    yield LIVES


def _type(stage: Stage, host: str, *words: str) -> subprocess.Popen[str]:
    return stage.lab.spaces.start(
        host_space(host),
        (sys.executable, "-P", "-c", _WARREN, *words),
        env={**os.environ, "WARREN_STATE_DIR": str(memory(host))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class _Dying:
    """Runs commands until it has run so many, and dies before the next."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, command: Command) -> str:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(command)


def _killed(stage: Stage, host: str, steps: int, verb: Callable[[Machine], object]) -> bool:
    """Have warren act on a host in a process that is killed after so many commands; say whether it came to that."""

    def work() -> int:
        verb(Machine(Store(memory(host)), act=_Dying(steps)))
        return 0

    pid = stage.lab.spaces.fork(host_space(host), work)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


# After how many commands it is killed: the first steps are many and small, the last are few.
_STEPS = (0, 1, 2, 3, 5, 8, 13)


def _killed_often(stage: Stage, verb: Callable[[str, Machine], object]) -> None:
    """On every host, have warren killed at each of those steps; it goes on from what is there each time."""
    for host in stage.entries:
        for steps in _STEPS:
            if not _killed(stage, host, steps, partial(verb, host)):
                break


def _apply_killed(stage: Stage) -> Generator[Check]:
    """There from the network as it is to one with more in it, and killed on the way: at each step the first stands."""
    work = _compiled(stage, _changed(stage))
    stage.afterwards(stage.apply)
    _killed_often(stage, lambda host, machine: _apply(work(host, machine), machine))
    yield Check(uplinks=False)


def _back_killed(stage: Stage) -> Generator[Check]:
    """Back from there."""
    work = _compiled(stage, _changed(stage))
    home = _compiled(stage, stage.network)
    stage.on(stage.hosts, lambda host, machine: _apply(work(host, machine), machine))
    stage.afterwards(stage.apply)
    _killed_often(stage, lambda host, machine: _apply(home(host, machine), machine))
    yield HELD


def _down_killed(stage: Stage) -> Generator[Check]:
    """The guard falls last: as long as `down` is killed before that, nothing is open. The next apply puts it back."""
    stage.torn = True
    for host in stage.entries:
        state = stage.on((host,), _compiled(stage, stage.network))[host]
        total = len(commands(diff(HostState(host, state.owner), state, state), state.owner))
        for steps in (1, 2, total - 6):  # what was done before is not done again
            _killed(stage, host, steps, lambda machine: verbs.down(stage.network.name, machine))
            if not stage.sh(host, f"nft list tables inet | grep -c 'warren-{stage.network.name}$' || true").startswith(
                "1"
            ):
                raise LabError(f"`warren down` on {host} was not killed before it took the table away")
    yield Check(uplinks=False)


def _rolled_back(stage: Stage) -> Generator[Check]:
    """Applied with a window of a second, never confirmed: undone by its guard, with the portals there all the time."""
    work = _compiled(stage, _changed(stage))
    stage.on(stage.hosts, lambda host, machine: _apply(work(host, machine), machine, 1.0))
    yield Check(uplinks=False)
    stage.wait_until(lambda: not any(_waits(stage, host) for host in stage.hosts), 20)
    yield LIVES


def _waits(stage: Stage, host: str) -> bool:
    return journal.load(stage.machine(host).store, stage.network.name).window is not None


def _rolled_back_by_hand(stage: Stage) -> Generator[Check]:
    work = _compiled(stage, _changed(stage))
    stage.on(stage.hosts, lambda host, machine: _apply(work(host, machine), machine, 60.0))
    stage.on(stage.hosts, lambda host, machine: verbs.roll_back(stage.network.name, machine))
    yield LIVES


def _failed(stage: Stage) -> Generator[Check]:
    """A command in the midst of an apply fails: everything is undone, and the portals were there all the time."""
    work = _compiled(stage, _changed(stage))

    def fail(host: str, machine: Machine) -> str:
        left = [6]

        def act(command: Command) -> str:
            left[0] -= 1
            if left[0] == 0:
                return run(Command(("false",)))
            return run(command)

        try:
            _apply(work(host, machine), replace(machine, act=act))
        except verbs.ApplyFailed as error:
            return error.says
        return ""

    stage.on(stage.hosts, fail)
    stage.afterwards(stage.apply)
    yield HELD


def _memory_lost(stage: Stage) -> Generator[Check]:
    """What warren remembers is gone: what it made stands."""
    for host in stage.entries:
        place = memory(host)
        kept = Path(f"{place}.kept")
        place.rename(kept)
        stage.afterwards(partial(_bring_back, kept, place))
    yield LIVES


def _bring_back(kept: Path, place: Path) -> None:
    if place.exists():
        place.rename(Path(f"{place}.thrown"))
    kept.rename(place)


def _down_and_up(stage: Stage) -> Generator[Check]:
    """Down promises nothing but what was before warren: then everything is seen. And up again."""
    stage.stop_streams()
    stage.on(stage.hosts, lambda _, machine: verbs.down(stage.network.name, machine))
    yield Check(held=lambda sender: False, says="after `warren down` all leaves as before")
    stage.apply()
    stage.begin()
    stage.start_streams()
    yield Check()


def _reboot(stage: Stage) -> Generator[Check]:
    """The hosts come up anew as routers that forward from the start: the guard stands before the network does."""
    stage.stop_streams()
    stage.torn = True
    stage.everywhere(
        "for device in $(wg show interfaces); do ip link del $device; done; "
        "for t in $(nft list tables inet | awk '$3 ~ /^warren-/ {print $3}'); do nft delete table inet $t; done; "
        "while ip rule del protocol 77 2>/dev/null; do :; done; "
        "while ip -6 rule del protocol 77 2>/dev/null; do :; done; "
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
    )
    for host in stage.hosts:
        confirmed = journal.load(stage.machine(host).store, stage.network.name).confirmed
        assert confirmed is not None, "what was applied without a window is confirmed"
        guard = PLACE / host / "guard.sh"
        guard.write_text(render_guard([confirmed]))
        stage.sh(host, f"sh {guard}")
    stage.start_streams()
    yield Check(uplinks=False)
    stage.on(stage.hosts, lambda _, machine: bring_back(machine, tools_here(), {}))
    yield HELD


def _scenario(name: str, says: str, promise: str, play: Play, needs: Needs = lambda network: "") -> Scenario:
    return Scenario(name, "applies", says, promise, play, needs)


def _of_a_lan(network: Network) -> str:
    lans = any(one.source.kind is PlaceKind.LAN for one in network.portals)
    return "" if lans and len(network.portals) > 1 else "there is no portal of a LAN beside another portal"


SCENARIOS = (
    _scenario("apply-again", "the same network is applied three times more", "all arrives by the exits", _again),
    _scenario("reload-changed", "a changed file is applied: a portal more, exceptions gone", "nothing leaks", _reload),
    _scenario(
        "reload-with-fewer",
        "a file with one portal less is applied",
        "the other portals hold, and arrive",
        _reload_fewer,
        _of_a_lan,
    ),
    _scenario(
        "reload-invalid",
        "files that are wrong, cut off, empty or missing are applied",
        "all arrives by the exits",
        _invalid,
    ),
    _scenario("apply-fails", "a command fails in the midst of an apply, which undoes itself", "nothing leaks", _failed),
    _scenario(
        "apply-killed",
        "an apply is killed after 0, 1, 2, 3, 5, 8 and 13 of its commands, one time after the other",
        "nothing leaks",
        _apply_killed,
    ),
    _scenario(
        "apply-back-killed",
        "the apply of the former file is killed in the same way",
        "nothing leaks",
        _back_killed,
    ),
    _scenario(
        "down-killed",
        "`warren down` is killed three times on its way, last shortly before it takes the table away",
        "nothing leaks",
        _down_killed,
    ),
    _scenario(
        "not-confirmed",
        "an apply is not confirmed, and its guard takes it back",
        "nothing leaks, then all arrives",
        _rolled_back,
    ),
    _scenario("rolled-back", "`warren rollback` takes an apply back", "all arrives by the exits", _rolled_back_by_hand),
    _scenario(
        "memory-lost", "all that warren remembers of the hosts is gone", "all arrives by the exits", _memory_lost
    ),
    _scenario(
        "down-and-up",
        "`warren down` puts the hosts back; then they are applied again",
        "as before warren; then nothing leaks",
        _down_and_up,
    ),
    _scenario(
        "boot",
        "the hosts start anew and forward at once; their guard stands before the network, the rest follows",
        "nothing leaks",
        _reboot,
    ),
)
