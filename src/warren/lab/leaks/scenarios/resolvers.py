"""Programs that resolve names, and die: nobody else is asked instead, and where they come back, they answer again.

What their LAN's machines ask for is asked for by nobody else, so that it is known by the name wherever it is seen.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

from warren.core.compile.dns import AT_EXIT
from warren.core.render.programs import Files, files_of
from warren.lab.faults import break_down, heal
from warren.lab.leaks.scenario import Check, Needs, Play, Scenario, Whom, everybody
from warren.lab.leaks.scenarios.programs import agent_on, readable
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.stage import Stage
from warren.lab.spaces import LabError
from warren.model.dns import Dns, Privacy
from warren.model.expect import Down
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.state import PROTOCOL, Program, Service
from warren.sys.machine import Machine
from warren.sys.services import watcher

WORLD = "world_resolvers.yaml"
ANSWERED = Check(lives=everybody, answers=everybody)
Which = Callable[[Service], bool]


def _of_lans(service: Service) -> bool:
    return service.program is Program.DNSMASQ and service.name != AT_EXIT


def _judging(service: Service) -> bool:
    return service.program is Program.RESOLVER


def _at_exit(service: Service) -> bool:
    return service.name == AT_EXIT


def _any(service: Service) -> bool:
    return service.program in (Program.DNSMASQ, Program.RESOLVER)


def _uses(which: Which) -> Whom:
    """Hold for those whose names are resolved by these programs."""

    def using(sender: Sender) -> bool:
        dns = sender.way.portal.dns if sender.way is not None else None
        if sender.resolver is None or dns is None:
            return False
        return which in (_any, _of_lans) or (dns.judged if which is _judging else dns.at_exit)

    return using


def _without(which: Which) -> Whom:
    return lambda sender: not _uses(which)(sender)


def _kill(stage: Stage, which: Which, *, watchers: bool = False) -> int:
    """Kill programs with SIGKILL on every host, and first, if so wished, who watches over them; count them."""

    def work(host: str, machine: Machine) -> int:
        state = stage.lab.states[host]
        files = [files_of(one.name, state.owner, machine.services) for one in state.services if which(one)]
        return sum(_kill_one(one, watchers) for one in files)

    return sum(stage.on(stage.lab.states, work).values())


def _must_kill(stage: Stage, which: Which, *, watchers: bool = False) -> None:
    if not _kill(stage, which, watchers=watchers):
        raise LabError("no such program was at work, so there was nothing to kill")


def _kill_one(files: Files, watchers: bool) -> int:
    watching = watcher(files)
    if watching is None:
        return 0
    programs = Path(f"/proc/{watching}/task/{watching}/children").read_text(encoding="ascii").split()
    for number in ([str(watching)] if watchers else []) + programs:
        with suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)
    return len(programs)


def _begin_anew(stage: Stage) -> None:
    """Have them all started by fresh watchers: each waits twice as long when something has died before."""
    _kill(stage, _any, watchers=True)
    stage.apply()


def _come_back(which: Which) -> Play:
    """Killed alone: who watches over them starts them again."""

    def play(stage: Stage) -> Generator[Check]:
        stage.afterwards(lambda: _begin_anew(stage))
        yield ANSWERED
        _must_kill(stage, which)
        yield Check(lives=everybody, answers=_without(which))
        yield ANSWERED

    return play


def _stay_dead(which: Which) -> Play:
    """Killed with who watches over them: dead until the next apply."""

    def play(stage: Stage) -> Generator[Check]:
        stage.afterwards(lambda: _begin_anew(stage))
        yield ANSWERED
        _must_kill(stage, which, watchers=True)
        yield Check(lives=everybody, answers=_without(which))
        stage.pause(1.5)  # longer than somebody who watches waits
        yield Check(lives=everybody, answers=_without(which), silent=_uses(which))
        stage.apply()
        yield ANSWERED

    return play


def _exits(stage: Stage) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.way.hops[-1] for one in stage.senders if one.way is not None and one.resolver))


def _elsewhere(host: str) -> Whom:
    return lambda sender: sender.host != host


def _beyond(host: str) -> Whom:
    """Hold for those who have no other exit."""
    return lambda sender: sender.way is not None and sender.way.portal.exits == (host,)


def _exit_dead(stage: Stage) -> Generator[Check]:
    """All of them die while nobody could be asked, one exit after the other: first alone, then with who watches."""
    stage.afterwards(lambda: _begin_anew(stage))
    yield ANSWERED
    for host in _exits(stage):
        down = (Down(host),)
        dead = Check(uplinks=_elsewhere(host), silent=_beyond(host))
        break_down(stage.lab, down)
        try:
            _must_kill(stage, _any)
            yield dead
            stage.pause(1.5)  # they are back
            yield dead
            _must_kill(stage, _any, watchers=True)
            yield dead
        finally:
            heal(stage.lab, down)
        stage.again(host)
        yield ANSWERED


def _another(host: str) -> Whom:
    """Hold for those whose names another exit may carry."""

    def with_another(sender: Sender) -> bool:
        return sender.way is not None and host in sender.way.hops and len(sender.way.portal.exits) > 1

    return with_another


# What an agent chose stays when it dies, and when the network is applied.
_NOTHING_CHOSEN = f"""
for family in -4 -6; do
  ip $family route show table all | grep 'proto {PROTOCOL} .*metric 1\\b' | while read -r way; do
    ip $family route del $way
  done
