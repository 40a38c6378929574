"""How one peer is reached: by a relay at once, directly as soon as both sides know that it works.

    Probe ─► Pong            each side on its own, to every place the other may be
    Switch ─► Agree          the side with the smaller key offers the best pair; the other agrees if it answers it too
    Switch (direct 0)        either side leaves a pair that is silent, and says so by the relay
    Guess ─► Guess           nothing but the relay works: both begin to try many ports (birthday.py)

WireGuard sends to where its last authentic packet came from, so under load one side alone cannot change the path: it is
pulled back. Both therefore go over together, and while `exclusive` holds drop what still comes by the old path.
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.proto import message, packet
from warren.proto.address import Address, Candidate, may_be_probed
from warren.proto.birthday import Birthday
from warren.proto.borrow import Borrowed
from warren.proto.door import Draw
from warren.proto.message import TO_PEER, Agree, Grant, Guess, Introduce, Pong, Probe, Switch
from warren.proto.noise import KeyPair, NoiseError
from warren.proto.packet import Between, RelayWelcome
from warren.proto.pair import Pair
from warren.proto.pairs import Pairs
from warren.proto.refusal import Refusal
from warren.proto.states import Input, State, after
from warren.proto.tried import Fate

SETTLES = 0.15  # seconds that a faster answer may still take before the first is offered
OFFERS, OFFER_EVERY = 6, 0.3  # how often an offer is repeated, after how many seconds
FASTER, FASTER_BY = 0.8, 0.005  # a pair replaces another that works if its time is under this share and by this much
BUSY, IDLE, DOUBTFUL = 1.0, 15.0, 0.25  # seconds between probes of a pair: with traffic, without, owing an answer
SILENT = 3.5  # seconds for which a pair may owe an answer
ACTIVE = 45.0  # seconds after traffic for which a peer counts as busy
MISMATCH = 3.0  # seconds after a change in which the two may be of different opinion
HOLDS, HOLD_MOST = 1.0, 60.0  # seconds until a pair that failed is offered again, doubled each time
STEADY = 60.0  # seconds on one pair after which earlier failures are forgotten
FAREWELLS = (0.0, 0.3, 0.9)  # seconds at which the peer is told that a pair is left
LAST = 2**32 - 1  # generation: a peer that claims it has ended what can be agreed with it in this run
EPOCHS = 8  # runs of a peer that are remembered, so that a server that is behind does not bring one back


@dataclass(frozen=True, slots=True)
class Use:
    """Where WireGuard is to send to for this peer (None: nothing works yet), and whether only that may answer.

    `heard`: the peer itself has been heard there, so that a handshake that begins now arrives.
    """

    peer: bytes
    endpoint: Address | None
    exclusive: bool
    heard: bool = False


@dataclass(slots=True)
class _Offer:
    generation: int
    place: Address
    seen: Address
    due: float
    tries: int = 0


class Path:
    """One peer, seen from a host."""

    def __init__(self, static: KeyPair, epoch: int, peer: bytes, draw: Draw) -> None:
        self._static, self._epoch, self.peer, self._draw = static, epoch, peer, draw
        self.controls = static.public < peer
        self.birthday = Birthday(self.controls, draw)
        self.state = State.ABSENT
        self.pair: Pair | None = None
        self.relay: Borrowed | None = None
        self.pairs = Pairs()
        self.candidates: tuple[Candidate, ...] = ()  # as a server last told them
        self._spare: tuple[Grant, bytes] | None = None
        self.calls = False  # the peer should be called, so that both probe at once
        self._runs: dict[int, Pair] = {}  # by epoch, the present one last; one taken up again goes on counting
        self._met = False  # the peer has been heard in the present one
        self._endpoint: Address | None = None
        self._generation = self._highest = 0
        self._since = 0.0
        self._offer: _Offer | None = None
        self._first_answer: float | None = None
        self._not_before, self._hold = 0.0, HOLDS
        self._traffic = float("-inf")
        self._beat = 0.0
        self._owed: float | None = None  # since when the pair in use owes an answer
        self._farewells: list[float] = []
        self._left: Address | None = None
        self._out: list[tuple[bytes, Address]] = []
        self.apart: list[tuple[bytes, Address, int]] = []  # to be sent from another port than WireGuard's own

    @property
    def use(self) -> Use:
        """What WireGuard is to use now."""
        if self.state is State.DIRECT:
            return Use(self.peer, self._endpoint, True, True)
        if self.relay and self.state is State.RELAYED:
            return Use(self.peer, self.relay.place, False, self.relay.heard)
        return Use(self.peer, None, False)

    # --- what happens ---------------------------------------------------------------------------------------------

    def introduce(self, said: Introduce, now: float) -> None:
        """Take what a server says of the peer."""
        if not said.epoch:
            return self._enter(Input.GONE, now)
        present = next(reversed(self._runs), 0)
        if said.epoch not in self._runs or (said.epoch != present and not self._met):
            self._begin(
                said.epoch, now
            )  # also a run that was known: what came after it was never heard, and may be over
        elif said.epoch != present:
            return None  # a run that is over: that server does not know it yet
        elif self.state is State.ABSENT:
            self._enter(Input.INTRODUCED, now)
        self.candidates = said.candidates
        self.birthday.told(said.candidates, now)
        if self.pairs.tell(one.address for one in said.candidates) or said.urgent:
            self.pairs.stir(now)
        return None

    def lend(self, granted: Grant, server: bytes, now: float) -> None:
        """Take a relay. Of two that work both sides take the one of the server with the smaller key.

        Whichever came first, and whatever the family in which each of the two reaches it.
        """
        before = self.relay
        if not may_be_probed(granted.relay):
            return
        if before is None or before.failed:
            self._borrow(granted, server, now)
        elif before.place == granted.relay:
            if not before.prolong(granted, now):
                self.relay = Borrowed(self._static.public, granted, now, server)
                # A new secret only: what it carries is not interrupted.
                self.relay.answers, self.relay.heard = before.answers, before.heard
                if not self.relay.heard:
                    self.relay.calls_at = now
        elif server <= before.server:
            self._borrow(granted, server, now)
        else:
            self._spare = granted, server

    def _borrow(self, granted: Grant, server: bytes, now: float) -> None:
        before = self.relay
        if before and before.place != granted.relay:
            self._enter(Input.RELAY_SILENT, now)
            self._spare = None if before.failed or before.server == server else (before.granted, before.server)
        self.relay = Borrowed(self._static.public, granted, now, server)

    def welcome(self, said: RelayWelcome, now: float) -> Refusal | None:
        """Take a relay's answer."""
        if self.relay is None or not self.relay.receive(said, now):
            return Refusal.FORGED
        self._enter(Input.RELAY_ANSWERS, now)
        return None

    def traffic(self, now: float) -> None:
        """Note that WireGuard carries something for this peer, so that silence is noticed at once."""
        if self.state is State.DIRECT and now - self._traffic > ACTIVE:
            self._beat = min(self._beat, now)
        if self.state is State.RELAYED and self.relay:
            self.relay.hurry(now)
        self._traffic = now

    def receive(self, sealed: Between, source: Address, now: float, port: int = 0) -> Refusal | None:
        """Take what the peer says; `port` is where it came to, if that is not WireGuard's own."""
        if self.pair is None:
            return Refusal.UNKNOWN
        try:
            taken = message.parse(self.pair.open(sealed), TO_PEER)
        except NoiseError:
            return Refusal.FORGED
        if isinstance(taken, Refusal):
            return taken
        said, number = taken
        self._met = True
        if self.relay and source == self.relay.place:
            self.relay.heard = True
        elif self.birthday.hit(source, port, now):
            self.pairs.find(source)
            self.pairs.stir(now)
            self._not_before = now
        elif port and self.birthday.bound != (source, port):
            return Refusal.UNEXPECTED  # by a port that was not taken: nothing else would go by it
        match said:
            case Probe():
                self._say(Pong(source), source, number)
                self._compare(said.generation, now)
                if not self._is_relay(source) and self.pairs.find(source):
                    self._probe(source, now)
            case Pong():
                self._answered(said, number, source, now)
            case Switch(direct=0):
                self._called_back(said, now)
            case Switch():
                return self._offered(said, now)
            case Agree():
                self._agreed(said, source, now)
            case Guess() if self._is_relay(source):
                self.birthday.asked(said, self._is_relayed, now)
            case Guess():
                return Refusal.UNEXPECTED
        return None

    # --- what is to be done ---------------------------------------------------------------------------------------

    def next_timer(self) -> float:
        """Say when `to_send` should be asked again."""
        times = [self.relay.next_timer()] if self.relay else []
        if self.pair is not None and self.state is not State.ABSENT:
            times += [self.pairs.next_round(), self.birthday.next_timer(self._is_relayed), *self._farewells[:1]]
            if self._offer:
                times.append(self._offer.due)
            elif self.controls and self._first_answer is not None and self.state is not State.DIRECT:
                times.append(max(self._first_answer + SETTLES, self._not_before))
            if self.state is State.DIRECT:
                times.append(self._beat)
            if self.relay and self.state is State.RELAYED and self.relay.answers and not self.relay.heard:
                times.append(self.relay.calls_at)
        return min(times, default=float("inf"))

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now."""
        if self.relay:
            hello = self.relay.to_send(now)
            if hello:
                self._out.append((hello, self.relay.place))
            if not self.relay.answers and self.state is State.RELAYED:
                self._enter(Input.RELAY_SILENT, now)
            if self.pair is not None and self.state is State.RELAYED and self.relay.calls(now):
                self._say(Probe(self._generation), self.relay.place)
            if self.relay.failed and self._spare:
                self._borrow(*self._spare, now)
        if self.pair is not None and self.state is not State.ABSENT:
            direct = self.state is State.DIRECT
            places, call = self.pairs.due(now, calm=direct)
            self.calls = self.calls or (call and not direct)
            for place in places:
                self._probe(place, now)
            self._watch(now)
            self._consider(now)
            self._repeat(now)
            self._guess(now)
        out, self._out = self._out, []
        return out

    def _begin(self, epoch: int, now: float) -> None:
        """Begin anew with a run of the peer that was not known: nothing of the last one means anything."""
        try:
            self.pair = self._runs.pop(epoch, None) or Pair(self._static, self._epoch, self.peer, epoch)
        except NoiseError:
            return
        self._runs[epoch] = self.pair
        if len(self._runs) > EPOCHS:
            del self._runs[next(iter(self._runs))]
        self._met = False
        self.pairs, self.birthday = Pairs(), Birthday(self.controls, self._draw)
        self._generation = self._highest = 0
        self._not_before, self._hold = now, HOLDS
        self._farewells = []
        if self.relay:
            self.relay.listen(now)
        self._enter(Input.INTRODUCED, now)

    def _enter(self, happened: Input, now: float) -> None:
        before, self.state = self.state, after(self.state, happened)
        if self.state is not before or happened is Input.AGREED:
            self._since = now
        if self.state is State.SEEKING and before is not State.SEEKING:
            self._endpoint, self._offer, self._generation, self._owed = None, None, 0, None
            if before is State.DIRECT:
                self.birthday.lost(now)
            if self.relay:
                self.relay.renew(now)
            if self.relay and self.relay.answers and happened is not Input.RELAY_SILENT:
                self.state = after(self.state, Input.RELAY_ANSWERS)

    # --- probes ---------------------------------------------------------------------------------------------------

    def _say(self, said: message.Message, to: Address, number: int = 0, port: int = 0) -> None:
        assert self.pair is not None
        sealed, port = packet.write(self.pair.seal(message.write(said, number))), port or self.birthday.port(to)
        if port:
            self.apart.append((sealed, to, port))
        else:
            self._out.append((sealed, to))

    def _probe(self, place: Address, now: float) -> None:
        self._say(Probe(self._generation), place, self.pairs.asked(place, now))

    def _guess(self, now: float) -> None:
        """Try many ports, where all that works is the relay."""
        says, probes = self.birthday.due(self._is_relayed, now)
        if says and self.relay:
            self._say(says, self.relay.place)
        for port, place in probes:
            self._say(Probe(self._generation), place, self.pairs.asked(place, now, one_of_many=True), port)

    @property
    def _is_relayed(self) -> bool:
        return self.relay is not None and self.relay.heard and self.state is State.RELAYED

    def _is_relay(self, source: Address) -> bool:
        return self.relay is not None and source == self.relay.place

    def _answered(self, said: Pong, number: int, source: Address, now: float) -> None:
        if not self.pairs.answered(said, number, source, now):
            return
        if self._first_answer is None:
            self._first_answer = now
        if source == self._endpoint:
            self._owed = None
            self._beat = now + (BUSY if now - self._traffic <= ACTIVE else IDLE)

    def _watch(self, now: float) -> None:
        """Probe the pair in use, and leave it when it owes an answer for too long."""
        if self.state is not State.DIRECT or self._endpoint is None or self._beat > now:
            return
        if self._owed is not None and now - self._owed >= SILENT:
            self._fail(self._endpoint, Fate.LOST, now)
            return self._leave(Input.SILENT, now)
        if now - self._since >= STEADY:
            self._hold = HOLDS
        self._owed = now if self._owed is None else self._owed
        self._beat = now + DOUBTFUL
        self._probe(self._endpoint, now)

    # --- going over -----------------------------------------------------------------------------------------------

    def _consider(self, now: float) -> None:
        """Offer the best pair, if it is this side's turn and there is a better one."""
        if not self.controls or self._offer or now < self._not_before or self._first_answer is None:
            return
        best = self.pairs.best(now)
        answer = self.pairs.fresh(best, now) if best else None
        if best is None or answer is None:
            self._first_answer = None
            if self.state is not State.DIRECT and self.pairs.answers:
                self.pairs.stir(now)  # it was too long ago: this host was busy, or had to wait until it offers again
            return
        if self.state is State.DIRECT:
            current = self.pairs.answers.get(self._endpoint) if self._endpoint else None
            if best == self._endpoint or current is None or not _is_faster(answer.rtt, current.rtt):
                return
        elif now < self._first_answer + SETTLES:
            return
        self._highest = min(self._highest + 1, LAST)
        self._offer = _Offer(self._highest, best, answer.seen, now)

    def _repeat(self, now: float) -> None:
        """Send the offer or the farewell that is due."""
        offer = self._offer
        if offer and offer.due <= now:
            if offer.tries >= OFFERS:
                self._offer = None
                self._fail(offer.place, Fate.DECLINED, now)
                if self.state is not State.DIRECT:
                    self._say_farewell(offer.place, now)
                    self.pairs.stir(self._not_before)  # what answered until now is stale when it may be offered again
            else:
                offer.due, offer.tries = now + OFFER_EVERY, offer.tries + 1
                self._say(Switch(offer.generation, 1, offer.seen, offer.place), offer.place)
        while self._farewells and self._farewells[0] <= now:
            self._farewells.pop(0)
            for place in (self.relay.place if self.relay else None, self._left):
                if place:
                    self._say(Switch(self._highest, 0, place, place), place)

    def _offered(self, said: Switch, now: float) -> Refusal | None:
        if self.controls:
            return Refusal.UNEXPECTED
        place = said.mine
        if self.state is State.DIRECT and (said.generation, place) == (self._generation, self._endpoint):
            self._say(Agree(said.generation), place)
        elif said.generation > self._highest and place in self.pairs.places:
            if self.pairs.fresh(place, now):
                self._highest = said.generation
                self._go_over(said.generation, place, now)
                self._say(Agree(said.generation), place)
            else:
                self._probe(place, now)
        return None

    def _agreed(self, said: Agree, source: Address, now: float) -> None:
        offer = self._offer
        if offer and (said.generation, source) == (offer.generation, offer.place):
            self._offer = None
            self._go_over(offer.generation, offer.place, now)

    def _go_over(self, generation: int, place: Address, now: float) -> None:
        self._generation, self._endpoint = generation, place
        self._owed, self._beat, self._farewells = None, now + BUSY, []
        self.pairs.trials.used(place)
        self._enter(Input.AGREED, now)
        self.birthday.met(place, now)

    # --- going back -----------------------------------------------------------------------------------------------

    def _leave(self, why: Input, now: float) -> None:
        left = self._endpoint
        self._enter(why, now)
        self._say_farewell(left, now)
        self.pairs.stir(now)
        self.calls = True

    def _say_farewell(self, left: Address | None, now: float) -> None:
        self._highest = min(self._highest + 1, LAST)
        self._left, self._farewells = left, [now + after for after in FAREWELLS]

    def _fail(self, place: Address, why: Fate, now: float) -> None:
        self.pairs.trials.failed(place, why)
        self.pairs.answers.pop(place, None)
        self._first_answer = None if not self.pairs.answers else now
        self._not_before, self._hold = now + self._hold, min(2 * self._hold, HOLD_MOST)

    def _called_back(self, said: Switch, now: float) -> None:
        if said.generation <= self._highest:
            return
        self._highest = said.generation
        self._offer = None
        if self.state is State.DIRECT:
            self._not_before = max(self._not_before, now + self._hold)
            self.pairs.trials.failed(self._endpoint, Fate.LEFT)
            self._enter(Input.CALLED_BACK, now)
            self.pairs.stir(now)

    def _compare(self, theirs: int, now: float) -> None:
        """See whether the peer is on the same pair: if not, and not for a moment only, both begin again."""
        if theirs == self._generation or now - self._since < MISMATCH or self._farewells or self._offer:
            return
        self._highest = max(self._highest, theirs)
        if self.state is State.DIRECT:
            self.pairs.trials.failed(self._endpoint, Fate.LEFT)
            self._leave(Input.CALLED_BACK, now)
        elif theirs:
            self._say_farewell(None, now)


def _is_faster(time: float, than: float) -> bool:
    return time < than * FASTER and time < than - FASTER_BY
