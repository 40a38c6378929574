"""The firewall as typed data: the small part of nftables that warren speaks.

`core.render.nft` writes it for `nft -f`, `core.render.iptables` for machines without nft, and `core.walk`
interprets it. A rule is matches and then statements, as in nft(8): all matches must hold; statements run in
order; a verdict ends the rule, and a rule without one falls through to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from warren.model.prefix import Address, Family, Prefix


class SetType(StrEnum):
    """The nft data types a set may hold."""

    IPV4 = "ipv4_addr"
    IPV6 = "ipv6_addr"
    IFNAME = "ifname"
    ETHER = "ether_addr"
    PORT = "inet_service"
    PLACE_V4 = "ipv4_addr . inet_service"
    PLACE_V6 = "ipv6_addr . inet_service"


@dataclass(frozen=True, slots=True)
class Set:
    """A named set. A `live` set's elements belong to whoever feeds it, and survive every apply.

    Elements are prefixes for the address types (then `flags interval`), else text. `timeout` in seconds; 0 is for ever.
    `feed` says where on this machine the elements are read again to refresh them (`NamedSet.feed`); empty: nowhere.
    With `points` it holds single addresses that programs and packets put in, at most so many.
    With `to` it is a map: its elements, which are live, lead to values of that type.
    """

    name: str
    type: SetType
    elements: tuple[Prefix | str, ...] = ()
    live: bool = False
    timeout: int = 0
    feed: str = field(default="", compare=False)
    points: int = 0
    to: SetType | None = None


@dataclass(frozen=True, slots=True)
class SetRef:
    """`@name`: a set of the same table."""

    name: str


# --- matches ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IfName:
    """`iifname`/`oifname`: `direction` is `iif` or `oif`; names are whole, without wildcards."""

    direction: str
    names: tuple[str, ...] | SetRef
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Addr:
    """`ip|ip6 saddr|daddr`: implies the family."""

    field: str
    family: Family
    values: tuple[Prefix, ...] | SetRef
    negate: bool = False


@dataclass(frozen=True, slots=True)
class EtherSource:
    """`ether saddr`, lower case with colons."""

    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NfProto:
    """`meta nfproto ipv4|ipv6`."""

    family: Family


@dataclass(frozen=True, slots=True)
class L4Proto:
    """`meta l4proto { tcp, udp, icmp, ipv6-icmp }`, or none of them."""

    protos: tuple[str, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """`tcp|udp sport|dport`: implies the protocol; each value is a port or an inclusive range."""

    proto: str
    field: str
    values: tuple[int | tuple[int, int], ...] | SetRef


@dataclass(frozen=True, slots=True)
class Icmp6Type:
    """`icmpv6 type { … }` by nft's names, e.g. `nd-neighbor-solicit`."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TcpSyn:
    """`tcp flags & (syn | rst) == syn`."""


@dataclass(frozen=True, slots=True)
class TcpOpens:
    """`tcp flags & (fin | syn | rst | ack) == syn`: a connection is asked for; its answer, a SYN-ACK, is none."""


@dataclass(frozen=True, slots=True)
class EchoRequest:
    """`icmp|icmpv6 type echo-request`: implies the family."""

    family: Family


@dataclass(frozen=True, slots=True)
class CtState:
    """`ct state { new, established, related, invalid, untracked }`."""

    states: tuple[str, ...]
    negate: bool = False


@dataclass(frozen=True, slots=True)
class CtDirection:
    """`ct direction original|reply`; does not match an untracked packet."""

    direction: str


@dataclass(frozen=True, slots=True)
class CtStatus:
    """`ct status dnat|snat`, or its absence."""

    status: str
    negate: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """`meta mark & mask == value` (or `!=`)."""

    mask: int
    value: int
    negate: bool = False


@dataclass(frozen=True, slots=True)
class CtMark:
    """`ct mark & mask == value` (or `!=`)."""

    mask: int
    value: int
    negate: bool = False


@dataclass(frozen=True, slots=True)
class FibType:
    """`fib saddr|daddr type local|unicast|broadcast|multicast` (or `!=`)."""

    field: str
    type: str
    negate: bool = False


@dataclass(frozen=True, slots=True)
class CameFrom:
    """`ip|ip6 saddr . udp sport @set`: a live set of addresses and UDP ports. Implies the family."""

    family: Family
    places: SetRef


@dataclass(frozen=True, slots=True)
class Unknocked:
    """`ip|ip6 saddr != @set`: a live set of addresses that knocked. Implies the family."""

    family: Family
    knocked: SetRef


@dataclass(frozen=True, slots=True)
class HopsLeft:
    """`ip ttl`, `ip6 hoplimit`: how many hops the packet may still take. Implies the family."""

    family: Family
    count: int


@dataclass(frozen=True, slots=True)
class UdpBegins:
    """`@th,64,32 number`: the first four bytes of a UDP datagram; follows a match of a UDP port."""

    number: int


Match = (
    IfName
    | Addr
    | EtherSource
    | NfProto
    | L4Proto
    | Port
    | Icmp6Type
    | TcpSyn
    | TcpOpens
    | EchoRequest
    | CtState
    | CtDirection
    | CtStatus
    | Mark
    | CtMark
    | FibType
    | CameFrom
    | Unknocked
    | HopsLeft
    | UdpBegins
)

