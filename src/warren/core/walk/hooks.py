"""The firewall at work: a table is compiled once into closures, then asked about packet after packet.

A chain's rules are tried in order; all matches must hold, statements run in order, a verdict ends the rule.
`accept` ends a base chain, never the hook: the next chain at the hook still sees the packet (nft(8)).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import Enum

from warren.core.render.nft_words import rule_text
from warren.core.walk.matches import Matcher, Test
from warren.core.walk.packet import Packet
from warren.model import firewall as fw
from warren.model.prefix import FAMILIES, Family, Prefix
from warren.model.trace import Firewall, Note, Step


class Verdict(Enum):
    """What a chain, or a rule of it, said."""

    CONTINUE = "continue"
    RETURN = "return"
    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


class Nat:
    """What a nat chain asked for: an address (and port), or the leaving device's own."""

    __slots__ = ("masquerade", "port", "to")

    def __init__(self) -> None:
        self.to: int | None = None
        self.port = 0
        self.masquerade = False


Deed = Callable[[Packet, list[Step], Nat], Verdict | None]


class _Rule:
    __slots__ = ("deeds", "doubt", "family", "tests")

    def __init__(self, tests: tuple[Test, ...], deeds: tuple[Deed, ...], doubt: str, family: Family | None) -> None:
        self.tests = tests
        self.deeds = deeds
        self.doubt = doubt  # what to say to packets of the family that it does not match
        self.family = family


