"""Rules, matches and statements of the typed firewall in nft's words, one function for each.

What can never match in a table of this family has no words at all, and its rule is left out; what always matches
has empty ones. Texts are those of nft 1.0.6, which has no icmpx outside inet tables and cannot OR two registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from warren.model.firewall import (
    Accept,
    Addr,
    Admit,
    CameFrom,
    Counter,
    CtDirection,
    CtMark,
    CtMarkToMark,
    CtMarkVmap,
    CtState,
    CtStatus,
    Dnat,
    DnatMap,
    DnatPrefix,
    Drop,
    EchoRequest,
    EtherSource,
    FibType,
    Goto,
    HopsLeft,
    Icmp6Type,
    IfName,
    Jump,
    L4Proto,
    Learn,
    Mark,
    Masquerade,
    Match,
    MssClamp,
    NfProto,
    NftRule,
    NoTrack,
    Port,
    PortFrom,
    PortTo,
    Reject,
    RejectWith,
    Return,
    SetCtMark,
    SetMark,
    SetRef,
    Snat,
    SnatPrefix,
    Statement,
    TcpOpens,
    TcpSyn,
    UdpBegins,
    Unknocked,
)
from warren.model.prefix import Prefix, aggregate

COMMENT_BYTES = 128
_ALL_BITS = 0xFFFFFFFF
_TABLE_FAMILY = {"ip": 4, "ip6": 6}


def rule_text(rule: NftRule, family: str = "inet") -> str:
    """Write one rule as nft does; empty when the rule can never match or does nothing."""
    matches: list[str] = []
    for match in rule.matches:
        text = match_text(match, family)
        if text is None:
            return ""
        if text and (not matches or matches[-1] != text):
            matches.append(text)
    words = matches + [text for statement in rule.statements if (text := statement_text(statement, family))]
    if not words:
        return ""
    return " ".join(words) + (f' comment "{_comment(rule.comment)}"' if rule.comment else "")


def _comment(text: str) -> str:
    """Fit a comment into nft's quotes and its 128 bytes, cut between characters."""
    plain = " ".join(text.replace('"', "'").split())
    return plain.encode()[:COMMENT_BYTES].decode(errors="ignore")


def prefix_text(prefix: Prefix) -> str:
    return str(prefix.network_address) if prefix.num_addresses == 1 else str(prefix)


