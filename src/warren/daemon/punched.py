"""What `warren punch` knows of each peer, and what follows from it: pure, beside the loop that asks.

A peer with a fresh handshake on a working path is left alone, unless the server says that it has moved: the original
overwrites a place to which WireGuard has roamed with one that may be old.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from warren.proto.address import Address
from warren.sys.wg import PeerSeen

FRESH = 180.0  # seconds: a session of WireGuard's is good for so long (its paper, section 6.1)
KEEPALIVE = 25  # seconds, as the original sets it
OPENS = 20.0  # seconds within which a peer that was found shakes hands, if ever: WireGuard tries every five


class State(Enum):
    """How far it has come with a peer."""

    ASKED = "asked for"
    UNKNOWN = "the server does not know it"
    FOUND = "found, and not yet met"
    QUIET = "found, and does not answer there"
    TALKS = "there is a tunnel"


@dataclass(slots=True)
class Known:
    """What is known of a peer; times are the loop's, in seconds."""

    state: State = State.ASKED
    place: Address | None = None  # what the server said last
    sent: Address | None = None  # where it was last sent to on our word
    since: float = 0.0  # of that


def is_fresh(seen: PeerSeen, clock: float) -> bool:
    """Say whether a peer has a living session; `clock` is the time in seconds since 1970."""
    return bool(seen.handshake) and clock - seen.handshake < FRESH


def should_send_to(known: Known, place: Address, seen: PeerSeen, clock: float) -> bool:
    """Say whether WireGuard is to be told of a place that the server has just given."""
    at = str(seen.peer.endpoint) if seen.peer.endpoint else ""
    if is_fresh(seen, clock):
        return known.place not in (None, place) and at != str(place)
    return known.sent != place or at != str(place)


def keepalive(seen: PeerSeen) -> int:
    """Give the keepalive that a peer is to have: 25 seconds, or the shorter one that it has."""
    return min(seen.peer.keepalive or KEEPALIVE, KEEPALIVE)


def next_state(known: Known, seen: PeerSeen, now: float, clock: float) -> State:
    """Say how far it has come by now, by what WireGuard says of the peer."""
    if is_fresh(seen, clock):
        return State.TALKS
    if known.sent is not None and known.state is not State.UNKNOWN:
        return State.QUIET if now - known.since >= OPENS else State.FOUND
    return State.ASKED if known.state is State.TALKS else known.state


def is_over(state: State) -> bool:
    """Say whether there is nothing more to wait for, where it is not done for good."""
    return state in (State.TALKS, State.QUIET)
