"""A host's session with one server: kept up through loss, a server that restarts, and NATs that forget.

    Hello … Welcome ─► Register … Observed ─► KeepAlive every 20 s … Observed
      ▲                                            │
      └──── four of them unanswered, or an hour ◄──┘

Whatever is lost is repeated at growing intervals. What the server pushes is acknowledged, and given to the caller once.
"""

from __future__ import annotations

from warren.proto import message, packet
from warren.proto.address import Address, Candidate
from warren.proto.codec import ADDRESS, Malformed
from warren.proto.cookie import ROTATES, read_cookie, signed
from warren.proto.door import PROLOGUE, Draw
from warren.proto.member import ALL
from warren.proto.message import TO_HOST, Acknowledge, Grant, Introduce, KeepAlive, Observed, Register
from warren.proto.noise import KEY, Initiator, KeyPair, NoiseError, Transport
from warren.proto.packet import CookieReply, Sealed, Welcome, header
from warren.proto.refusal import Refusal

KEEPS = 20.0  # seconds between two signs of life; many NATs forget after 30
HELLOS = (0.5, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds until a Hello is repeated; the last again and again
REPEATS = (0.5, 1.0, 2.0, 4.0)  # seconds until a Register or KeepAlive is repeated, then a new Hello
RENEWS = 3600.0  # seconds after which new keys are agreed on

Pushed = Introduce | Grant


class Visit:
    """One server, seen from a port of a host, which is for all peers or for `only` one.

    `observed` is where the server last saw it.
    """

    def __init__(
        self, static: KeyPair, server: Address, server_key: bytes, epoch: int, draw: Draw, only: bytes = ALL
    ) -> None:
        self._static, self._draw, self._epoch, self._only = static, draw, epoch, only
        self.server, self.server_key = server, server_key
        self.observed: Address | None = None
        self._candidates: tuple[Candidate, ...] = ()
        self._initiator: Initiator | None = None
        self._hello = b"", 0  # its mac1 and our index
        self._cookie = b"", float("-inf")
        self._transport: Transport | None = None
        self._theirs = self._number = 0
        self._since = 0.0
        self._proof = 0
        self._registered = False
        self._asked: int | None = None  # the number of the question that is not answered
        self._tries = 0
        self._due = float("-inf")
        self._queue: list[message.Message] = []
        self._out: list[bytes] = []

    @property
    def up(self) -> bool:
        """Whether the server knows this host."""
        return self._transport is not None and self._registered

    def offer(self, candidates: tuple[Candidate, ...], now: float) -> None:
        """Say where the host may be reached, now and whenever that changes."""
        if candidates != self._candidates:
            self._candidates, self._registered = candidates, False
            if self._transport is not None:
                self._ask_at(now)

    def say(self, said: message.Message) -> None:
        """Say something that has no answer; nothing, while there is no session."""
        if self.up:
            self._queue.append(said)

    def moved(self, now: float) -> None:
        """Have the server look at where this host is now: the uplink has changed."""
        self._ask_at(now)

    def receive(self, taken: packet.Packet, now: float) -> list[Pushed] | Refusal:
        """Take a packet that came from the server's address; gives what it pushed."""
        try:
            match taken:
                case Welcome():
                    return self._welcome(taken, now)
                case CookieReply():
                    return self._take_cookie(taken, now)
                case Sealed():
                    return self._sealed(taken, now)
        except NoiseError:
            return Refusal.FORGED
        except Malformed as error:
            return error.refusal
        return Refusal.UNEXPECTED

    def next_timer(self) -> float:
        """Say when `to_send` should be asked again."""
        return self._due

    def to_send(self, now: float) -> list[bytes]:
        """Give the datagrams for the server."""
        if self._transport is not None and now - self._since >= RENEWS:
            self._start_over(now)
        if self._due <= now:
            if self._transport is not None and self._asked is not None and self._tries >= len(REPEATS):
                self._start_over(now)
            if self._transport is None:
                self._greet(now)
            else:
                self._ask(now)
        for said in self._queue:
            self._seal(said)
        self._queue.clear()
        out, self._out = self._out, []
        return out

    # --- the handshake --------------------------------------------------------------------------------------------

    def _greet(self, now: float) -> None:
        index = int.from_bytes(self._draw(4))
        ephemeral = KeyPair.of(self._draw(KEY))
        self._initiator = Initiator(self._static, self.server_key, ephemeral, PROLOGUE)
        cookie, since = self._cookie
        made = signed(
            index, self._initiator.write(self._only), self.server_key, cookie if now - since < ROTATES else b""
        )
        self._hello = made.mac1, index
        self._out.append(packet.write(made))
        self._due = now + HELLOS[min(self._tries, len(HELLOS) - 1)]
        self._tries += 1

    def _take_cookie(self, reply: CookieReply, now: float) -> list[Pushed] | Refusal:
        mac1, index = self._hello
        if reply.receiver != index or self._initiator is None:
            return Refusal.UNKNOWN
        self._cookie = read_cookie(reply, mac1, self.server_key), now
        self._due = min(self._due, now + 0.1)
        return []

    def _welcome(self, welcome: Welcome, now: float) -> list[Pushed] | Refusal:
        if welcome.receiver != self._hello[1] or self._initiator is None:
            return Refusal.UNKNOWN
        payload, self._transport = self._initiator.read(welcome.noise)
        self._initiator = None
        self._theirs, self._since = welcome.sender, now
        self._registered = False
        self._ask_at(now)
        self.observed, _ = ADDRESS.read(payload, 0)
        return []

    def _start_over(self, now: float) -> None:
        self._transport = None
        self._queue.clear()  # what has no answer is said in a session, or not at all
        self._registered, self._asked, self._tries, self._due = False, None, 0, now

    # --- the session ----------------------------------------------------------------------------------------------

    def _ask_at(self, when: float) -> None:
        self._asked, self._tries, self._due = None, 0, when

    def _ask(self, now: float) -> None:
        said = KeepAlive(self._proof) if self._registered else Register(self._epoch, self._candidates)
        self._asked = self._seal(said)
        self._due = now + REPEATS[min(self._tries, len(REPEATS) - 1)]
        self._tries += 1

    def _seal(self, said: message.Message, number: int | None = None) -> int:
        assert self._transport is not None
        if number is None:
            number = self._number = (self._number + 1) % 2**32
        bound = header(Sealed) + self._theirs.to_bytes(4) + self._transport.sent.to_bytes(8)
        counter, sealed = self._transport.seal(message.write(said, number), bound)
        self._out.append(packet.write(Sealed(self._theirs, counter, sealed)))
        return number

    def _sealed(self, sealed: Sealed, now: float) -> list[Pushed] | Refusal:
        if self._transport is None or sealed.receiver != self._hello[1]:
            return Refusal.UNKNOWN
        bound = header(Sealed) + sealed.receiver.to_bytes(4) + sealed.counter.to_bytes(8)
        taken = message.parse(self._transport.open(sealed.counter, sealed.sealed, bound), TO_HOST)
        if isinstance(taken, Refusal):
            return taken
        said, number = taken
        if isinstance(said, Observed):
            self._observed(said, number, now)
            return []
        assert isinstance(said, Introduce | Grant)
        self._seal(Acknowledge(), number)
        return [said]

    def _observed(self, said: Observed, number: int, now: float) -> None:
        if number != self._asked:
            return
        moved = said.proof != self._proof
        self.observed, self._proof = said.address, said.proof
        self._registered = True
        self._ask_at(now if moved else now + KEEPS)  # after a move the proof is said at once
