"""What a duty of the agent is: something to see to between two applies, in a file of its own.

    begin ─► line, moved, tick … ─► end          learn, whenever something was applied in between

All duties share one event loop and are called one after the other, so nothing here may wait longer than a program
runs; what has to wait has a reader or a timer on that loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren.core.delegates import Watched
from warren.daemon.knocking import Door, Knocks
from warren.daemon.meeting import Meeting
from warren.daemon.redial import Named
from warren.model.choice import Choice
from warren.model.lock import FollowedLock


@dataclass(frozen=True, slots=True)
class Event:
    """What the agent has to tell: `kind` is watching, moved, silent, answers, renumbered, refreshed, chosen,
    ended, dialled, path, mapped, knocked, opened or trouble.

    `subject` is the uplink, the peer or the portal it is about, `lans` are those that are told; `says` is for people.
    """

    kind: str
    subject: str
    lans: tuple[str, ...]
    says: str


Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Duties:
    """What there is to see to: the network, its devices here, the uplink, the tunnels that LANs depend on.

    `live` is what the announcer was started with. `followed` are devices here, with the prefix the lock has of each.
    `fed` says whether countries or lists are in force. `choices` are of exits, and `table` is the network's in nft.
    `named` are the peers that are dialled by a name.
    `meetings` say which peers are found at rendezvous servers, by which devices; `run` is where it is told what
    is known of them.
    `door` is what opens to who knocks here, `knocks` are the peers at which this host knocks.
    """

    network: str
    uplink: str
    devices: tuple[str, ...]
    watched: tuple[Watched, ...]
    directory: str
    live: str = ""
    followed: tuple[FollowedLock, ...] = ()
    fed: bool = False
    choices: tuple[Choice, ...] = ()
    table: str = ""
    named: tuple[Named, ...] = ()
    meetings: tuple[Meeting, ...] = ()
    run: str = ""
    door: Door | None = None
    knocks: Knocks | None = None


class Duty:
    """One thing to see to. Each of these does nothing until a duty says what; times are the loop's clock in seconds."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def begin(self, duties: Duties, now: float) -> None:
        """Start; HostError if that cannot be done here, and then the agent does not start either."""
        self.learn(duties, now)

    def learn(self, duties: Duties, now: float) -> None:
        """Something was applied: see to what is there now. HostError is told as trouble, and the agent goes on."""

    def names(self) -> tuple[str, ...]:
        """Give what is watched, as people are told."""
        return ()

    def line(self, text: str) -> None:
        """A line of `ip monitor`. There may be thousands a second: to note it must be all."""

    def moved(self, now: float) -> None:
        """The uplink's addresses or the default route changed."""

    def tick(self, now: float) -> None:
        """A second has passed."""

    def end(self) -> None:
        """The agent ends: leave the network as it is."""

    def say(self, kind: str, subject: str, says: str, lans: tuple[str, ...] = ()) -> None:
        """Tell what happened."""
        self._tell(Event(kind, subject, lans, says))
