"""The server: it tells members of a network where those are that they are linked with, and lends them relays.

    receive(data, source, now)     to_send(now)     next_timer()     events()

It pushes, and nobody asks again and again. A push is repeated until it is acknowledged, five times; then again when
the host is next heard. Of each link at most one introduction and one grant wait, the newest: what a host can make the
server remember has an end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from warren.proto import message, packet
from warren.proto.address import Address, Candidate, Origin
from warren.proto.agenda import Agenda
from warren.proto.codec import MAX_CANDIDATES
from warren.proto.door import Door, Draw, Session
from warren.proto.lend import Lender, Lent
from warren.proto.limit import Bucket
from warren.proto.member import Links, Member
from warren.proto.message import (
    TO_SERVER,
    Acknowledge,
    Call,
    Grant,
    Introduce,
    KeepAlive,
    Observed,
    Register,
    WantRelay,
)
from warren.proto.noise import KeyPair
from warren.proto.packet import Hello, Sealed
from warren.proto.refusal import Refusal

GONE = 70.0  # seconds of silence after which a host has gone; it keeps alive every 20
REPEATS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds until a push that was not acknowledged is sent once more
ASKS, ASK_RATE = 40, 10.0  # messages of one host at once, and each second
EACH = 4  # more at once for each of its links: it learns of all of them when it comes, and acknowledges that
CHANGES, CHANGE_RATE = 6, 0.5  # registrations that tell something new: each is told to all its links


@dataclass(frozen=True, slots=True)
class Came:
    """A host has registered, or is somewhere else now."""

    who: Member
    address: Address


@dataclass(frozen=True, slots=True)
class Left:
    """A host was silent for too long."""

    who: Member


@dataclass(frozen=True, slots=True)
class Opened:
    """A relay was lent to a pair: whoever carries its packets has to know it."""

    lent: Lent


@dataclass(frozen=True, slots=True)
class Closed:
    """A relay was not asked for any more."""

    lent: Lent


Event = Came | Left | Opened | Closed


@dataclass(slots=True)
class _Push:
    message: Introduce | Grant
    number: int
    due: float
    sent: int = 0


@dataclass(slots=True)
class _Host:
    asks: Bucket
    changes: Bucket
    epoch: int = 0
    candidates: tuple[Candidate, ...] = ()
    observed: Address | None = None
    number: int = 0
    pushes: dict[tuple[type, bytes], _Push] = field(default_factory=dict)


class Rendezvous:
    """One server. `links` says for each member with whom it is linked; both sides have to say so.

    No host is linked with two members of another, so hosts know their peers by their keys alone.
    """

    def __init__(self, static: KeyPair, links: Links, draw: Draw, lender: Lender | None = None) -> None:
        self._links = {
            who: {other.who: other for other in sorted(others) if other != who and who in links.get(other, ())}
            for who, others in links.items()
        }
        self._door = Door(static, self._links, draw)
        self._lender = lender
        self._hosts: dict[Member, _Host] = {}
        self._agenda: Agenda[Member] = Agenda()  # when a host has a push to be repeated, or may have gone
        self._out: list[tuple[bytes, Address]] = []
        self._events: list[Event] = []
        self.refused: Counter[Refusal] = Counter()

    # --- the shape of a machine -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram, whatever it is."""
        taken = packet.parse(data)
        match taken:
            case Hello():
                answer = self._door.hello(taken, source, now)
                if isinstance(answer, Refusal):
                    self.refused[answer] += 1
                else:
                    self._out.append((packet.write(answer), source))
            case Sealed():
                refusal = self._session(taken, source, now)
                if refusal is not None:
                    self.refused[refusal] += 1
            case Refusal():
                self.refused[taken] += 1
            case _:
                self.refused[Refusal.UNEXPECTED] += 1

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now, and to where."""
        due = self._agenda.due(now)
        self._leave(due, now)
        for who in (*due, *self._agenda.due(now)):  # also who has to be told that another left
            session = self._door.of.get(who)
            if session is not None:
                self._agenda.plan(who, min((session.heard + GONE, *self._pushed(self._hosts[who], session, now))))
        for lent in self._lender.ended(now) if self._lender is not None else ():
            self._events.append(Closed(lent))
        out, self._out = self._out, []
        return out

    def _pushed(self, host: _Host, session: Session, now: float) -> Iterator[float]:
        """Push what is due, and say when each push is due again."""
        for push in host.pushes.values():
            if push.due <= now:
                self._out.append(self._sealed(session, push.message, push.number))
                push.due = now + REPEATS[push.sent] if push.sent < len(REPEATS) else float("inf")
                push.sent += 1
            yield push.due

    def next_timer(self) -> float | None:
        """Say when `to_send` should be asked again, if nothing comes before."""
        times = (self._agenda.next(), self._lender.next_end() if self._lender is not None else None)
        return min((time for time in times if time is not None), default=None)

    def events(self) -> list[Event]:
        """Give what has happened since this was last asked."""
        events, self._events = self._events, []
        return events

    @property
    def size(self) -> int:
        """How many things are remembered: sessions, hosts, pushes."""
        return len(self._door) + len(self._hosts) + sum(len(host.pushes) for host in self._hosts.values())

    # --- sessions -------------------------------------------------------------------------------------------------

    def _session(self, sealed: Sealed, source: Address, now: float) -> Refusal | None:
        entered = self._door.enter(sealed, now)
        if isinstance(entered, Refusal):
            return entered
        session, plain = entered
        host = self._hosts.get(session.who)
        if host is None:
            asks = Bucket(ASKS + EACH * len(self._links[session.who]), ASK_RATE, now)
            host = self._hosts[session.who] = _Host(asks, Bucket(CHANGES, CHANGE_RATE, now))
            self._agenda.plan(session.who, now + GONE)
        if not host.asks.take(now):
            return Refusal.BUSY
        said = message.parse(plain, TO_SERVER)
        if isinstance(said, Refusal):
            return said
        return self._take(host, session, *said, source, now)

    def _take(
        self, host: _Host, session: Session, said: message.Message, number: int, source: Address, now: float
    ) -> Refusal | None:
        match said:
            case Register():
                if not self._register(host, session, said, now):
                    return Refusal.BUSY
                self._observe(session, number, source)
            case KeepAlive():
                if source != session.source and said.proof == self._door.proof(session, source):
                    session.source = source
                    self._tell(session.who, host, now)
                for push in host.pushes.values():
                    push.due, push.sent = min(push.due, now), 0 if push.due == float("inf") else push.sent
                    self._agenda.plan(session.who, now)
                self._observe(session, number, source)
            case Acknowledge():
                for key, push in host.pushes.items():
                    if push.number == number:
                        del host.pushes[key]
                        break
            case Call() | WantRelay():
                peer = self._links[session.who].get(said.peer)
                if peer is None:
                    return Refusal.STRANGER
                if isinstance(said, Call):
                    self._introduce(session.who, peer, now, urgent=1)
                elif not self._lend(session.who, peer, now):
                    return Refusal.BUSY
        return None

    def _observe(self, session: Session, number: int, source: Address) -> None:
        """Answer to where it came from, however little is known of that place: the answer is no larger."""
        answer = Observed(source, self._door.proof(session, source))
        sealed = session.seal(message.write(answer, number))
        self._out.append((packet.write(sealed), source))

    def _sealed(self, session: Session, said: Introduce | Grant, number: int) -> tuple[bytes, Address]:
        return packet.write(session.seal(message.write(said, number))), session.source

    # --- introductions --------------------------------------------------------------------------------------------

    def _register(self, host: _Host, session: Session, said: Register, now: float) -> bool:
        if not said.epoch or (host.epoch, host.candidates) != (said.epoch, said.candidates):
            if not said.epoch or not host.changes.take(now):
                return False
            anew, links = host.epoch != said.epoch, self._links[session.who]
            host.epoch, host.candidates = said.epoch, said.candidates
            if anew:
                if self._lender is not None:
                    for peer in self._lender.renew(session.who.who, links):
                        self._lend(session.who, links[peer], now)  # asked for before it came, or in its last run
                for other in links.values():
                    self._introduce(other, session.who, now)
            host.observed = None
        if host.observed != session.source:
            self._tell(session.who, host, now)
        return True

    def _tell(self, who: Member, host: _Host, now: float) -> None:
        """Tell its links where a host is."""
        session = self._door.of[who]
        host.observed = session.source
        self._events.append(Came(who, session.source))
        for other in self._links[who].values():
            self._introduce(who, other, now)

    def _introduce(self, who: Member, to: Member, now: float, urgent: int = 0) -> None:
        """Have `to` learn of `who`, if both are there."""
        host = self._hosts.get(who)
        if host is None or not host.epoch:
            return
        seen = (Candidate(Origin.OBSERVED, host.observed),) if host.observed else ()
        # Who was seen where is for the server alone to say: peers try many ports at such an address.
        said = (one for one in host.candidates if one.origin is not Origin.OBSERVED)
        known = (*seen, *said)[:MAX_CANDIDATES]
        self._push(to, Introduce(who.who, host.epoch, urgent, known), now)

    def _push(self, to: Member, said: Introduce | Grant, now: float) -> None:
        host = self._hosts.get(to)
        if host is not None and host.epoch:
            host.number = (host.number + 1) % 2**32
            host.pushes[type(said), said.peer] = _Push(said, host.number, now)
            self._agenda.plan(to, now)

    def _leave(self, due: list[Member], now: float) -> None:
        """Forget those that were silent for too long, of those that are due to be looked at."""
        sessions = [self._door.of[who] for who in due if who in self._door.of]
        silent = [session for session in sessions if now >= session.heard + GONE]
        for session in silent:
            self._door.close(session)
            self._hosts.pop(session.who, None)
            self._events.append(Left(session.who))
        for session in silent:
            for other in self._links[session.who].values():
                self._push(other, Introduce(session.who.who, 0, 0, ()), now)

    # --- relays ---------------------------------------------------------------------------------------------------

    def _lend(self, one: Member, other: Member, now: float) -> bool:
        lent, new = self._lender.lend(one.who, other.who, now) if self._lender is not None else (None, False)
        if lent is None:
            return False
        if new:
            self._events.append(Opened(lent))
        for who, peer in ((one, other), (other, one)):
            session = self._door.of.get(who)
            if session is not None:
                self._push(who, lent.grant_for(who.who, peer.who, now, session.source.ip.version), now)
        return True
