"""Which ports this host's NAT gives just now: a server is greeted from three fresh ports, and says what it sees.

Its welcomes are used for nothing else, so the sessions that they begin end by themselves, on trial. Three ports that
lie equally far apart are a row that goes on, and three that are the host's own are kept; of any others nothing can be
foretold. The host's own do not lie equally far apart, and attempts do not begin with them (birthday.py).
"""

from __future__ import annotations

from itertools import pairwise

from warren.model.lab import Mapping
from warren.model.many_ports import FIRST_PORT, MANY
from warren.proto import packet
from warren.proto.address import Address
from warren.proto.birthday import KEPT, STEPS, Here
from warren.proto.codec import ADDRESS
from warren.proto.cookie import signed
from warren.proto.door import PROLOGUE, Draw
from warren.proto.member import ALL
from warren.proto.noise import KEY, Initiator, KeyPair, NoiseError
from warren.proto.packet import Welcome
from warren.proto.refusal import Refusal

FROM = (0, 5, 2)  # ports, from the one on whose turn it is
ROOM, TURNS = MANY // 2, 7  # ports that are greeted from, the upper ones, and how many a look goes on
HURRIES = 0.7  # seconds until a look that brought nothing is begun anew


class Look:
    """The looks of one host, one at a time."""

    def __init__(self, static: KeyPair, draw: Draw, only: bytes = ALL) -> None:
        self._static, self._draw, self._only = static, draw, only
        self._asked: dict[int, tuple[Address, int, Initiator]] = {}  # by our index: the server, the order
        self._seen: dict[int, Address] = {}
        self._since = float("-inf")
        self._next = 0

    def begin(self, server: Address, server_key: bytes, now: float) -> list[tuple[bytes, Address, int]]:
        """Give the greetings, and from which port each is to be sent; none while others are on their way."""
        if now - self._since < HURRIES:
            return []
        self._since, self._asked, self._seen = now, {}, {}
        self._next = (self._next + TURNS) % ROOM
        greetings = []
        for order, port in enumerate(self._ports()):
            index = int.from_bytes(self._draw(4))
            initiator = Initiator(self._static, server_key, KeyPair.of(self._draw(KEY)), PROLOGUE)
            hello = signed(index, initiator.write(self._only), server_key, b"")
            self._asked[index] = server, order, initiator
            greetings.append((packet.write(hello), server, port))
        return greetings

    def receive(self, welcome: Welcome, source: Address) -> Refusal | None:
        """Take a server's answer."""
        server, order, initiator = self._asked.get(welcome.receiver, (None, 0, None))
        if initiator is None or server != source:
            return Refusal.UNKNOWN
        try:
            payload, _ = initiator.read(welcome.noise)
        except NoiseError:
            return Refusal.FORGED
        del self._asked[welcome.receiver]
        self._seen[order], _ = ADDRESS.read(payload, 0)
        return None

    def take(self, mapping: Mapping) -> Here | None:
        """Give what was seen, once, when all of it has come."""
        if len(self._seen) < len(FROM):
            return None
        places = [self._seen[order] for order in range(len(FROM))]
        self._seen, self._since = {}, float("-inf")
        ports = [place.port for place in places]
        if ports == self._ports():
            return Here(mapping, places[-1], KEPT)
        steps = {after - before for before, after in pairwise(ports)}
        step = steps.pop()
        return Here(mapping, places[-1], step if not steps and step in STEPS else 0)

    def _ports(self) -> list[int]:
        return [FIRST_PORT + MANY - ROOM + (self._next + at) % ROOM for at in FROM]
