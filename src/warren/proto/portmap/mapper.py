"""One port of this host at one router: asked for by PCP, else by NAT-PMP, else by UPnP, and held.

    begin ─► ask by the first ──granted──► hold: asked for again at half of its time, and at half of what is left …
                 │ declined                  │ it ran out, or the router cannot tell any more
                 ▼                           ▼
             by the next … ─none─► leave the router alone for minutes, twice as long each time

    receive · answered · nobody     to_send · exchanges     next_timer     mapping

A router that began anew (epoch, announcement) is asked again within seconds. Where it leads elsewhere then, that is
another mapping; while it is asked, the one there was counts on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_network

from warren.proto.address import Address
from warren.proto.portmap import natpmp, pcp
from warren.proto.portmap.asking import Chance, NatPmp, Pcp
from warren.proto.portmap.control import CHECKED, Exchange, Upnp
from warren.proto.portmap.values import FOREVER, SERVER, By, Declined, Granted, Why
from warren.proto.refusal import Refusal

ALONE, ALONE_MOST = 300.0, 7200.0  # seconds for which a router that has none is left alone, doubled each time
SOONEST = 4.0  # seconds between two tries to keep a port (RFC 6887 section 11.2.1)
CALM = 5.0  # seconds over which the hosts of a LAN spread what they ask a router that began anew (section 14.1.3)

# What no router of the internet's sends to: private, shared (RFC 6598), and IPv6's unique local addresses.
_INSIDE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))

Way = Pcp | NatPmp | Upnp


@dataclass(frozen=True, slots=True)
class Mapping:
    """A port that the router opened: `external` leads to `internal`."""

    by: By
    internal: Address
    external: Address

    @property
    def inside(self) -> bool:
        """Whether the router itself is behind a NAT: its address outside is none of the internet's."""
        return any(self.external.ip in network for network in _INSIDE)


