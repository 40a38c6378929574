"""Policy rules in systemd.network(5)'s words, and what has to be said in another way there.

networkd (252) takes a mark of 0 under a mask for no mark at all: `not fwmark 0/0x3f000000`, by which every packet that
is marked and went nowhere is refused, would match nothing. So it is said bit by bit:

    fwmark 0x1000000/0x1000000 unreachable · fwmark 0x2000000/0x2000000 unreachable · …

Behind such a refusal nobody is marked any more, and a rule that asks for a mark of 0 need not ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from warren.model.prefix import Family
from warren.model.state import Action, Rule

_WHOLE = 0xFFFFFFFF


def translated(rules: Iterable[Rule]) -> Iterator[tuple[Rule, tuple[Rule, ...]]]:
    """Pair each rule with those that say it to networkd; with none where it cannot be said."""
    refused: dict[Family, int] = {}  # the bits that a packet cannot have any more
    for rule in sorted(rules, key=lambda rule: (rule.family, rule.priority)):
        if rule.mark or not rule.mark_mask:
            yield rule, (rule,)
        elif rule.invert and rule == _of_marks_alone(rule):
            bits = [1 << at for at in range(32) if rule.mark_mask >> at & 1]
            yield rule, tuple(replace(rule, mark=bit, mark_mask=bit, invert=False) for bit in bits)
            if rule.action is not Action.LOOKUP:
                refused[rule.family] = refused.get(rule.family, 0) | rule.mark_mask
        elif not rule.invert and not rule.mark_mask & ~refused.get(rule.family, 0):
            yield rule, (replace(rule, mark_mask=0),)
        else:
            yield rule, ()


def _of_marks_alone(rule: Rule) -> Rule:
    """Give a rule without its other selectors: `not` turns all of them round together."""
    return replace(rule, iif="", oif="", source=None, destination=None, ipproto="", sport=0, dport=0, opaque="")


def rule_lines(rule: Rule) -> list[str]:
    """Write the lines of a [RoutingPolicyRule]."""
    lines = [f"Family={rule.family.word}", f"Priority={rule.priority}"]
    if rule.invert:
        lines.append("InvertRule=yes")
    if rule.source is not None:
        lines.append(f"From={rule.source}")
    if rule.destination is not None:
        lines.append(f"To={rule.destination}")
    if rule.iif:
        lines.append(f"IncomingInterface={rule.iif}")
    if rule.oif:
        lines.append(f"OutgoingInterface={rule.oif}")
    if rule.mark:
        mask = f"/{rule.mark_mask:#x}" if rule.mark_mask not in (0, _WHOLE) else ""
        lines.append(f"FirewallMark={rule.mark:#x}{mask}")
    if rule.ipproto:
        lines.append(f"IPProtocol={rule.ipproto}")
    if rule.sport:
        lines.append(f"SourcePort={rule.sport}")
    if rule.dport:
        lines.append(f"DestinationPort={rule.dport}")
    lines.append(f"Table={rule.table}" if rule.action is Action.LOOKUP else f"Type={rule.action.value}")
    if rule.suppress_prefixlength >= 0:
        lines.append(f"SuppressPrefixLength={rule.suppress_prefixlength}")
    return lines
