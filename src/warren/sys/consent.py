"""Which of an owner's tagged rules stand at a foreign firewall's hook (core.render.consent says where). Reads only.

A tool is asked only about rules that a state of the owner's names: listing with iptables-legacy would otherwise load
modules on a host that has no use for them.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren.core.render.consent import consent_place, consents_in
from warren.model.change import Command
from warren.model.prefix import Family
from warren.model.state import ConsentRule
from warren.sys.errors import HostError
from warren.sys.run import Run, run


def observed(rules: Iterable[ConsentRule], owner: str, run: Run = run) -> tuple[ConsentRule, ...]:
    """Give those of the rules that are in place."""
    wanted = tuple(dict.fromkeys(rules))
    listings: dict[tuple[str, str], str] = {}
    found = []
    for rule in wanted:
        place = _place(rule)
        if place is None:
            continue
        if place not in listings:
            listings[place] = _list(*place, run)
        if rule in consents_in(listings[place], rule.tool, Family(rule.family), owner):
            found.append(rule)
    return tuple(found)


def placeable(rules: Iterable[ConsentRule], run: Run = run) -> tuple[ConsentRule, ...]:
    """Give those of the rules whose chain is there (Docker without IPv6 has none in ip6tables, and never for input)."""
    there: dict[tuple[str, str], bool] = {}
    found = []
    for rule in rules:
        place = _place(rule)
        if place is not None and there.setdefault(place, _list(*place, run) != ""):
            found.append(rule)
    return tuple(found)


def _place(rule: ConsentRule) -> tuple[str, str] | None:
    try:
        return consent_place(rule)
    except ValueError:  # that tool has no such hook
        return None


def _list(program: str, chain: str, run: Run) -> str:
    words = ("list", "chain", "inet", "firewalld", chain) if program == "nft" else ("-w", "-S", chain)
    try:
        return run(Command((program, *words)))
    except HostError:  # that tool, or its chain, is not there
        return ""
