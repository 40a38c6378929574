"""What a scenario is: something that happens to hosts, and what is promised of every sender while it does and after.

def play(stage):                       a generator
    stage.everywhere("nft flush …")    what happens; `stage.undo` says how it is taken back
    yield HELD                         now everybody asks anew, and what was promised is checked
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warren.lab.leaks.senders import Sender
from warren.model.network import Network

if TYPE_CHECKING:
    from warren.lab.leaks.stage import Stage

Whom = Callable[[Sender], bool]
Play = Callable[["Stage"], "Generator[Check]"]
Throw = Callable[[Sender, bytes], Iterator[bytes]]
Needs = Callable[[Network], str]


def everybody(sender: Sender) -> bool:
    """Hold for all."""
    return True


def nobody(sender: Sender) -> bool:
    """Hold for none."""
    return False


def unmarked(sender: Sender) -> bool:
    """Hold for all but those to whom a mark means something: portals of one MAC, and such with `only:` or sets."""
    return not sender.by_table and not (sender.way is not None and sender.way.portal.by_marks)


@dataclass(frozen=True, slots=True)
class Check:
    """What is promised at a moment: who leaks nothing, who arrives by his exit, at whose uplink a control is seen.

    `answers` are those who are answered by their LAN's own resolver, `silent` those who are not, since it is dead.
    `uplinks` is False where the disturbance stops everything on the uplinks, so that no control can be seen there.
    """

    held: Whom = everybody
    lives: Whom = nobody
    uplinks: bool | Whom = True
    answers: Whom = nobody
    silent: Whom = nobody
    says: str = ""

    def shows(self, control: Sender) -> bool:
        """Say whether a control must be seen on its uplink now."""
        return self.uplinks if isinstance(self.uplinks, bool) else self.uplinks(control)


HELD = Check()
LIVES = Check(lives=everybody)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that happens. `promise` says in a few words what holds meanwhile and after.

    `needs` says why it cannot be tried with a network; empty if it can. `world` is the file of its own in which it is
    tried when no other is named.
    """

    name: str
    group: str
    says: str
    promise: str
    play: Play
    needs: Needs = lambda network: ""
    throws: Throw | None = None
    world: str = "world.yaml"
