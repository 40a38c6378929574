"""Sets of one: what a rule asks of them is asked of the one element, without a lookup.

Every packet of the host meets these rules, and to look a device up in a set its name is copied and hashed. The same
rules of a host with several tunnels, LANs or families need the sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from warren.model.firewall import Addr, Chain, IfName, Match, NftRule, Set, SetRef, SetType
from warren.model.prefix import Prefix


def compare_directly(sets: tuple[Set, ...], chains: tuple[Chain, ...]) -> tuple[tuple[Set, ...], tuple[Chain, ...]]:
    """Give sets and chains in which no set has one element that stays what it is until the next apply."""
    alone = {one.name: one.elements[0] for one in sets if len(one.elements) == 1 and _stays(one)}
    told = tuple(replace(chain, rules=tuple(_told(rule, alone) for rule in chain.rules)) for chain in chains)
    return tuple(one for one in sets if one.name not in alone), told


def _stays(one: Set) -> bool:
    return one.type in {SetType.IFNAME, SetType.IPV4, SetType.IPV6} and not one.live


def _told(rule: NftRule, alone: Mapping[str, Prefix | str]) -> NftRule:
    return replace(rule, matches=tuple(_direct(match, alone) for match in rule.matches))


def _direct(match: Match, alone: Mapping[str, Prefix | str]) -> Match:
    if isinstance(match, IfName) and isinstance(match.names, SetRef) and match.names.name in alone:
        return replace(match, names=(str(alone[match.names.name]),))
    if isinstance(match, Addr) and isinstance(match.values, SetRef) and match.values.name in alone:
        prefix = alone[match.values.name]
        assert isinstance(prefix, Prefix)
        return replace(match, values=(prefix,))
    return match
