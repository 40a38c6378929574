"""The host that the verbs of this layer act on, and how: where it remembers, who runs programs, who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from warren.model.change import Command
from warren.model.state import HostState
from warren.sys import journal as journals
from warren.sys import register as registers
from warren.sys.lock import PATIENCE
from warren.sys.observe import View
from warren.sys.run import Run, run
from warren.sys.store import Store


def _silent(command: Command) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One host. `read` runs what only looks, `act` what changes; `tell` hears of each change before it is made.

    `patience` is how many seconds to wait for another warren to finish.
    """

    store: Store = field(default_factory=Store.of_host)
    read: Run = run
    act: Run = run
    tell: Callable[[Command], None] = _silent
    patience: float = PATIENCE

    def view(self, owner: str, desired: HostState | None = None) -> View:
        """Load what tells an owner's objects from everybody else's."""
        return View(
            journal=journals.load(self.store, owner),
            register=registers.load(self.store),
            others=journals.others(self.store, owner),
            desired=desired,
            services=self.services,
        )

    @property
    def services(self) -> str:
        """Where the files of the programs lie that run for networks."""
        return str(self.store.path.absolute() / "services")
