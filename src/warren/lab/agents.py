"""The agents of a lab: where a host has exits to choose from, `warren agent` runs beside it, as in production.

It has less patience than elsewhere: a preferred exit that is alive again is taken after BACK seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warren.core.choices import rank_of
from warren.core.walk import Walker
from warren.lab.topology import host_space
from warren.lab.works import memory
from warren.model.choice import DIRECT, Choice
from warren.model.state import HostState

if TYPE_CHECKING:
    from warren.lab.lab import Lab

BACK = 5.0  # seconds
CHOOSES = 12.0  # seconds in which an agent has chosen; it takes four


def start_agents(lab: Lab, reached: dict[str, HostState]) -> None:
    """Start an agent on every host that has something to choose; they end with the lab."""
    for name, state in reached.items():
        if state.choices and name not in lab.daemons.running:  # one that finds peers chooses, too
            lab.agents[name] = lab.spaces.fork(host_space(name), lambda name=name: _attend(lab, name))  # type: ignore[misc]


def await_agents(lab: Lab, walker: Walker) -> None:
    """Wait until the agents have chosen as walk foretells; where they do not, the questions that follow will tell."""
    hosts = {host.name: walker.view(host.name).state for host in lab.network.hosts}
    waiting = {name: state for name, state in hosts.items() if state.choices}

    def chosen() -> bool:
        for name in [name for name, state in waiting.items() if _agrees(lab, name, state)]:
            del waiting[name]
        return not waiting

    lab.wait(chosen, CHOOSES, lambda _: None)  # somebody to prod keeps it looking


def _agrees(lab: Lab, name: str, state: HostState) -> bool:
    from warren.sys.exits import in_use

    with lab.spaces.inside(host_space(name)):
        return all(in_use(choice, state.table_name) == _foretold(choice, state) for choice in state.choices)


def _foretold(choice: Choice, state: HostState) -> int:
    filled = any(one.name == choice.direct and one.elements for table in state.tables for one in table.sets)
    return DIRECT if filled else rank_of(choice, state.routes)


def _attend(lab: Lab, name: str) -> int:
    """Be a host's agent; the lab's own loop and sockets are left alone."""
    import asyncio

    from warren.daemon.agent import Agent
    from warren.daemon.duties import after_each_apply, duties_here
    from warren.daemon.duty import Duties
    from warren.daemon.failover import Failover
    from warren.sys.machine import Machine
    from warren.sys.store import Store

    machine = Machine(Store(memory(name)))
    Failover.back = BACK

    def read() -> Duties:
        return duties_here(lab.network, lab.lock, name, machine)

    asyncio.run(Agent(read(), lambda _: None, after_each_apply(read, lab.network.name, machine)).run())
    return 0
