"""A host's side of a relay: it shows its grant, keeps its NAT's mapping alive, and notices when nobody answers."""

from __future__ import annotations

from warren.proto import grant, packet
from warren.proto.address import Address
from warren.proto.message import Grant
from warren.proto.packet import RelayWelcome

KEEPS, BUSY = 15.0, 3.0  # seconds between two hellos, and while it carries something
REPEATS = (
    0.2,
    0.4,
    0.8,
    1.6,
)  # seconds until one that was not answered is sent again; after the last the relay is silent
CALLS = (0.05, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 15.0)  # seconds until the peer is asked again whether it is there
RETRIES = 10.0  # and this long until it is tried again


class Borrowed:
    """The relay of one pair, lent by the server with this key."""

    def __init__(self, who: bytes, granted: Grant, now: float, server: bytes = b"") -> None:
        self._who, self.granted, self.server = who, granted, server
        self.ends = now + granted.lifetime
        self._counter = int(now * 1000)  # above what it showed when it had this very grant before
        self._tries = 0
        self._due = self._answered = now
        self.answers = False
        self.heard = False  # the peer is there too: it spoke by it
        self._calls = 0
        self.calls_at = float("inf")
        self.rtt: float | None = None  # to the relay, not to the peer
        self._sent = now
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
        if not self.answers:
            self.listen(now)
        self.answers, self.failed, self._tries, self._due = True, False, 0, now + KEEPS
        self._answered = now
        if welcome.counter == self._counter:
            self.rtt = now - self._sent
        return True

    def renew(self, now: float) -> None:
        """Say at once where this host is: a path was lost, perhaps because the NAT has forgotten everything."""
        if self._due > now and not self.failed:
            self._tries, self._due = 0, now

    def hurry(self, now: float) -> None:
        """Look sooner whether the relay still answers: somebody depends on it."""
        if self.answers and not self._tries:
            self._due = min(self._due, max(now, self._answered + BUSY))

    def next_timer(self) -> float:
        """Say when `to_send` should be asked."""
        return min(self._due, self.ends)

    def listen(self, now: float) -> None:
        """Take the peer for absent until it is heard: the relay is new to it, or it has started anew."""
        self.heard, self._calls, self.calls_at = False, 0, now

    def calls(self, now: float) -> bool:
        """Say whether the peer is to be asked by the relay now whether it is there; until it has been heard."""
        if self.heard or not self.answers or self.calls_at > now:
            return False
        self.calls_at = now + CALLS[min(self._calls, len(CALLS) - 1)]
        self._calls += 1
        return True

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
        self._sent = now
        self._due = now + REPEATS[self._tries]
        self._tries += 1
        return packet.write(grant.hello(self.granted.grant, self.granted.secret, self._who, self._counter))
