"""When to ask again what a peer's name stands for, and which of its addresses to dial: without a clock or a socket.

    look(handshakes, bytes, now) ──► who is asked for now ──► choose(where it is dialled, what was found) ──► where to

Only a peer that we send to and that has not shaken hands of late: a tunnel that works is nobody's business, and one
that nobody uses is left in peace. A name with addresses of both families is tried by one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.prefix import Address

LOOK = 10.0  # seconds between two looks at the handshakes
# A session in use is renewed after 120 s, and the try is repeated every 5 s (WireGuard's paper, section 6).
FRESH = 135.0
LONGEST = 300.0  # between two questions about one name


@dataclass(frozen=True, slots=True)
class Named:
    """A peer of a device that is dialled by a name; `address` is its own in the tunnel, None if it has none."""

    device: str
    key: PublicKey
    peer: str
    endpoint: Endpoint
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What WireGuard knows of a peer: seconds since its last handshake (None: none yet), bytes sent, where it is."""

    handshake: float | None
    sent: int
    endpoint: Endpoint | None


@dataclass
class _Tried:
    sent: int
    wait: float = LOOK
    next: float = 0.0


class Redial:
    """What was tried of each peer so far."""

    def __init__(self) -> None:
        self._tried: dict[tuple[str, PublicKey], _Tried] = {}

    def look(self, named: Iterable[Named], seen: Mapping[tuple[str, PublicKey], Look], now: float) -> tuple[Named, ...]:
        """Give those whose names are to be asked for now; who is asked for in vain is asked for ever more rarely."""
        due: list[Named] = []
        kept: dict[tuple[str, PublicKey], _Tried] = {}
        for one in named:
            key = one.device, one.key
            found = seen.get(key)
            if found is None:
                continue
            if found.handshake is not None and found.handshake < FRESH:
                kept[key] = _Tried(found.sent)
                continue
            tried = self._tried.get(key)
            wanted = found.endpoint is None or (tried is not None and found.sent != tried.sent)
            tried = kept[key] = tried or _Tried(found.sent)
            tried.sent = found.sent
            if wanted and now >= tried.next:
                due.append(one)
                tried.next, tried.wait = now + tried.wait, min(2 * tried.wait, LONGEST)
        self._tried = kept
        return tuple(due)


def choose(current: Endpoint | None, found: tuple[Endpoint, ...]) -> Endpoint | None:
    """Choose which address to dial instead of the one that does not answer; None if there is no other."""
    if current not in found:
        return found[0] if found else None
    following = found[(found.index(current) + 1) % len(found)]
    return following if following != current else None