class Ruleset:
    """One table, ready to be asked."""

    def __init__(self, table: fw.Table) -> None:
        self.table = table
        self.families = {"ip": (Family.IPV4,), "ip6": (Family.IPV6,)}.get(table.family, FAMILIES)
        self._matcher = Matcher({held.name: held for held in table.sets})
        self._chains: dict[str, list[_Rule]] = {chain.name: [] for chain in table.chains}
        for chain in table.chains:
            doubts = dict(_doubts(chain, frozenset(held.name for held in table.sets if held.points)))
            self._chains[chain.name] += [
                self._compile(chain, rule, *doubts.get(at, ("", None))) for at, rule in enumerate(chain.rules)
            ]

    def run(self, chain: str, packet: Packet, steps: list[Step], nat: Nat) -> Verdict:
        """Send a packet through a chain; a base chain that says nothing says CONTINUE (policy accept)."""
        for rule in self._chains[chain]:
            for test in rule.tests:
                if not test(packet):
                    if rule.doubt and packet.family is rule.family:
                        steps.append(Note(rule.doubt))
                    break
            else:
                for deed in rule.deeds:
                    verdict = deed(packet, steps, nat)
                    if verdict is not None:
                        return Verdict.CONTINUE if verdict is Verdict.RETURN else verdict
        return Verdict.CONTINUE

    def _compile(self, chain: fw.Chain, rule: fw.NftRule, doubt: str, family: Family | None) -> _Rule:
        text = rule.comment or rule_text(rule, self.table.family)
        tests = tuple(self._matcher.test(match) for match in rule.matches)
        return _Rule(tests, tuple(self._deed(deed, chain.name, text) for deed in rule.statements), doubt, family)

    # --- statements --------------------------------------------------------------------------------------

    def _deed(self, statement: fw.Statement, chain: str, text: str) -> Deed:
        table = self.table.name

        def did(does: str) -> Firewall:
            return Firewall(table, chain, text, does)

        match statement:
            case fw.Counter():
                return lambda packet, steps, nat: None
            case fw.Accept():
                return lambda packet, steps, nat: Verdict.ACCEPT
            case fw.Return():
                return lambda packet, steps, nat: Verdict.RETURN
            case fw.Drop():
                return _tell(did("drop"), Verdict.DROP)
            case fw.Reject(reply):
                return _tell(did(f"reject with {reply}"), Verdict.REJECT)
            case fw.Jump(target):
                return self._jump(target)
            case fw.Goto(target):
                return self._goto(target)
            case fw.CtMarkVmap(mask, chains):
                return self._vmap(mask, dict(chains))
            case fw.SetMark(mask, value):
                return _set_mark(mask, value, did(f"mark {value:#010x} under {mask:#010x}"))
            case fw.SetCtMark(mask, value):
                return _set_ct_mark(mask, value, did(f"connection mark {value:#010x} under {mask:#010x}"))
            case fw.CtMarkToMark(save):
                return _save_mark if save else _restore_mark
            case fw.MssClamp():
                return _tell(did("clamps TCP's segment size to what the way carries"), None)
            case fw.Snat(to):
                return _translate(int(to), 0, did(f"snat to {to}"))
            case fw.Dnat(to, port):
                return _translate(int(to), port, did(f"dnat to {to}" + (f" port {port}" if port else "")))
            case fw.SnatPrefix(to):
                return _move("source", to, did(f"snat prefix to {to}"))
            case fw.DnatPrefix(to):
                return _move("destination", to, did(f"dnat prefix to {to}"))
            case fw.DnatMap():
                return _translate_by_map(statement, did)
            case fw.Masquerade():
                return _masquerade(did("masquerade"))
            case fw.NoTrack() | fw.PortFrom():  # the agent's own packets, and where its maps lead: neither walks
                return lambda packet, steps, nat: None
            case fw.Learn():  # for later packets: what a set holds is given to the walk
                return _tell(did("is known by its name, and remembered"), None)
            case fw.Admit():
                return _tell(did("lets its source in, for some time"), None)

    def _jump(self, target: str) -> Deed:
        def jump(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
            verdict = self.run(target, packet, steps, nat)
            return None if verdict is Verdict.CONTINUE else verdict

        return jump

    def _goto(self, target: str) -> Deed:
        def goto(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
            verdict = self.run(target, packet, steps, nat)
            return Verdict.RETURN if verdict is Verdict.CONTINUE else verdict

        return goto

    def _vmap(self, mask: int, chains: dict[int, str]) -> Deed:
        gotos = {value: self._goto(chain) for value, chain in chains.items()}

        def vmap(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
            if packet.flow is None or (goto := gotos.get(packet.flow.mark & mask)) is None:
                return None
            return goto(packet, steps, nat)

        return vmap


def _doubts(chain: fw.Chain, by_name: frozenset[str]) -> Iterator[tuple[int, tuple[str, Family]]]:
    """Say at the last rule of a chain about names, in each family, what is not known before they are asked for."""
    lasts: dict[Family, tuple[int, list[str]]] = {}
    for at, rule in enumerate(chain.rules):
        for match in rule.matches:
            if isinstance(match, fw.Addr) and isinstance(match.values, fw.SetRef) and match.values.name in by_name:
                known = lasts.get(match.family, (0, []))[1]
                lasts[match.family] = (at, [*dict.fromkeys((*known, rule.comment.partition(" ")[0]))])
    for family, (at, uses) in lasts.items():
        named = ", ".join(uses[:3]) + (f" or {len(uses) - 3:,} others" if len(uses) > 3 else "")
        yield at, (f"unless a name of {named} stands for it, which is known only once it was asked for", family)


def _tell(step: Firewall, verdict: Verdict | None) -> Deed:
    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        steps.append(step)
        return verdict

    return deed


def _set_mark(mask: int, value: int, step: Firewall) -> Deed:
    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        mark = packet.mark & ~mask | value
        if mark != packet.mark:
            packet.mark = mark
            steps.append(step)
        return None

    return deed


def _set_ct_mark(mask: int, value: int, step: Firewall) -> Deed:
    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        if packet.flow is not None and packet.flow.mark != packet.flow.mark & ~mask | value:
            packet.flow.mark = packet.flow.mark & ~mask | value
            steps.append(step)
        return None

    return deed


def _restore_mark(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
    if packet.flow is not None:
        packet.mark = packet.flow.mark
    return None


def _save_mark(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
    if packet.flow is not None:
        packet.flow.mark = packet.mark
    return None


def _translate(to: int, port: int, step: Firewall) -> Deed:
    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        nat.to, nat.port = to, port
        steps.append(step)
        return Verdict.ACCEPT

    return deed


def _move(end: str, to: Prefix, step: Firewall) -> Deed:
    """The same number in another prefix (NF_NAT_RANGE_NETMAP)."""
    base, numbers = int(to.network_address), int(to.hostmask)

    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        nat.to = base | (getattr(packet, end) & numbers)
        steps.append(step)
        return Verdict.ACCEPT

    return deed


def _translate_by_map(statement: fw.DnatMap, did: Callable[[str], Firewall]) -> Deed:
    entries = sorted(statement.entries, key=lambda one: one.first)
    firsts = [one.first for one in entries]

    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        at = bisect_right(firsts, packet.dport) - 1
        if packet.family is not statement.family or packet.proto != statement.proto or at < 0:
            return None
        one = entries[at]
        if packet.dport > one.last:
            return None
        port = f" port {one.port}" if one.port else ""
        return _translate(int(one.to), one.port, did(f"dnat to {one.to}{port}"))(packet, steps, nat)

    return deed


def _masquerade(step: Firewall) -> Deed:
    def deed(packet: Packet, steps: list[Step], nat: Nat) -> Verdict | None:
        nat.masquerade = True
        steps.append(step)
        return Verdict.ACCEPT

    return deed
