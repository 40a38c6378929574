"""What the way out of this host does to UDP, in one IP version: asked of servers, from two ports of its own.

    port 0   Ask ─► every server          who answers, after how long, as whom it sees us: the mapping
             Ask elsewhere ─► the first   does an answer from another port of a known address come in: the filtering
    port 1   Ask ─► the first             its outside address
    both     a token ─► the other's outside address, each having written to the other: hairpin

The shape is that of the other machines; it is over when nothing more can come. What it cannot find out it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from warren.proto import packet
from warren.proto.address import Address, may_be_probed
from warren.proto.asking import Where, question, read
from warren.proto.door import Draw
from warren.proto.noise import NoiseError
from warren.proto.packet import Ask, Told
from warren.proto.shown import Seen, Shown, shown

REPEATS = (0.0, 0.25, 0.75, 1.75)  # seconds at which a question is put
GIVES_UP = 3.25  # and after which nobody answers it any more
TOKENS = (0.0, 0.1, 0.3, 0.7)  # seconds at which tokens are sent to outside addresses
TURNS = 1.5  # seconds for them to come back
TOKEN = 16  # bytes; it is ours if it is the one we drew
NOBODY, FORBIDDEN = "nobody listens there", "forbidden"  # how `trouble` begins, of those that are told apart


class Filtering(StrEnum):
    """Who may come in to a port that wrote to a server (RFC 4787 section 5), as far as one server can tell."""

    LOOSE = "other-ports"  # other ports of the server's address; whether strangers' addresses may, too, is not asked
    STRICT = "same-port"  # exactly the address and port that were written to
    UNKNOWN = "unknown"


class Hairpin(StrEnum):
    """Whether two ports behind the NAT meet by their outside addresses (RFC 4787 section 6)."""

    YES = "yes"
    NO = "no"
    NEEDLESS = "no-nat"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """One server: where it sees port 0 of ours and the best round-trip time, or why nothing came (`trouble`)."""

    place: Address
    observed: Address | None = None
    rtt: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in one IP version; `kept`: the NAT shows the port that the host itself sends from."""

    servers: tuple[Asked, ...]
    shown: Shown
    kept: bool | None
    filtering: Filtering
    hairpin: Hairpin


@dataclass(slots=True)
class _Question:
    by: int
    server: int
    since: float
    proof: int = 0
    tries: int = 0
    answered: bool = False

    @property
    def due(self) -> float:
        if self.answered:
            return float("inf")
        return self.since + (REPEATS[self.tries] if self.tries < len(REPEATS) else GIVES_UP)


