"""Play many scenarios: in a few labs at once, each used for one scenario after the other as long as it comes back.

Played in threads, of which each only waits for the lab of its own.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from warren.core.parse import parse
from warren.lab.control import Session, start
from warren.lab.leaks.play import Outcome, from_dict
from warren.lab.leaks.scenario import Scenario
from warren.lab.leaks.scenarios import SCENARIOS
from warren.lab.spaces import LabError
from warren.model.lock import Lock
from warren.model.network import Network

WORLDS = Path(__file__).parent
HOLDER = "warren.lab.leaks.lane"
Tell = Callable[[Outcome], None]


def stock_world(name: str = "world.yaml") -> Network:
    """Read a world in which things are tried when no file is named."""
    file = WORLDS / name
    parsed = parse(file.read_bytes(), str(file))
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def choose(names: Iterable[str], network: Network | None) -> tuple[tuple[Scenario, ...], dict[str, str]]:
    """Choose the scenarios of these names or groups, or all; and say why some cannot be tried. LabError: no such.

    Without a network each is tried in a world that is made for it.
    """
    wanted = tuple(names)
    known = {one.name for one in SCENARIOS} | {one.group for one in SCENARIOS}
    for name in wanted:
        if name not in known:
            raise LabError(
                f"there is no scenario {name}", "`warren lab leaks --list` names them all, and their groups."
            )
    chosen = [one for one in SCENARIOS if not wanted or one.name in wanted or one.group in wanted]
    worlds = {one.world: network or stock_world(one.world) for one in chosen}
    unfit = {one.name: why for one in chosen if (why := one.needs(worlds[one.world]))}
    return tuple(one for one in chosen if one.name not in unfit), unfit


def play_all(
    network: Network | None,
    lock: Lock | None,
    scenarios: Iterable[Scenario],
    tell: Tell,
    *,
    lanes: int = 0,
    sabotage: bool = False,
) -> list[Outcome]:
    """Play scenarios and tell of each as it ends; give the outcomes in the order of the scenarios.

    Without a network each is played in its own world.
    LabError when a lab cannot be had, or no probe be seen in it.
    """
    waiting: queue.Queue[Scenario] = queue.Queue()
    order = tuple(scenarios)
    for one in order:
        waiting.put(one)
    done: dict[str, Outcome] = {}
    troubles: list[LabError] = []
    turn = threading.Lock()

    def run() -> None:
        lane = _Lane(network, lock, sabotage)
        try:
            while not troubles:
                try:
                    scenario = waiting.get_nowait()
                except queue.Empty:
                    return
                outcome = lane.play(scenario)
                with turn:
                    done[scenario.name] = outcome
                    tell(outcome)
        except LabError as error:
            troubles.append(error)
        finally:
            lane.close()

    many = max(1, min(lanes or (os.cpu_count() or 1), 4, len(order)))
    threads = [threading.Thread(target=run, daemon=True) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # so that Ctrl-C is heard
    if troubles:
        raise troubles[0]
    return [done[one.name] for one in order]


class _Lane:
    """A lab that is brought up when it is needed, and anew for another world or when the last scenario spoiled it."""

    def __init__(self, network: Network | None, lock: Lock | None, sabotage: bool) -> None:
        self.network, self.lock, self.sabotage = network, lock, sabotage
        self.session: Session | None = None
        self.world = ""

    def play(self, scenario: Scenario) -> Outcome:
        """Play one; a lab that was too slow to see everything has another try in a fresh one."""
        if self.network is None and scenario.world != self.world:
            self.close()
            self.world = scenario.world
        outcome = self._play(scenario.name)
        if not outcome.holds and not outcome.leaks and not self.sabotage:
            self.close()
            again = self._play(scenario.name)
            outcome = replace(again, seconds=round(outcome.seconds + again.seconds, 2))
        return outcome

    def _play(self, name: str) -> Outcome:
        if self.session is None:
            self.session = start(self.network or stock_world(self.world), self.lock, holder=HOLDER)
        told = next(self.session.ask("play", name=name, sabotage=self.sabotage))
        outcome = from_dict(told["outcome"])
        if told["unseen"]:
            nobody = "without a portal none of its packets was seen on an uplink, so nothing is proved by it"
            outcome = replace(outcome, short=(*outcome.short, nobody))
        if outcome.spoiled:
            self.close()
        return outcome

    def close(self) -> None:
        """Take the lab down, if there is one."""
        if self.session is not None:
            self.session.close()
            self.session = None