class Mapper:
    """Holds a port. `internal` is this host's address towards the router and WireGuard's port there.

    `nonce`: 12 bytes that are ours alone, and the same after a restart. `chance` gives numbers from 0 to less than 1.
    """

    def __init__(self, router: Address, internal: Address, nonce: bytes, chance: Chance, now: float) -> None:
        self.router, self.internal = router, internal
        self._chance = chance
        self._ways: tuple[Way, ...] = (Pcp(router, internal, nonce, chance),)
        if internal.ip.version == 4:
            self._ways += (NatPmp(router, internal), Upnp(router, internal, chance))
        self._at = 0
        self._asking = False
        self._ask_at, self._alone, self._wait = now, ALONE, 0.0
        self._ends = FOREVER
        self.mapping: Mapping | None = None
        self.declined: dict[By, Why] = {}  # what came of each, the last time
        self.refused: Counter[Refusal] = Counter()

    # --- the shape of a machine -----------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram that came to one of our sockets, or to where routers tell everybody that they began anew."""
        refusal = self._take(data, source, now)
        if refusal is not None:
            self.refused[refusal] += 1
        self._note(now)

    def answered(self, number: int, data: bytes | None, now: float) -> None:
        """Take the answer to an exchange; None if there was none."""
        for way in self._ways:
            if isinstance(way, Upnp):
                way.answered(number, data)
        self._note(now)

    def nobody(self, now: float) -> None:
        """The router says that nobody listens at the servers' port (ICMP port unreachable)."""
        way = self._ways[self._at]
        if not isinstance(way, Upnp):
            way.nobody()
        self._note(now)

    def moved(self, now: float) -> None:
        """Something changed here: see at once whether all is as it was."""
        self._ask_at, self._alone = min(self._ask_at, now), ALONE

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent by now, and where to."""
        if self.mapping is not None and now >= self._ends:
            self.mapping = None
            self._at = 0
            self._asking, self._ask_at = False, now
        if not self._asking and now >= self._ask_at:
            self._ask(now)
        out: list[tuple[bytes, Address]] = []
        while self._asking:
            at = self._at
            out += self._ways[at].to_send(now)
            self._note(now)
            if at == self._at:
                break
        return out

    def exchanges(self) -> list[Exchange]:
        """Give what is to be asked over TCP by now."""
        return [one for way in self._ways if isinstance(way, Upnp) for one in way.exchanges()]

    def next_timer(self) -> float:
        """Say when to ask again what there is to send, if nothing comes before."""
        due = self._ways[self._at].next_timer() if self._asking else self._ask_at
        return min(due, self._ends) if self.mapping else due

    @property
    def endless(self) -> bool:
        """Whether the port would stay open for good if nobody took it back."""
        return self.mapping is not None and self._ends == FOREVER

    @property
    def resting(self) -> bool:
        """Whether the router was asked in vain, and is left alone."""
        return self.mapping is None and not self._asking and bool(self.declined)

    def farewell(self) -> bytes | Exchange | None:
        """Give what takes the port back: a datagram to the router's server, or an exchange. Nothing is asked then."""
        held, self.mapping = self.mapping, None
        self._asking, self._ask_at, self._ends = False, FOREVER, FOREVER
        return self._ways[self._at].farewell() if held is not None else None

    # --- what happens ---------------------------------------------------------------------------------------------

    def _take(self, data: bytes, source: Address, now: float) -> Refusal | None:
        if source.ip != self.router.ip:
            return Refusal.STRANGER
        if source.port != SERVER:
            return next((way.receive(data) for way in self._ways if isinstance(way, Upnp)), Refusal.STRANGER)
        if self.resting and _announces(data):
            self._ask_at = min(self._ask_at, now + CALM * self._chance())
            return None
        # Both protocols live at one port and differ in their first byte, but for a PCP question answered in NAT-PMP.
        way = self._ways[self._at]
        return way.receive(data, now) if not isinstance(way, Upnp) else Refusal.UNEXPECTED

    def _ask(self, now: float) -> None:
        self._asking, self._ask_at = True, FOREVER
        if self.mapping is None:
            self._at, self._wait = 0, 0.0
            self.declined.clear()
        self._ways[self._at].ask(self.mapping.external if self.mapping else None, now)

    def _note(self, now: float) -> None:
        """See what came of the question, and whether the router began anew."""
        way = self._ways[self._at]
        if way.forgotten:
            way.forgotten = False
            if self.mapping is not None and not self._asking:
                self._ask_at = min(self._ask_at, now + CALM * self._chance())
        if not self._asking or way.outcome is None:
            return
        if isinstance(way.outcome, Granted):
            self._hold(way.outcome, way.by, now)
        else:
            self._go_on(way.outcome, way.by, now)

    def _hold(self, granted: Granted, by: By, now: float) -> None:
        self._asking, self._alone = False, ALONE
        self.mapping = Mapping(by, self.internal, granted.external)
        self._ends = now + granted.lifetime
        half = granted.lifetime * (0.5 + self._chance() / 8)
        self._ask_at = now + max(SOONEST, CHECKED if granted.lifetime == FOREVER else half)

    def _go_on(self, declined: Declined, by: By, now: float) -> None:
        self.declined[by] = declined.why
        if self.mapping is not None:  # it may still be there: half of what is left is time for more tries
            self._asking = False
            left = CHECKED if self._ends == FOREVER else (self._ends - now) / 2
            self._ask_at = now + max(SOONEST, left)
            return
        self._wait = max(self._wait, min(declined.wait, ALONE_MOST))
        if self._at + 1 < len(self._ways):
            self._at += 1
            self._ways[self._at].ask(None, now)
            return
        self._asking = False
        self._at = 0
        self._ask_at = now + max(self._alone * (1 + self._chance() / 8), self._wait)
        self._alone = min(2 * self._alone, ALONE_MOST)


def _announces(data: bytes) -> bool:
    """Say whether somebody tells that he began to speak PCP or NAT-PMP."""
    said = pcp.parse(data)
    announced = isinstance(said, pcp.Answer) and (said.opcode, said.result) == (pcp.ANNOUNCE, pcp.Result.SUCCESS)
    return announced or isinstance(natpmp.parse(data), natpmp.Outside)
