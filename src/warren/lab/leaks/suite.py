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

WORLD = Path(__file__).with_name("world.yaml")
HOLDER = "warren.lab.leaks.lane"
Tell = Callable[[Outcome], None]


def stock_world() -> Network:
    """Read the world in which everything is tried when no file is named."""
    parsed = parse(WORLD.read_bytes(), str(WORLD))
    assert parsed.network is not None, parsed.diagnostics
    return parsed.network


def choose(names: Iterable[str], network: Network) -> tuple[tuple[Scenario, ...], dict[str, str]]:
    """Choose the scenarios of these names or groups, or all; and say why some cannot be tried. LabError: no such."""
    wanted = tuple(names)
    known = {one.name for one in SCENARIOS} | {one.group for one in SCENARIOS}
    for name in wanted:
        if name not in known:
            raise LabError(
                f"there is no scenario {name}", "`warren lab leaks --list` names them all, and their groups."
            )
    chosen = [one for one in SCENARIOS if not wanted or one.name in wanted or one.group in wanted]
    unfit = {one.name: why for one in chosen if (why := one.needs(network))}
    return tuple(one for one in chosen if one.name not in unfit), unfit


def play_all(
    network: Network,
    lock: Lock | None,
    scenarios: Iterable[Scenario],
    tell: Tell,
    *,
    lanes: int = 0,
    sabotage: bool = False,
) -> list[Outcome]:
    """Play scenarios and tell of each as it ends; give the outcomes in the order of the scenarios.

    LabError when a lab cannot be had, or no probe be seen in it.
    """
    waiting: queue.Queue[str] = queue.Queue()
    order = [one.name for one in scenarios]
    for name in order:
        waiting.put(name)
    done: dict[str, Outcome] = {}
    troubles: list[LabError] = []
    turn = threading.Lock()

    def run() -> None:
        lane = _Lane(network, lock, sabotage)
        try:
            while not troubles:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                outcome = lane.play(name)
                with turn:
                    done[name] = outcome
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
    return [done[name] for name in order]


class _Lane:
    """A lab that is brought up when it is needed, and anew when the last scenario has spoiled it."""

    def __init__(self, network: Network, lock: Lock | None, sabotage: bool) -> None:
        self.network, self.lock, self.sabotage = network, lock, sabotage
        self.session: Session | None = None

    def play(self, name: str) -> Outcome:
        """Play one; a lab that was too slow to see everything has another try in a fresh one."""
        outcome = self._play(name)
        if not outcome.holds and not outcome.leaks and not self.sabotage:
            self.close()
            again = self._play(name)
            outcome = replace(again, seconds=round(outcome.seconds + again.seconds, 2))
        return outcome

    def _play(self, name: str) -> Outcome:
        if self.session is None:
            self.session = start(self.network, self.lock, holder=HOLDER)
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
