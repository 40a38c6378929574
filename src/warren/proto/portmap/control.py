"""Asking by UPnP, step by step: search (SSDP), description, then commands; each step is one exchange with the router.

    ask ─► to_send ⇄ receive: where the description is ─► exchanges ⇄ answered: description, address, port ─► outcome

Only the router itself is heard, and only what it says of itself counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from warren.proto.address import Address, may_be_probed
from warren.proto.portmap import http, igd, ssdp
from warren.proto.portmap.asking import Chance, Patience
from warren.proto.portmap.values import FOREVER, LIFETIME, By, Declined, Granted, Outcome, Why
from warren.proto.refusal import Refusal

WAITS = (0.5, 2.0)
OTHERS = 4  # ports that are tried when somebody has the one we asked for
CHECKED = 1800.0  # seconds after which a port is asked for again that has no end: the router may have forgotten it
PORTS = (20000, 60000)
SAYS = "WireGuard"  # how routers list it


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question over TCP: its number, where to, and what; answered by all that comes until the end."""

    number: int
    to: Address
    data: bytes


class Upnp:
    """Asks by UPnP, for IPv4."""

    by = By.UPNP

    def __init__(self, router: Address, client: Address, chance: Chance) -> None:
        assert isinstance(router.ip, IPv4Address)
        self._router, self._client, self._chance = router.ip, client, chance
        self._patience: Patience | None = None
        self._description: http.Page | None = None
        self._control: tuple[str, http.Page] | None = None
        self._outside: IPv4Address | None = None
        self._wanted, self._held, self._tries, self._lease = client.port, 0, 0, LIFETIME
        self._number = 0
        self._step = ""
        self._out: list[Exchange] = []
        self.outcome: Outcome | None = None
        self.forgotten = False

    def ask(self, wanted: Address | None, now: float) -> None:
        """Begin to ask for the port, or for longer."""
        self.outcome, self._wanted, self._tries = None, (wanted or self._client).port, 0
        if self._control is not None:
            return self._command("GetExternalIPAddress")
        self._step, self._patience = "search", Patience(WAITS, now)
        return None

    def to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Give what is to be sent now: the question to the router alone gets through firewalls, but not all hear it."""
        if self._patience is None:
            return []
        if self._patience.due(now):
            return [(ssdp.search(to), to) for to in (Address(self._router, ssdp.PORT), ssdp.EVERYBODY)]
        if now >= self._patience.ends:
            self._end(Declined(Why.SILENT))
        return []

    def next_timer(self) -> float:
        """Say when to ask what there is to send."""
        return self._patience.next_timer() if self._patience else float("inf")

    def receive(self, data: bytes) -> Refusal | None:
        """Take a datagram of the router's."""
        found = ssdp.parse(data, self._router)
        if isinstance(found, Refusal):
            return found
        if self._patience is None:
            return Refusal.UNEXPECTED  # it answers both questions
        self._patience, self._description = None, found
        self._exchange("description", found, http.get(found))
        return None

    def exchanges(self) -> list[Exchange]:
        """Give the questions that are to be asked over TCP."""
        out, self._out = self._out, []
        return out

    def answered(self, number: int, data: bytes | None) -> None:
        """Take the answer to an exchange; None if there was none."""
        if number != self._number or not self._step:
            return
        step, self._step = self._step, ""
        if step == "description":
            self._described(data)
            return
        said = igd.answer(data) if data is not None else None
        if said is None or isinstance(said, Refusal):
            self._control = None  # the next time it is searched for again: it may be elsewhere
            return self._end(Declined(Why.SILENT))
        if step == "GetExternalIPAddress":
            return self._told_address(*said)
        return self._told_port(said[0])

    def farewell(self) -> Exchange | None:
        """Give what takes the port back, if there is one."""
        if self._control is None or not self._held:
            return None
        named = (("NewRemoteHost", ""), ("NewExternalPort", str(self._held)), ("NewProtocol", "UDP"))
        self._number += 1
        kind, at = self._control
        return Exchange(self._number, at.at, igd.command(kind, at, "DeletePortMapping", named))

    # --- steps ----------------------------------------------------------------------------------------------------

    def _described(self, data: bytes | None) -> None:
        got = http.parse(data) if data is not None else Refusal.LENGTH
        if isinstance(got, Refusal) or got.status != 200 or self._description is None:
            return self._end(Declined(Why.SILENT))
        self._control = igd.control(got.body, self._description)
        if self._control is None:
            return self._end(Declined(Why.UNSPOKEN))
        return self._command("GetExternalIPAddress")

    def _told_address(self, error: int, said: dict[str, str]) -> None:
        try:
            outside = IPv4Address(said.get("NewExternalIPAddress", ""))
        except ValueError:
            outside = None
        if error or outside is None or outside.is_link_local or not may_be_probed(Address(outside, 1)):
            return self._end(Declined(Why.USELESS))
        self._outside = outside
        return self._ask_port()

    def _ask_port(self) -> None:
        self._command(
            "AddPortMapping",
            ("NewRemoteHost", ""),
            ("NewExternalPort", str(self._wanted)),
            ("NewProtocol", "UDP"),
            ("NewInternalPort", str(self._client.port)),
            ("NewInternalClient", str(self._client.ip)),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", SAYS),
            ("NewLeaseDuration", str(self._lease)),
        )

    def _told_port(self, error: int) -> None:
        if not error and self._outside is not None:
            self._held = self._wanted
            self._end(Granted(Address(self._outside, self._held), self._lease or FOREVER))
        elif error == igd.ONLY_PERMANENT and self._lease:
            self._lease = 0
            self._ask_port()
        elif error == igd.SAME_PORTS and self._wanted != self._client.port:
            self._wanted = self._client.port
            self._ask_port()
        elif error == igd.CONFLICT and self._tries < OTHERS:
            self._tries += 1
            self._wanted = PORTS[0] + int(self._chance() * (PORTS[1] - PORTS[0]))
            self._ask_port()
        else:
            self._end(Declined(Why.FULL if error == igd.CONFLICT else Why.REFUSED))

    def _command(self, action: str, *arguments: tuple[str, str]) -> None:
        assert self._control is not None
        kind, at = self._control
        self._exchange(action, at, igd.command(kind, at, action, arguments))

    def _exchange(self, step: str, at: http.Page, data: bytes) -> None:
        self._number += 1
        self._step = step
        self._out.append(Exchange(self._number, at.at, data))

    def _end(self, outcome: Outcome) -> None:
        self._patience, self._step, self.outcome = None, "", outcome