# --- statements ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counter:
    """`counter`."""


@dataclass(frozen=True, slots=True)
class Accept:
    """`accept`: ends this base chain only."""


@dataclass(frozen=True, slots=True)
class Drop:
    """`drop`."""


class RejectWith(StrEnum):
    """What a rejected sender is told."""

    ADMIN = "icmpx admin-prohibited"
    NO_ROUTE = "icmpx no-route"
    RESET = "tcp reset"
    PORT = "icmpx port-unreachable"


@dataclass(frozen=True, slots=True)
class Reject:
    """`reject with …`; only in input, forward and output chains."""

    reply: RejectWith = RejectWith.ADMIN


@dataclass(frozen=True, slots=True)
class Return:
    """`return`."""


@dataclass(frozen=True, slots=True)
class Jump:
    """`jump chain`."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """`goto chain`."""

    chain: str


@dataclass(frozen=True, slots=True)
class SetMark:
    """Set the packet's mark under a mask: mark = mark & ~mask | value."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class SetCtMark:
    """Set the connection's mark under a mask: ct mark = ct mark & ~mask | value."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class CtMarkToMark:
    """Copy the connection's whole mark onto the packet or back, as wg-quick does (`meta mark set ct mark`).

    `save` turns the direction round: `ct mark set meta mark`.
    """

    save: bool = False


@dataclass(frozen=True, slots=True)
class CtMarkVmap:
    """`ct mark & mask vmap { value : goto chain, … }`: nft cannot OR two registers, so a chain per value."""

    mask: int
    chains: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class MssClamp:
    """`tcp option maxseg size set rt mtu`: forward, output and postrouting hooks only."""


@dataclass(frozen=True, slots=True)
class Snat:
    """`snat ip|ip6 to address`."""

    to: Address


@dataclass(frozen=True, slots=True)
class Dnat:
    """`dnat ip|ip6 to address[:port]`."""

    to: Address
    port: int = 0


@dataclass(frozen=True, slots=True)
class SnatPrefix:
    """`snat ip|ip6 prefix to …`: the source becomes the address with the same number in `to`.

    The rule matches sources of a prefix that is as long.
    """

    to: Prefix


@dataclass(frozen=True, slots=True)
class DnatPrefix:
    """`dnat ip|ip6 prefix to …`: the destination becomes the address with the same number in `to`."""

    to: Prefix


@dataclass(frozen=True, slots=True)
class PortTo:
    """Where the ports of a map lead: an address, and a port of it unless that is 0, which keeps the packet's own."""

    first: int
    last: int
    to: Address
    port: int = 0


@dataclass(frozen=True, slots=True)
class DnatMap:
    """`dnat ip|ip6 to tcp|udp dport map { ports : address [. port], … }`: 5,000 ports are one lookup.

    Ports that the map does not have end the rule, and the next one is asked. The entries do not overlap; either all
    of them have a port or none.
    """

    proto: str
    family: Family
    entries: tuple[PortTo, ...]


@dataclass(frozen=True, slots=True)
class Masquerade:
    """`masquerade`."""


@dataclass(frozen=True, slots=True)
class Learn:
    """`add @set { ip|ip6 daddr }`: the packet's destination is put into a set of points, unless it is there or full."""

    set: SetRef
    family: Family


@dataclass(frozen=True, slots=True)
class Admit:
    """`update @set { ip|ip6 saddr }`: the packet's source is put into a set of points, for its time from now on."""

    set: SetRef
    family: Family


@dataclass(frozen=True, slots=True)
class NoTrack:
    """`notrack`: conntrack does not see the packet; in chains before it."""


@dataclass(frozen=True, slots=True)
class PortFrom:
    """`udp sport|dport set ip|ip6 … map @map`: one end's port becomes what a live map says of the other end.

    The other end's address and port are the key; what the map does not have stays as it is. No connection is involved:
    before conntrack or after it, the packet alone is altered.
    """

    field: str
    family: Family
    map: SetRef


Statement = (
    Counter
    | Accept
    | Drop
    | Reject
    | Return
    | Jump
    | Goto
    | SetMark
    | SetCtMark
    | CtMarkToMark
    | CtMarkVmap
    | MssClamp
    | Snat
    | Dnat
    | SnatPrefix
    | DnatPrefix
    | DnatMap
    | Masquerade
    | Learn
    | Admit
    | NoTrack
    | PortFrom
)

# --- chains and tables -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NftRule:
    """One rule; `comment` is why it stands there, kept in the kernel too (at most 128 bytes)."""

    matches: tuple[Match, ...]
    statements: tuple[Statement, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a base chain hangs: type `filter|nat|route`, hook and numeric priority; policy is always accept."""

    type: str
    hook: str
    priority: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; a base chain has a hook."""

    name: str
    rules: tuple[NftRule, ...]
    hook: Hook | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One nft table of ours: `family` is inet, or ip/ip6 for a wg-quick conf."""

    name: str
    sets: tuple[Set, ...] = ()
    chains: tuple[Chain, ...] = ()
    family: str = "inet"


# Priorities by nft's names.
RAW, MANGLE, DSTNAT, FILTER, SRCNAT = -300, -150, -100, 0, 100
# Ours stand after wg-quick's (mangle), which overwrites the mark of every UDP packet.
OUR_MANGLE = MANGLE + 10
