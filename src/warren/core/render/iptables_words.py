"""Matches and statements of the typed firewall in iptables' words.

A match becomes alternatives of which one must hold, or things of which none may; a statement becomes targets. How
they are put together into rules and chains is `core.render.iptables`' affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from typing import assert_never

from warren.core.render.nft_words import join_ports, port_span
from warren.model.firewall import (
    Accept,
    Addr,
    Admit,
    CameFrom,
    Chain,
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
    NoTrack,
    Port,
    PortFrom,
    Reject,
    RejectWith,
    Return,
    SetCtMark,
    SetMark,
    SetRef,
    Snat,
    SnatPrefix,
    Statement,
    Table,
    TcpOpens,
    TcpSyn,
    UdpBegins,
    Unknocked,
)
from warren.model.prefix import Family, Prefix, aggregate, covers

NAME_CHARS = 28  # XT_EXTENSION_MAXNAMELEN less its zero
MOST_RULES = 2000  # of one set: every packet would meet them all
COMMENT_CHARS = 200

_SYN = "--tcp-flags SYN,RST SYN"
_OPENS = "--tcp-flags FIN,SYN,RST,ACK SYN"
_REJECT = {
    (RejectWith.ADMIN, Family.IPV4): "icmp-admin-prohibited",
    (RejectWith.ADMIN, Family.IPV6): "icmp6-adm-prohibited",
    (RejectWith.NO_ROUTE, Family.IPV4): "icmp-net-unreachable",
    (RejectWith.NO_ROUTE, Family.IPV6): "icmp6-no-route",
    (RejectWith.PORT, Family.IPV4): "icmp-port-unreachable",
    (RejectWith.PORT, Family.IPV6): "icmp6-port-unreachable",
}
# RFC 4443, 4861, 2710, 3810; nft's names.
_ICMP6 = {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "nd-redirect": 137,
    "mld2-listener-report": 143,
}


def chain_name(table: Table, chain: str) -> str:
    """Name a chain so that iptables takes it and nobody else has it."""
    owner = table.name.removeprefix("warren-")
    name = f"WARREN-{owner}-{chain}"
    if len(name) <= NAME_CHARS:
        return name
    return f"WARREN-{chain[:12]}-{blake2s(name.encode(), digest_size=4).hexdigest()}"


# --- one rule: clauses that must all hold, and alternatives of which one must --------------------------------


@dataclass(frozen=True, slots=True)
class Clause:
    """Words of iptables that must hold together; `proto` is said once in a rule, so it is kept apart."""

    words: tuple[str, ...] = ()
    proto: str = ""

    def both(self, other: Clause) -> Clause | None:
        """Join two clauses; None if they contradict each other."""
        if self.proto and other.proto and self.proto != other.proto:
            return None
        words = list(dict.fromkeys((*self.words, *other.words)))
        for one, two in combinations([word for word in words if word.startswith(ONCE)], 2):
            flag = one.split()[0]
            if not two.startswith(f"{flag} "):
                continue
            if flag in ("-i", "-o"):
                return None
            # Of two prefixes the narrower says it all, if it is within the wider.
            narrow, wide = sorted((one, two), key=lambda word: -_prefix(word).prefixlen)
            if not covers(_prefix(wide), _prefix(narrow)):
                return None
            if wide in words:
                words.remove(wide)
        return Clause(tuple(words), self.proto or other.proto)

    def text(self) -> str:
        return " ".join([*([f"-p {self.proto}"] if self.proto else []), *self.words])


def _prefix(word: str) -> Prefix:
    return ip_network(word.split()[1])


ALWAYS = Clause()
ONCE = ("-i ", "-o ", "-s ", "-d ")  # words that a rule may say once


@dataclass(frozen=True, slots=True)
class Condition:
    """A match in iptables' words: one of `some` must hold (empty: it never does) and none of `none` may."""

    some: tuple[Clause, ...] = (ALWAYS,)
    none: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """A target, what its rule must match besides, and whether the rule's chain ends there."""

    target: str
    clause: Clause = ALWAYS
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """Says matches and statements for one family, in one table of iptables (`home`).

    `may_accept` names the chains in which accept has a word.
    """

    table: Table
    family: Family
    home: str
    may_accept: frozenset[str]

    # --- matches ---------------------------------------------------------------------------------------------

    def condition(self, match: Match) -> Condition:
        match match:
            case IfName():
                flag = "-i" if match.direction == "iif" else "-o"
                return _oneof((f"{flag} {name}" for name in self.names(match.names)), match.negate)
            case Addr():
                if match.family != self.family:
                    return Condition(())
                flag = "-s" if match.field == "saddr" else "-d"
                return _oneof((f"{flag} {prefix}" for prefix in self.prefixes(match)), match.negate)
            case CameFrom() | UdpBegins():
                return Condition(())  # a live set, which nobody feeds where there is no agent
            case Unknocked() | HopsLeft():
                raise ValueError("iptables does not remember who knocked")
            case EtherSource():
                return _oneof(f"-m mac --mac-source {mac}" for mac in match.macs)
            case NfProto():
                return Condition() if match.family == self.family else Condition(())
            case L4Proto():
                some = tuple(Clause(proto=proto) for proto in match.protos)
                if not match.negate:
                    return Condition(some)
                return Condition(none=some)
            case Port():
                flag = "--sport" if match.field == "sport" else "--dport"
                spans = (_span(first, last) for first, last in join_ports(self.ports(match)))
                return Condition(tuple(Clause((f"{flag} {span}",), match.proto) for span in spans))
            case Icmp6Type():
                if self.family is Family.IPV4:
                    return Condition(())
                types = (Clause((f"--icmpv6-type {_ICMP6[name]}",), "ipv6-icmp") for name in match.types)
                return Condition(tuple(types))
            case TcpSyn():
                return Condition((Clause((_SYN,), "tcp"),))
            case TcpOpens():
                return Condition((Clause((_OPENS,), "tcp"),))
            case EchoRequest():
                if match.family != self.family:
                    return Condition(())
                proto, word = ("icmp", "icmp") if self.family is Family.IPV4 else ("ipv6-icmp", "icmpv6")
                return Condition((Clause((f"--{word}-type echo-request",), proto),))
            case CtState():
                states = ",".join(state.upper() for state in match.states)
                return _oneof([f"-m conntrack{{}} --ctstate {states}"] if states else [], match.negate)
            case CtDirection():
                return _oneof([f"-m conntrack --ctdir {match.direction.upper()}"])
            case CtStatus():
                return _oneof([f"-m conntrack{{}} --ctstate {match.status.upper()}"], match.negate)
            case Mark():
                return _oneof([f"-m mark{{}} --mark {match.value:#x}/{match.mask:#x}"], match.negate)
            case CtMark():
                return _oneof([f"-m connmark{{}} --mark {match.value:#x}/{match.mask:#x}"], match.negate)
            case FibType():
                side = "src" if match.field == "saddr" else "dst"
                return _oneof([f"-m addrtype{{}} --{side}-type {match.type.upper()}"], match.negate)

    def names(self, names: tuple[str, ...] | SetRef) -> Sequence[str]:
        return [str(element) for element in self.elements(names)] if isinstance(names, SetRef) else names

    def prefixes(self, match: Addr) -> Sequence[Prefix]:
        values = self.elements(match.values) if isinstance(match.values, SetRef) else match.values
        if isinstance(match.values, SetRef) and len(values) > MOST_RULES:
            raise ValueError(f"{match.values.name} has {len(values):,} prefixes, and iptables would ask one by one")
        return aggregate(value for value in values if isinstance(value, (IPv4Network, IPv6Network)))

    def ports(self, match: Port) -> Sequence[int | tuple[int, int]]:
        if isinstance(match.values, SetRef):
            return [port_span(str(element)) for element in self.elements(match.values)]
        return match.values

    def elements(self, reference: SetRef) -> tuple[Prefix | str, ...]:
        return next(held.elements for held in self.table.sets if held.name == reference.name)

    # --- statements ------------------------------------------------------------------------------------------

    def actions(self, chain: Chain, statement: Statement) -> Iterator[Action]:
        match statement:
            case Counter():
                return  # every rule counts here
            case Accept():
                if chain.name not in self.may_accept:
                    raise ValueError(f"iptables cannot accept in {chain.name}, a chain that is jumped to")
                yield Action("-j RETURN", ends=True)
            case Return():
                yield Action("-j RETURN", ends=True)
            case Drop():
                yield Action("-j DROP", ends=True)
            case Reject():
                yield self.reject(statement.reply)
            case Jump():
                yield Action(f"-j {chain_name(self.table, statement.chain)}")
            case Goto():
                yield Action(f"-g {chain_name(self.table, statement.chain)}", ends=True)
            case SetMark():
                yield Action(f"-j MARK --set-xmark {statement.value:#x}/{statement.mask:#x}")
            case SetCtMark():
                yield Action(f"-j CONNMARK --set-xmark {statement.value:#x}/{statement.mask:#x}")
            case CtMarkToMark():
                yield Action(f"-j CONNMARK --{'save' if statement.save else 'restore'}-mark")
            case CtMarkVmap():
                for value, name in statement.chains:
                    held = Clause((f"-m connmark --mark {value:#x}/{statement.mask:#x}",))
                    yield Action(f"-g {chain_name(self.table, name)}", held)
            case MssClamp():
                yield Action("-j TCPMSS --clamp-mss-to-pmtu", Clause((_SYN,), "tcp"))
            case Masquerade():
                yield Action("-j MASQUERADE", ends=True)
            case Snat() | Dnat():
                if statement.to.version == self.family:
                    yield Action(_nat(statement), ends=True)
            case SnatPrefix() | DnatPrefix():
                if statement.to.version == self.family:  # which of the two it is follows from the chain it stands in
                    yield Action(f"-j NETMAP --to {statement.to}", ends=True)
            case DnatMap():
                for one in statement.entries if statement.family is self.family else ():
                    ports = Clause((f"--dport {_span(one.first, one.last)}",), statement.proto)
                    yield Action(_nat(Dnat(one.to, one.port)), ports)
            case NoTrack() | PortFrom():
                return  # of the agent's live sets, too
            case Learn() | Admit():
                raise ValueError(f"iptables cannot put addresses into {statement.set.name}")
            case _:
                assert_never(statement)

    def reject(self, reply: RejectWith) -> Action:
        if self.home != "filter":
            return Action("-j DROP", ends=True)
        if reply is RejectWith.RESET:
            return Action("-j REJECT --reject-with tcp-reset", Clause(proto="tcp"), ends=True)
        return Action(f"-j REJECT --reject-with {_REJECT[reply, self.family]}", ends=True)


def _oneof(words: Iterable[str], negate: bool = False) -> Condition:
    """Say that one of these must hold, or that none may; `{}` is where a module wants its `!`."""
    every = list(words)
    if not negate:
        return Condition(tuple(Clause((word.replace("{}", ""),)) for word in every))
    if len(every) == 1:
        word = every[0].replace("{}", " !") if "{}" in every[0] else f"! {every[0]}"
        return Condition((Clause((word,)),))
    return Condition(none=tuple(Clause((word.replace("{}", ""),)) for word in every))


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}:{last}"


def _nat(statement: Snat | Dnat) -> str:
    if isinstance(statement, Snat):
        return f"-j SNAT --to-source {statement.to}"
    host = f"[{statement.to}]" if statement.to.version == 6 and statement.port else str(statement.to)
    return f"-j DNAT --to-destination {host}" + (f":{statement.port}" if statement.port else "")


def comment_words(text: str) -> str:
    plain = " ".join(text.replace('"', "'").replace("\\", "/").split())[:COMMENT_CHARS]
    return f'-m comment --comment "{plain}"' if plain else ""