def _oneof(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else "{ " + ", ".join(values) + " }"


def _mark(value: int) -> str:
    return f"0x{value:08x}"


def _set_mark(what: str, mask: int, value: int) -> str:
    kept = ~mask & _ALL_BITS
    if not kept:
        return f"{what} set {_mark(value)}"
    set_bits = f" | {_mark(value)}" if value else ""
    return f"{what} set {what} & {_mark(kept)}{set_bits}"


def _marked(what: str, match: Mark | CtMark) -> str:
    masked = what if match.mask == _ALL_BITS else f"{what} & {_mark(match.mask)}"
    return f"{masked} {'!=' if match.negate else '=='} {_mark(match.value)}"


def quoted(name: str) -> str:
    return f'"{name}"'


# --- matches: None is what can never hold, an empty text what always holds ---------------------------------


@singledispatch
def match_text(match: Match, family: str = "inet") -> str | None:
    """Write a match in nft's words; None: it can never hold in a table of this family; empty: it always does."""
    raise TypeError(f"not a match: {match!r}")


@match_text.register
def _(match: IfName, family: str = "inet") -> str | None:
    negate = "!= " if match.negate else ""
    if isinstance(match.names, SetRef):
        return f"{match.direction}name {negate}@{match.names.name}"
    if not match.names:
        return "" if match.negate else None
    names = [quoted(name) for name in match.names]
    return f"{match.direction}name {negate}{_oneof(names)}"


@match_text.register
def _(match: Addr, family: str = "inet") -> str | None:
    if _TABLE_FAMILY.get(family, match.family) != match.family:
        return None
    keyword = "ip" if match.family == 4 else "ip6"
    negate = "!= " if match.negate else ""
    if isinstance(match.values, SetRef):
        return f"{keyword} {match.field} {negate}@{match.values.name}"
    values = aggregate(match.values)
    everything = any(prefix.prefixlen == 0 for prefix in values)
    if (everything and match.negate) or (not values and not match.negate):
        return None
    if everything or not values:
        return match_text(NfProto(match.family), family)
    return f"{keyword} {match.field} {negate}{_oneof([prefix_text(prefix) for prefix in values])}"


@match_text.register
def _(match: EtherSource, family: str = "inet") -> str | None:
    return f"ether saddr {_oneof(match.macs)}" if match.macs else None


@match_text.register
def _(match: CameFrom, family: str = "inet") -> str | None:
    if _TABLE_FAMILY.get(family, match.family) != match.family:
        return None
    return f"{'ip' if match.family == 4 else 'ip6'} saddr . udp sport @{match.places.name}"


@match_text.register
def _(match: Unknocked, family: str = "inet") -> str | None:
    if _TABLE_FAMILY.get(family, match.family) != match.family:
        return None
    return f"{'ip' if match.family == 4 else 'ip6'} saddr != @{match.knocked.name}"


@match_text.register
def _(match: HopsLeft, family: str = "inet") -> str | None:
    if _TABLE_FAMILY.get(family, match.family) != match.family:
        return None
    return f"{'ip ttl' if match.family == 4 else 'ip6 hoplimit'} {match.count}"


@match_text.register
def _(match: UdpBegins, family: str = "inet") -> str | None:
    return f"@th,64,32 {match.number:#x}"


@match_text.register
def _(match: NfProto, family: str = "inet") -> str | None:
    if family in _TABLE_FAMILY:
        return "" if _TABLE_FAMILY[family] == match.family else None
    return f"meta nfproto ipv{match.family.value}"


@match_text.register
def _(match: L4Proto, family: str = "inet") -> str | None:
    negate = "!= " if match.negate else ""
    # nft knows `icmpv6` by itself; `ipv6-icmp` only where there is an /etc/protocols, which small systems lack.
    protos = ["icmpv6" if proto == "ipv6-icmp" else proto for proto in match.protos]
    return f"meta l4proto {negate}{_oneof(protos)}" if protos else None


@match_text.register
def _(match: Port, family: str = "inet") -> str | None:
    if isinstance(match.values, SetRef):
        return f"{match.proto} {match.field} @{match.values.name}"
    texts = [_ports(first, last) for first, last in join_ports(match.values)]
    return f"{match.proto} {match.field} {_oneof(texts)}" if texts else None


@match_text.register
def _(match: Icmp6Type, family: str = "inet") -> str | None:
    if family == "ip" or not match.types:
        return None
    return f"icmpv6 type {_oneof(match.types)}"


@match_text.register
def _(match: TcpSyn, family: str = "inet") -> str | None:
    return "tcp flags & (syn | rst) == syn"


@match_text.register
def _(match: TcpOpens, family: str = "inet") -> str | None:
    return "tcp flags & (fin | syn | rst | ack) == syn"


@match_text.register
def _(match: EchoRequest, family: str = "inet") -> str | None:
    if _TABLE_FAMILY.get(family, match.family) != match.family:
        return None
    return f"{'icmp' if match.family == 4 else 'icmpv6'} type echo-request"


@match_text.register
def _(match: CtState, family: str = "inet") -> str | None:
    if not match.states:
        return "" if match.negate else None
    return f"ct state {'!= ' if match.negate else ''}{_oneof(match.states)}"


@match_text.register
def _(match: CtDirection, family: str = "inet") -> str | None:
    return f"ct direction {match.direction}"


@match_text.register
def _(match: CtStatus, family: str = "inet") -> str | None:
    return f"ct status & {match.status} == 0" if match.negate else f"ct status {match.status}"


@match_text.register
def _(match: Mark, family: str = "inet") -> str | None:
    return _marked("meta mark", match)


@match_text.register
def _(match: CtMark, family: str = "inet") -> str | None:
    return _marked("ct mark", match)


@match_text.register
def _(match: FibType, family: str = "inet") -> str | None:
    return f"fib {match.field} type {'!= ' if match.negate else ''}{match.type}"


def _ports(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def port_span(text: str) -> tuple[int, int]:
    """Read an element of a set of ports: `22`, or `8000-8100`."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def join_ports(values: Sequence[int | tuple[int, int]]) -> list[tuple[int, int]]:
    """Give ports as sorted ranges that do not overlap, which nft would refuse in one set."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(value if isinstance(value, tuple) else (value, value) for value in values):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


# --- statements --------------------------------------------------------------------------------------------

_FIXED: dict[type[object], str] = {
    Counter: "counter",
    Accept: "accept",
    Drop: "drop",
    Return: "return",
    MssClamp: "tcp option maxseg size set rt mtu",
    Masquerade: "masquerade",
    NoTrack: "notrack",
}
# icmpx is a word of inet tables only.
_REJECT = {
    (RejectWith.ADMIN, "ip"): "icmp admin-prohibited",
    (RejectWith.ADMIN, "ip6"): "icmpv6 admin-prohibited",
    (RejectWith.NO_ROUTE, "ip"): "icmp net-unreachable",
    (RejectWith.NO_ROUTE, "ip6"): "icmpv6 no-route",
    (RejectWith.PORT, "ip"): "icmp port-unreachable",
    (RejectWith.PORT, "ip6"): "icmpv6 port-unreachable",
}


def statement_text(statement: Statement, family: str = "inet") -> str:
    """Write a statement in nft's words; empty when it does nothing."""
    if fixed := _FIXED.get(type(statement)):
        return fixed
    match statement:
        case Reject():
            return f"reject with {_REJECT.get((statement.reply, family), statement.reply.value)}"
        case Jump() | Goto():
            return f"{type(statement).__name__.lower()} {statement.chain}"
        case SetMark():
            return _set_mark("meta mark", statement.mask, statement.value)
        case SetCtMark():
            return _set_mark("ct mark", statement.mask, statement.value)
        case CtMarkToMark():
            return "ct mark set meta mark" if statement.save else "meta mark set ct mark"
        case CtMarkVmap():
            if not statement.chains:
                return ""
            arms = ", ".join(f"{_mark(value)} : goto {chain}" for value, chain in statement.chains)
            return f"ct mark & {_mark(statement.mask)} vmap {{ {arms} }}"
        case Learn():
            return f"add @{statement.set.name} {{ {'ip' if statement.family == 4 else 'ip6'} daddr }}"
        case Admit():
            return f"update @{statement.set.name} {{ {'ip' if statement.family == 4 else 'ip6'} saddr }}"
        case PortFrom():
            address, port = ("daddr", "dport") if statement.field == "sport" else ("saddr", "sport")
            key = f"{'ip' if statement.family == 4 else 'ip6'} {address} . udp {port}"
            return f"udp {statement.field} set {key} map @{statement.map.name}"
        case Snat():
            return f"snat {_nat_family(statement.to.version, family)}to {statement.to}"
        case Dnat():
            host = f"[{statement.to}]" if statement.to.version == 6 and statement.port else str(statement.to)
            port = f":{statement.port}" if statement.port else ""
            return f"dnat {_nat_family(statement.to.version, family)}to {host}{port}"
        case SnatPrefix() | DnatPrefix():
            word = "snat" if isinstance(statement, SnatPrefix) else "dnat"
            return f"{word} {_nat_family(statement.to.version, family)}prefix to {prefix_text(statement.to)}"
        case DnatMap():
            if not statement.entries:
                return ""
            arms = ", ".join(f"{_ports(one.first, one.last)} : {_led(one)}" for one in statement.entries)
            return f"dnat {_nat_family(statement.family, family)}to {statement.proto} dport map {{ {arms} }}"
    raise TypeError(f"not a statement: {statement!r}")


def _led(entry: PortTo) -> str:
    return f"{entry.to} . {entry.port}" if entry.port else str(entry.to)


def _nat_family(version: int, family: str) -> str:
    """A table of one family says it already; an inet table needs to be told."""
    return "" if family in _TABLE_FAMILY else f"{'ip' if version == 4 else 'ip6'} "
