"""A host's side of a relay: it shows its grant, keeps its NAT's mapping alive, and notices when nobody answers."""

from __future__ import annotations

from warren.proto import grant, packet
from warren.proto.address import Address
from warren.proto.message import Grant
from warren.proto.packet import RelayWelcome

KEEPS = 15.0  # seconds between two hellos
REPEATS = (
    0.2,
    0.4,
    0.8,
    1.6,
)  # seconds until one that was not answered is sent again; after the last the relay is silent
RETRIES = 10.0  # and this long until it is tried again


class Borrowed:
    """The relay of one pair."""

    def __init__(self, who: bytes, granted: Grant, now: float) -> None:
        self._who, self.granted = who, granted
        self.ends = now + granted.lifetime
        self._counter = -1
        self._tries = 0
        self._due = now
        self.answers = False
        self.failed = False  # it was silent or has ended: another may be had

    @property
    def place(self) -> Address:
        """Where the peer's packets are to be sent."""
        return self.granted.relay

    def prolong(self, granted: Grant, now: float) -> bool:
        """Take a grant, and say whether it is this very one."""
        if (granted.grant, granted.secret, granted.relay) != (
            self.granted.grant,
            self.granted.secret,
            self.granted.relay,
        ):
            return False
        self.ends = now + granted.lifetime
        return True

    def receive(self, welcome: RelayWelcome, now: float) -> bool:
        """Take the relay's answer, and say whether it is one."""
        if welcome.grant != self.granted.grant or not self._counter - self._tries < welcome.counter <= self._counter:
            return False
        if not grant.is_authentic(welcome, self.granted.secret, self._who):
            return False
        self.answers, self.failed, self._tries, self._due = True, False, 0, now + KEEPS
        return True

    def renew(self, now: float) -> None:
        """Say at once where this host is: a path was lost, perhaps because the NAT has forgotten everything."""
        if self._due > now and not self.failed:
            self._tries, self._due = 0, now

    def next_timer(self) -> float:
        """Say when `to_send` should be asked."""
        return min(self._due, self.ends)

    def to_send(self, now: float) -> bytes | None:
        """Give the hello that is due; notices silence, and the end of the grant."""
        if now >= self.ends:
            self.answers, self.failed, self._due, self.ends = False, True, float("inf"), float("inf")
            return None
        if self._due > now:
            return None
        if self._tries >= len(REPEATS):
            self.answers, self.failed, self._tries, self._due = False, True, 0, now + RETRIES
            return None
        self._counter += 1
        self._due = now + REPEATS[self._tries]
        self._tries += 1
        return packet.write(grant.hello(self.granted.grant, self.granted.secret, self._who, self._counter))
