"""Which protocols a router speaks by which it could open a port: all three are asked at once, and no port is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from warren.proto.address import Address
from warren.proto.portmap import http, igd, natpmp, pcp, ssdp
from warren.proto.portmap.asking import Patience
from warren.proto.portmap.control import Exchange
from warren.proto.portmap.values import SERVER, By
from warren.proto.refusal import Refusal

WAITS = (0.25, 0.5, 1.25)


@dataclass(slots=True)
class Spoken:
    """What a router speaks, and the address that it says it has outside, if it says so."""

    protocols: set[By] = field(default_factory=set)
    outside: IPv4Address | IPv6Address | None = None


class Survey:
    """Asks one router. `client` is this host's address towards it, and the port that is asked from, or any."""

    def __init__(self, router: Address, client: Address, now: float) -> None:
        self._router = router.ip
        self._patience = Patience(WAITS, now)
        server = Address(router.ip, SERVER)
        self._questions = {By.PCP: [(pcp.announce_request(client), server)]}
        if isinstance(router.ip, IPv4Address):
            self._questions[By.NATPMP] = [(natpmp.address_request(), server)]
            searched = (Address(router.ip, ssdp.PORT), ssdp.EVERYBODY)
            self._questions[By.UPNP] = [(ssdp.search(to), to) for to in searched]
        self._description: http.Page | None = None
        self._out: list[Exchange] = []
        self._nobody = False
        self.spoken = Spoken()
        self.done = False

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent now."""
        if self._patience.due(now):
            if self._nobody:
                self._settle(By.PCP, False)
                self._settle(By.NATPMP, False)
            return [one for questions in self._questions.values() for one in questions]
        self.done |= now >= self._patience.ends
        return []

    def next_timer(self) -> float:
        """Say when to ask what there is to send."""
        return self._patience.next_timer()

    def exchanges(self) -> list[Exchange]:
        """Give what is to be asked over TCP."""
        out, self._out = self._out, []
        return out

    def receive(self, data: bytes, source: Address) -> None:
        """Take a datagram that came."""
        if source.ip != self._router:
            return
        if source.port != SERVER:
            return self._found(data)
        by_pcp, by_natpmp = pcp.parse(data), natpmp.parse(data)
        if isinstance(by_pcp, pcp.Answer):
            self._settle(By.PCP, by_pcp.version == pcp.VERSION)
        if isinstance(by_natpmp, natpmp.Outside):
            self.spoken.outside = by_natpmp.ip
        unsupported = isinstance(by_natpmp, natpmp.Failed) and by_natpmp.result == natpmp.Result.UNSUPPORTED_VERSION
        if not isinstance(by_natpmp, Refusal) and not unsupported:  # that one answers the question by PCP
            self._settle(By.NATPMP, True)
        return None

    def nobody(self) -> None:
        """The router says that nobody listens at the servers' port: at least to one of the two questions."""
        self._nobody = True

    def answered(self, data: bytes | None) -> None:
        """Take the answer to an exchange; None if there was none."""
        got = http.parse(data) if data is not None else Refusal.LENGTH
        assert self._description is not None
        able = not isinstance(got, Refusal) and got.status == 200 and igd.control(got.body, self._description)
        self._settle(By.UPNP, bool(able))

    def _found(self, data: bytes) -> None:
        if self._description is not None or not isinstance(self._router, IPv4Address):
            return
        found = ssdp.parse(data, self._router)
        if not isinstance(found, Refusal):
            self._description = found
            self._questions[By.UPNP] = []
            self._out.append(Exchange(1, found.at, http.get(found)))

    def _settle(self, by: By, spoken: bool) -> None:
        if self._questions.pop(by, None) is not None and spoken:
            self.spoken.protocols.add(by)
        self.done |= not self._questions
