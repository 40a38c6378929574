"""The states of a path to a peer, and what leads from one to another: the one table, which docs/protocol.md draws.

Relay first, promote only: no path is taken before it has carried an answer, and both sides take it together.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How a peer is reached."""

    ABSENT = "absent"
    SEEKING = "seeking"
    RELAYED = "relayed"
    DIRECT = "direct"


class Input(StrEnum):
    """What can happen to a path."""

    INTRODUCED = "a server introduces the peer, or a new run of it"
    GONE = "the servers say that it has gone"
    RELAY_ANSWERS = "the relay answers"
    RELAY_SILENT = "the relay is silent"
    AGREED = "both agreed on a pair that answers"
    SILENT = "the pair is silent"
    CALLED_BACK = "the peer has left the pair"


TABLE: dict[tuple[State, Input], State] = {
    (State.ABSENT, Input.INTRODUCED): State.SEEKING,
    (State.SEEKING, Input.RELAY_ANSWERS): State.RELAYED,
    (State.SEEKING, Input.AGREED): State.DIRECT,
    (State.SEEKING, Input.GONE): State.ABSENT,
    (State.RELAYED, Input.INTRODUCED): State.SEEKING,
    (State.RELAYED, Input.RELAY_SILENT): State.SEEKING,
    (State.RELAYED, Input.AGREED): State.DIRECT,
    (State.DIRECT, Input.INTRODUCED): State.SEEKING,
    (State.DIRECT, Input.AGREED): State.DIRECT,
    (State.DIRECT, Input.SILENT): State.SEEKING,
    (State.DIRECT, Input.CALLED_BACK): State.SEEKING,
}  # what is not here changes nothing: a peer that servers lost may still answer, and is left alone


def after(state: State, happened: Input) -> State:
    """Give the state that follows."""
    return TABLE.get((state, happened), state)
