"""Asking by PCP and NAT-PMP: one question at a time, sent again for as long as it is worth it.

    ask(wanted, now) ─► to_send ⇄ receive ─► outcome: Granted or Declined        forgotten: the router began anew

The waits are the RFCs' first ones (6887 section 8.1.1, 6886 section 3.1); the RFCs would go on for minutes, but a
router that is there answers within milliseconds, and there is another protocol to try.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from warren.proto.address import Address, may_be_probed
from warren.proto.portmap import natpmp, pcp
from warren.proto.portmap.epoch import Epoch
from warren.proto.portmap.values import LIFETIME, SERVER, By, Declined, Granted, Outcome, Why
from warren.proto.refusal import Refusal

PCP_WAITS = (3.0, 6.0)
NATPMP_WAITS = (0.25, 0.5, 1.0, 2.0)
JITTER = 0.1  # of PCP's waits, to both sides
LONGEST = 86400  # seconds that a lifetime counts for, whatever the router says

Chance = Callable[[], float]  # from 0 to less than 1


class Patience:
    """When a question is sent, and when it has gone unanswered."""

    def __init__(self, waits: tuple[float, ...], now: float) -> None:
        self._due = [now]
        for wait in waits[:-1]:
            self._due.append(self._due[-1] + wait)
        self.ends = self._due[-1] + waits[-1]

    def due(self, now: float) -> bool:
        """Say whether the question is to be sent now."""
        late = [at for at in self._due if at <= now]
        self._due = self._due[len(late) :]
        return bool(late)

    def next_timer(self) -> float:
        """Say when something is to be done."""
        return self._due[0] if self._due else self.ends


class _Asking:
    """What the two have in common."""

    by: By

    def __init__(self, server: Address, client: Address, exact: bool) -> None:
        self._server, self._client = server, client
        self._epoch = Epoch(exact)
        self._question = b""
        self._patience: Patience | None = None
        self.outcome: Outcome | None = None
        self.forgotten = False

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent now."""
        if self._patience is None:
            return []
        if self._patience.due(now):
            return [(self._question, self._server)]
        if now >= self._patience.ends:
            self._end(Declined(Why.SILENT))
        return []

    def next_timer(self) -> float:
        """Say when to ask what there is to send."""
        return self._patience.next_timer() if self._patience else float("inf")

    def nobody(self) -> None:
        """The router says that nobody listens there."""
        if self._patience is not None:
            self._end(Declined(Why.UNSPOKEN))

    def _ask(self, question: bytes, waits: tuple[float, ...], now: float) -> None:
        self._question, self._patience, self.outcome = question, Patience(waits, now), None

    def _end(self, outcome: Outcome) -> None:
        self._patience, self.outcome = None, outcome

    def _grant(self, external: Address, lifetime: int) -> None:
        if not lifetime:
            self._end(Declined(Why.REFUSED))
        elif not may_be_probed(external) or external.ip.is_link_local:
            self._end(Declined(Why.USELESS))
        else:
            self._end(Granted(external, min(lifetime, LONGEST)))


class Pcp(_Asking):
    """Asks by PCP. `nonce` is ours alone, and the same after a restart: by it the router knows whose port it is."""

    by = By.PCP

    def __init__(self, router: Address, client: Address, nonce: bytes, chance: Chance) -> None:
        super().__init__(Address(router.ip, SERVER), client, exact=True)
        self._nonce, self._chance = nonce, chance

    def ask(self, wanted: Address | None, now: float) -> None:
        """Begin to ask for the port, or for longer."""
        scale = 1 + JITTER * (2 * self._chance() - 1)
        question = pcp.map_request(self._client, self._nonce, wanted, LIFETIME)
        self._ask(question, tuple(wait * scale for wait in PCP_WAITS), now)

    def farewell(self) -> bytes:
        """Give what takes the port back."""
        return pcp.map_request(self._client, self._nonce, None, 0)

    def receive(self, data: bytes, now: float) -> Refusal | None:
        """Take a datagram from the server."""
        said = pcp.parse(data)
        if isinstance(said, Refusal):
            return said
        if said.version != pcp.VERSION:
            self.nobody()
            return None
        mapped = said.mapped
        if mapped is not None and (mapped.nonce, mapped.internal) != (self._nonce, self._client.port):
            return Refusal.FORGED
        if said.opcode == pcp.MAP and self._patience is None:
            return Refusal.UNEXPECTED  # the answer to a question that was sent twice
        self.forgotten |= self._epoch.astray(said.epoch, now)
        if said.opcode != pcp.MAP:
            return None
        if said.result == pcp.Result.SUCCESS and mapped is not None:
            self._grant(mapped.external, said.lifetime)
        elif said.result == pcp.Result.UNSUPP_VERSION:
            self.nobody()
        else:
            full = said.result in (pcp.Result.NO_RESOURCES, pcp.Result.USER_EX_QUOTA)
            self._end(Declined(Why.FULL if full else Why.REFUSED, min(said.lifetime, LONGEST)))
        return None


class NatPmp(_Asking):
    """Asks by NAT-PMP: for the router's address first, then for the port."""

    by = By.NATPMP

    def __init__(self, router: Address, client: Address) -> None:
        super().__init__(Address(router.ip, SERVER), client, exact=False)
        self._outside: IPv4Address | None = None
        self._wanted = 0
        self._asks_for_port = False

    def ask(self, wanted: Address | None, now: float) -> None:
        """Begin to ask for the port, or for longer."""
        self._wanted, self._asks_for_port = (wanted or self._client).port, False
        self._ask(natpmp.address_request(), NATPMP_WAITS, now)

    def farewell(self) -> bytes:
        """Give what takes the port back."""
        return natpmp.map_request(self._client.port, 0, 0)

    def receive(self, data: bytes, now: float) -> Refusal | None:
        """Take a datagram from the server."""
        said = natpmp.parse(data)
        if isinstance(said, Refusal):
            return said
        if isinstance(said, natpmp.Opened) and said.internal != self._client.port:
            return Refusal.UNKNOWN
        asked = natpmp.UDP if self._asks_for_port else natpmp.ADDRESS
        kind = said.opcode if isinstance(said, natpmp.Failed) else natpmp.UDP
        if not isinstance(said, natpmp.Outside) and (self._patience is None or kind != asked):
            return Refusal.UNEXPECTED
        self.forgotten |= self._epoch.astray(said.epoch, now)
        match said:
            case natpmp.Outside(ip):
                self.forgotten |= self._outside not in (None, ip)
                self._outside = ip
                if self._patience is not None and not self._asks_for_port:
                    self._asks_for_port = True
                    self._ask(natpmp.map_request(self._client.port, self._wanted, LIFETIME), NATPMP_WAITS, now)
            case natpmp.Opened(external=port, lifetime=lifetime) if self._outside is not None:
                self._grant(Address(self._outside, port), lifetime)
            case natpmp.Failed(result=result):
                unspoken = result in (natpmp.Result.UNSUPPORTED_VERSION, natpmp.Result.UNSUPPORTED_OPCODE)
                full = result == natpmp.Result.OUT_OF_RESOURCES
                self._end(Declined(Why.UNSPOKEN if unspoken else Why.FULL if full else Why.REFUSED))
        return None
