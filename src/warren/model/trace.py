"""What a walk found: hops of typed steps, ending in a named disposition.

    Trace ─┬─ Hop nyc      ─ steps: conntrack, rule, route, reverse path, firewall, translation, encrypted …
           │    └─ outer: the Hops of the wrapped packet between two hosts (NATs and the internet among them)
           ├─ Hop paris    ─ steps: decrypted, …, sent
           ├─ Hop internet
           └─ reply: the Trace of the way back

The words are Batfish's: a *hop* is one node, a *step* is one decision there with what decided it, the
*disposition* is how it ended. `core.walk.words` says each step in a line; `trace --live` makes the same steps
from the kernel's own trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.prefix import Address, Prefix
from warren.model.state import Route, Rule


class Disposition(StrEnum):
    """How a packet's way ended."""

    DELIVERED = "delivered"  # at a host of the network, or at a machine on one of its LANs
    EXITED = "exited"  # on the internet, by a host's uplink
    BLOCKED = "blocked"  # a firewall dropped or rejected it
    NO_ROUTE = "no-route"  # no route, or one that says unreachable
    NOT_FORWARDING = "not-forwarding"  # the host forwards nothing of this family
    RPF_DROP = "rpf-drop"  # the reverse-path filter, or a martian source
    NO_PEER = "no-peer"  # no peer of the device holds the destination in its AllowedIPs
    NOT_ALLOWED_IP = "not-allowed-ip"  # the decrypted source is not among that peer's AllowedIPs
    NO_PEER_ENDPOINT = "no-peer-endpoint"  # neither side knows where to dial the other
    TUNNEL_DOWN = "tunnel-down"  # the handshake does not get through, or the far side is not there
    MTU_EXCEEDED = "mtu-exceeded"
    NAT_FILTERED = "nat-filtered"  # a NAT box had no mapping for it, or its filter refused the sender
    NO_ADDRESS = "no-address"  # the host has no address of the family to send from or to translate to
    HOST_DOWN = "host-down"
    LOST = "lost"  # nobody out there has the address
    LOOPED = "looped"
    UNKNOWN = "unknown"  # something foreign stands in the way which warren does not understand


ARRIVED = (Disposition.DELIVERED, Disposition.EXITED)


@dataclass(frozen=True, slots=True)
class Header:
    """What matters of a packet: for ICMP echoes `sport` is the identifier. `size` is the IP packet's, in bytes."""

    source: Address
    destination: Address
    proto: str
    sport: int = 0
    dport: int = 0
    mark: int = 0
    size: int = 0

    def __str__(self) -> str:
        if self.proto in ("tcp", "udp"):
            return f"{_end(self.source, self.sport)} > {_end(self.destination, self.dport)} {self.proto}"
        return f"{self.source} > {self.destination} {self.proto}"


def _end(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


# --- steps: what was decided, and by what ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceChosen:
    """A locally made packet got its source: from the route's `src` or the device's address (`by`)."""

    source: Address
    by: str


@dataclass(frozen=True, slots=True)
class Tracked:
    """Conntrack's word: `state` is new or established, `direction` original or reply, `mark` the connection's."""

    state: str
    direction: str
    mark: int


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A policy rule matched; `result` is what came of it (`lookup`, `no route there`, `suppressed`, …)."""

    rule: Rule
    result: str = "lookup"


@dataclass(frozen=True, slots=True)
class RouteHit:
    """The route that decided, and the table it stood in."""

    route: Route


@dataclass(frozen=True, slots=True)
class ReversePath:
    """The reverse-path filter's judgement of a source: `mode` 0 off, 1 strict, 2 loose.

    `back` is the device of the way back to it, empty if there is none; `why` says more where that is not all.
    """

    device: str
    mode: int
    passed: bool
    source: Address
    back: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Firewall:
    """A rule of our table that did something: `does` is e.g. `mark 0x3e000000`, `drop`, `snat to 10.77.0.1`."""

    table: str
    chain: str
    rule: str
    does: str


@dataclass(frozen=True, slots=True)
class Translated:
    """Conntrack rewrote the packet: `what` is source or destination, `undone` on the way back."""

    what: str
    before: Header
    after: Header
    undone: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class ForeignHook:
    """A foreign chain stands at this hook; `verdict` is drop, pass or unknown."""

    chain: str
    tool: str
    verdict: str
    says: str


@dataclass(frozen=True, slots=True)
class Rerouted:
    """The output hook changed the mark, so the kernel looked the route up again."""

    mark: int


@dataclass(frozen=True, slots=True)
class Local:
    """The packet is for this host."""

    address: Address
    device: str


@dataclass(frozen=True, slots=True)
class Mtu:
    """The packet's size against what the way carries; `where` is a device or a link."""

    where: str
    mtu: int
    size: int
    fits: bool
    says: str = ""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A WireGuard device took the packet: the peer whose AllowedIPs hold the destination, and where it is."""

    device: str
    peer: str
    allowed: Prefix
    endpoint: str
    learned: bool
    size: int
    mark: int


@dataclass(frozen=True, slots=True)
class Decrypted:
    """A WireGuard device gave the packet out: the source is among that peer's AllowedIPs."""

    device: str
    peer: str
    allowed: Prefix


@dataclass(frozen=True, slots=True)
class Mapped:
    """A NAT box rewrote the packet by RFC 4787; `says` names mapping and direction."""

    before: Header
    after: Header
    says: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """A NAT box let a packet in or not; `says` names the filtering."""

    passed: bool
    says: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The packet left by a device, to the next hop or the destination itself."""

    device: str
    to: Address


@dataclass(frozen=True, slots=True)
class Note:
    """Anything else worth knowing at this point."""

    says: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of the way."""

    disposition: Disposition
    says: str


Step = (
    SourceChosen
    | Tracked
    | RuleHit
    | RouteHit
    | ReversePath
    | Firewall
    | Translated
    | ForeignHook
    | Rerouted
    | Local
    | Mtu
    | Encrypted
    | Decrypted
    | Mapped
    | Filtered
    | Sent
    | Note
    | Ended
)


class HopKind(StrEnum):
    """What a node is."""

    HOST = "host"
    DEVICE = "device"  # of `devices:`, on which warren does not run
    NAT = "nat"
    CLIENT = "client"
    INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Hop:
    """One node on the way. `ingress` is empty where the packet was made, `egress` where it stayed.

    `outer` are the hops of the wrapped packet when it left by a tunnel.
    """

    node: str
    kind: HopKind
    ingress: str
    egress: str
    header: Header
    steps: tuple[Step, ...]
    outer: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A packet's whole way.

    `at` is the node where it ended and `says` why. `exit` is the host whose uplink it last left by untunnelled
    (empty: none), `mtu` the largest packet that this way carries (0: it did not get anywhere), `header` the packet
    as it last was. For `unknown`, `presumed` is what would have become of it if what is foreign had let it pass.
    """

    disposition: Disposition
    says: str
    at: str
    hops: tuple[Hop, ...]
    header: Header
    exit: str = ""
    mtu: int = 0
    presumed: Disposition | None = None
    reply: Trace | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The warren hosts on the way, in order."""
        return tuple(hop.node for hop in self.hops if hop.kind is HopKind.HOST)

    @property
    def arrived(self) -> bool:
        """Whether the packet got where it was sent."""
        return self.disposition in ARRIVED