class Check:
    """One IP version. `servers` are addresses and public keys, `own` the places of our two ports as this host knows."""

    def __init__(
        self, servers: Sequence[tuple[Address, bytes]], own: Sequence[Address], draw: Draw, now: float
    ) -> None:
        self._servers, self._own, self._draw = tuple(servers), tuple(own), draw
        self._found: dict[int, Asked] = {at: Asked(place) for at, (place, _) in enumerate(self._servers)}
        self._questions = [_Question(0, at, now) for at in self._found]
        self._sent: dict[int, tuple[_Question, Ask, float]] = {}
        self._outside: dict[int, Address] = {}  # of our ports, as the first server sees them
        self._first: int | None = None
        self._loose: bool | None = None
        self._token = draw(TOKEN)
        self._tokens: float | None = None  # since when they are sent
        self._token_tries = 0
        self._came_back = self._turned = False  # a token; or nobody waits for one any more
        self._over: set[int] = set()  # questions that were given up, by their place in the list

    def receive(self, by: int, data: bytes, source: Address, now: float) -> None:
        """Take what came to one of our ports."""
        if data == self._token:
            self._came_back = True
            return
        told = packet.parse(data)
        if not isinstance(told, Told) or told.number not in self._sent:
            return
        asked, ask, since = self._sent[told.number]
        place, key = self._servers[asked.server]
        if asked.by != by or (source != place) != bool(asked.proof) or source.ip != place.ip:
            return
        try:
            where = read(told, ask, key)
        except NoiseError:
            return
        if asked.answered:  # the answer to an earlier try
            return
        asked.answered = True
        if asked.proof:
            self._loose = True
        else:
            self._answered(asked, where, now - since, now)

    def unsent(self, place: Address, why: str) -> None:
        """What was sent there was refused, by this host or on its way."""
        for at, one in self._found.items():
            if one.place == place and one.observed is None:
                self._found[at] = Asked(place, trouble=why)

    def to_send(self, now: float) -> list[tuple[int, bytes, Address]]:
        """Give what is to be sent by now: from which of our ports, what, and to where."""
        out: list[tuple[int, bytes, Address]] = []
        for at, one in enumerate(self._questions):
            while one.due <= now and one.tries < len(REPEATS):
                out.append((one.by, self._ask(one, now), self._servers[one.server][0]))
            if one.due <= now:
                self._over.add(at)
        if self._tokens is not None:
            while self._token_tries < len(TOKENS) and self._tokens + TOKENS[self._token_tries] <= now:
                self._token_tries += 1
                out += [(by, self._token, self._outside[1 - by]) for by in (0, 1)]
            self._turned = now >= self._tokens + TURNS
        return out

    def next_timer(self) -> float:
        """Say when `to_send` should be asked again."""
        times = [one.due for at, one in enumerate(self._questions) if at not in self._over]
        if self._turning and self._tokens is not None:
            more = self._token_tries < len(TOKENS)
            times.append(self._tokens + (TOKENS[self._token_tries] if more else TURNS))
        return min(times, default=float("inf"))

    @property
    def over(self) -> bool:
        """Say whether nothing more can come."""
        waiting = any(not one.answered and at not in self._over for at, one in enumerate(self._questions))
        return not waiting and not self._turning

    def found(self) -> Checked:
        """Say what is known by now."""
        servers = tuple(self._found.values())
        seen = [Seen(one.place, one.observed) for one in servers if one.observed is not None]
        how = shown(seen, {one.ip for one in self._own}, self._own[0].port)
        kept = all(one.observed.port == self._own[0].port for one in seen) if seen else None
        return Checked(servers, how, kept, self._filtering(), self._hairpin(how))

    @property
    def _turning(self) -> bool:
        return self._tokens is not None and not self._came_back and not self._turned

    # --- one after the other ----------------------------------------------------------------------------------

    def _ask(self, one: _Question, now: float) -> bytes:
        one.tries += 1
        number = int.from_bytes(self._draw(8))
        ask = question(self._servers[one.server][1], number, one.proof)
        self._sent[number] = one, ask, now
        return packet.write(ask)

    def _answered(self, asked: _Question, where: Where, rtt: float, now: float) -> None:
        if asked.by == 1:
            self._outside[1] = where.observed
        else:
            self._found[asked.server] = Asked(self._servers[asked.server][0], where.observed, rtt)
            if self._first is None:
                self._first = asked.server
                self._outside[0] = where.observed
                self._questions += [_Question(0, asked.server, now, where.proof), _Question(1, asked.server, now)]
        translated = len(self._outside) == 2 and self._outside[0].ip != self._own[0].ip
        if translated and self._tokens is None and all(map(may_be_probed, self._outside.values())):
            self._tokens = now  # few and small, wherever a server says that is

    def _filtering(self) -> Filtering:
        if self._loose:
            return Filtering.LOOSE
        asked = any(one.proof and at in self._over for at, one in enumerate(self._questions))
        return Filtering.STRICT if asked else Filtering.UNKNOWN

    def _hairpin(self, how: Shown) -> Hairpin:
        if self._first is not None and self._outside[0].ip == self._own[0].ip:
            return Hairpin.NEEDLESS
        if self._came_back:
            return Hairpin.YES
        # Towards its own outside address such a NAT shows another port again, which the other side has not let in.
        asked = self._tokens is not None and how is not Shown.EACH
        return Hairpin.NO if asked else Hairpin.UNKNOWN