done
"""


def _followed(stage: Stage) -> Generator[Check]:
    """The preferred exit dies, and the dnsmasq of every LAN before the agent has chosen another."""
    stage.afterwards(lambda: _begin_anew(stage))
    agents = []
    try:
        for host in stage.entries:
            stage.undo(host, _NOTHING_CHOSEN)
            agents.append(agent_on(stage, host))
        yield ANSWERED
        for host in dict.fromkeys(
            one.way.hops[-1] for one in stage.senders if one.way and len(one.way.portal.exits) > 1
        ):
            down = (Down(host),)
            break_down(stage.lab, down)
            try:
                _must_kill(stage, _of_lans)
                yield Check(uplinks=_elsewhere(host), silent=_beyond(host))
                yield Check(uplinks=_elsewhere(host), lives=_another(host), answers=_another(host))
            finally:
                heal(stage.lab, down)
            stage.again(host)
            yield ANSWERED
    finally:
        for process in agents:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _chooses(network: Network) -> str:
    told = (one for one in network.portals if one.source.kind is PlaceKind.LAN and one.spare and _is_seen(one.dns))
    return readable(network) if any(told) else "no portal of a LAN has names resolved, and several exits"


def _have(which: Which) -> Needs:
    def lacking(network: Network) -> str:
        told = [one.dns for one in network.portals if one.source.kind is PlaceKind.LAN and _is_seen(one.dns)]
        if which is _judging:
            return "" if any(one.judged for one in told) else "no portal of a LAN has names judged between two sides"
        if which is _at_exit:
            return "" if any(one.at_exit for one in told) else "no portal of a LAN has names resolved at its exit"
        return "" if told else "no portal of a LAN says how names are resolved, in a way that can be seen"

    return lacking


def _is_seen(dns: Dns | None) -> TypeGuard[Dns]:
    return dns is not None and not dns.sealed and not (dns.judged and dns.privacy is Privacy.FAST)


_BACK, _DEAD = "nothing leaks, then answers come again", "nothing leaks; until the next apply no answers"


def _scenario(name: str, says: str, promise: str, play: Play, which: Which) -> Scenario:
    return Scenario(name, "resolvers", says, promise, play, _have(which), world=WORLD)


SCENARIOS = (
    _scenario(
        "dnsmasq-killed", "the dnsmasq of every LAN is killed with SIGKILL", _BACK, _come_back(_of_lans), _of_lans
    ),
    _scenario(
        "dnsmasq-stays-dead",
        "the dnsmasq of every LAN is killed with who watches over it",
        _DEAD,
        _stay_dead(_of_lans),
        _of_lans,
    ),
    _scenario("warren-dns-killed", "`warren dns` is killed with SIGKILL", _BACK, _come_back(_judging), _judging),
    _scenario(
        "warren-dns-stays-dead",
        "`warren dns` is killed with who watches over it",
        _DEAD,
        _stay_dead(_judging),
        _judging,
    ),
    _scenario("exit-names-killed", "the exit's dnsmasq is killed with SIGKILL", _BACK, _come_back(_at_exit), _at_exit),
    _scenario(
        "exit-names-stay-dead",
        "the exit's dnsmasq is killed with who watches over it",
        _DEAD,
        _stay_dead(_at_exit),
        _at_exit,
    ),
    _scenario(
        "resolvers-killed-exit-dead",
        "all of them are killed while the exit's cable is pulled, and again with who watches over them",
        "nothing leaks, then answers come again",
        _exit_dead,
        _any,
    ),
    Scenario(
        "dnsmasq-killed-exit-changed",
        "resolvers",
        "the dnsmasq of every LAN is killed as the exit dies for which the agent chooses another",
        "nothing leaks, then answers come by the other",
        _followed,
        _chooses,
        world=WORLD,
    ),
)
