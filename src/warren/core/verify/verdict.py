"""What verify says of one claim: what was expected, what is predicted, and why it fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.prefix import Family
from warren.model.trace import Disposition, Trace


class Kind(StrEnum):
    """What a claim is about: an `expect` of the file, or one of the things that need no asking."""

    EXPECT = "expect"
    LOOP = "loop"
    LEAK = "leak"
    EXEMPT = "exempt"
    HEALTH = "health"
    REACH = "reach"
    PUBLISHED = "published"
    SHADOW = "shadow"
    REPLY = "reply"
    MTU = "mtu"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim judged.

    `at` is its place in the file. `says` is why it does not hold, or what to know although it does. `faults`
    are what was broken first, in words.
    """

    kind: Kind
    claim: str
    holds: bool
    expected: str
    predicted: str
    says: str = ""
    at: Where | None = None
    family: Family | None = None
    faults: tuple[str, ...] = ()
    trace: Trace | None = None

    @property
    def unknown(self) -> bool:
        """Whether it failed because something foreign cannot be judged."""
        return not self.holds and self.trace is not None and _unsure(self.trace)


def _unsure(trace: Trace) -> bool:
    return trace.disposition is Disposition.UNKNOWN or (trace.reply is not None and _unsure(trace.reply))


def all_of(number: int, one: str, many: str = "") -> str:
    """Say of how many things something was shown to be so: `12 of 12 tunnels`; of none at all is said, not hidden."""
    return f"{number:,} of {number:,} {one if number == 1 else many or one + 's'}"


def prediction(trace: Trace) -> str:
    """Say in a phrase what becomes of a packet, and of its answer where that is the news."""
    if trace.disposition is Disposition.EXITED:
        told = f"exits at {trace.exit}"
    elif trace.disposition is Disposition.DELIVERED:
        told = f"arrives {trace.says}"
    else:
        told = f"{trace.disposition} at {trace.at}: {trace.says}"
    if trace.arrived and trace.reply is not None and not trace.reply.arrived:
        told += (
            f", but the answer does not come back ({trace.reply.disposition} at {trace.reply.at}: {trace.reply.says})"
        )
    return told
