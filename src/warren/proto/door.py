"""The server's door: who may have a session, and how little a stranger can make the server do.

    Hello ─ mac1 ─► under load? ─ mac2 ─► source within limit? ─► one key agreement ─► member? ─► session, on trial
              │            └─ CookieReply          │                                      │
              silence                             silence                                silence

A session is on trial until its first packet comes: a Hello that somebody recorded makes one that nobody can use, and
the session that is in use stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2s

from warren.proto.address import Address
from warren.proto.codec import ADDRESS
from warren.proto.cookie import ROTATES, cookie_for, cookie_reply, knows_server, receives_there
from warren.proto.limit import Sources
from warren.proto.member import Member
from warren.proto.noise import KEY, KeyPair, NoiseError, Responder, Transport
from warren.proto.packet import CookieReply, Hello, Sealed, Welcome, header
from warren.proto.refusal import Refusal

PROLOGUE = b"wrn rendezvous 1"
TRIALS = 4  # sessions on trial that one member may have
TRIAL = 10.0  # seconds until a session that nobody used is forgotten
LOAD = 200  # Hellos in a second from which on a source has to prove that it receives
HELLOS, HELLO_RATE = 20, 5.0  # of one source at once, and each second
SOURCES = 4096  # of which the server knows how much they asked

Draw = Callable[[int], bytes]  # random bytes that nobody can guess


@dataclass(slots=True)
class Session:
    """One member's session: where it is, and the keys."""

    index: int
    theirs: int
    who: Member
    transport: Transport
    source: Address
    begun: float
    heard: float

    def seal(self, plain: bytes) -> Sealed:
        """Seal a padded message to the member."""
        bound = header(Sealed) + self.theirs.to_bytes(4) + self.transport.sent.to_bytes(8)
        counter, sealed = self.transport.seal(plain, bound)
        return Sealed(self.theirs, counter, sealed)

    def open(self, packet: Sealed) -> bytes:
        """Open what came; NoiseError if it is forged or came before."""
        bound = header(Sealed) + packet.receiver.to_bytes(4) + packet.counter.to_bytes(8)
        return self.transport.open(packet.counter, packet.sealed, bound)


class Door:
    """All sessions of a server; at most 1 + TRIALS for each member."""

    def __init__(self, static: KeyPair, members: Collection[Member], draw: Draw) -> None:
        self._static, self._members, self._draw = static, members, draw
        self._hosts = {member.who for member in members}
        self._sources = Sources(HELLOS, HELLO_RATE, SOURCES)
        self._recent: deque[float] = deque(maxlen=LOAD)
        self._secret, self._secret_since = draw(KEY), float("-inf")
        self._trials: dict[Member, deque[int]] = {}
        self._on_trial: dict[int, Session] = {}
        self._in_use: dict[int, Session] = {}
        self.of: dict[Member, Session] = {}

    def __len__(self) -> int:
        return len(self._in_use) + len(self._on_trial)

    def hello(self, hello: Hello, source: Address, now: float) -> Welcome | CookieReply | Refusal:
        """Answer a Hello, or say why it is not answered."""
        if not knows_server(hello, self._static.public):
            return Refusal.MAC
        if now - self._secret_since >= ROTATES:
            self._secret, self._secret_since = self._draw(KEY), now
        loaded = len(self._recent) == LOAD and now - self._recent[0] < 1.0
        self._recent.append(now)
        if loaded and not receives_there(hello, cookie_for(source, self._secret)):
            return cookie_reply(hello, source, self._static.public, self._secret, self._draw(16))
        if not self._sources.take(source, now):
            return Refusal.BUSY
        responder = Responder(self._static, PROLOGUE)
        try:
            if responder.read(hello.noise) not in self._hosts:
                return Refusal.STRANGER
            member = Member(responder.remote, responder.accept())
            if member not in self._members:
                return Refusal.STRANGER
            ephemeral = KeyPair.of(self._draw(KEY))
            noise, transport = responder.write(ephemeral, ADDRESS.write(source))
        except NoiseError:
            return Refusal.FORGED
        index = self._free_index()
        self._try(Session(index, hello.sender, member, transport, source, now, now))
        return Welcome(index, hello.sender, noise)

    def enter(self, packet: Sealed, now: float) -> tuple[Session, bytes] | Refusal:
        """Take a packet of a session: whose, and what it says. The first one takes the place of the session before."""
        session = self._in_use.get(packet.receiver) or self._on_trial.get(packet.receiver)
        if session is None or (session.index in self._on_trial and now - session.begun > TRIAL):
            return Refusal.UNKNOWN
        try:
            plain = session.open(packet)
        except NoiseError:
            return Refusal.FORGED
        session.heard = now
        if session.index in self._on_trial:
            self._admit(session)
        return session, plain

    def close(self, session: Session) -> None:
        """Forget a session that is in use."""
        self._in_use.pop(session.index, None)
        if self.of.get(session.who) is session:
            del self.of[session.who]

    def proof(self, session: Session, source: Address) -> int:
        """Give what only who receives at this address can say; never 0, and nothing has to be remembered."""
        said = session.index.to_bytes(4) + ADDRESS.write(source)
        key = blake2s(self._static.private + b"wrn proof").digest()
        return int.from_bytes(blake2s(said, key=key, digest_size=8).digest()) | 1

    def _free_index(self) -> int:
        while True:
            index = int.from_bytes(self._draw(4))
            if index not in self._in_use and index not in self._on_trial:
                return index

    def _try(self, session: Session) -> None:
        trials = self._trials.setdefault(session.who, deque())
        if len(trials) == TRIALS:
            self._on_trial.pop(trials.popleft(), None)
        trials.append(session.index)
        self._on_trial[session.index] = session

    def _admit(self, session: Session) -> None:
        for index in self._trials.pop(session.who, ()):
            self._on_trial.pop(index, None)
        before = self.of.get(session.who)
        if before is not None:
            self.close(before)
        self.of[session.who] = self._in_use[session.index] = session
