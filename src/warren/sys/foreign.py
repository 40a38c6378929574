"""Other people's packet filters: their base chains, and which tool each belongs to. Reads only.

iptables-nft's chains are nft's and are listed with it. iptables-legacy has tables of its own in the kernel; a table is
listed only if the kernel says it is in use, because listing one that is not would create it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from warren.model.change import Command
from warren.model.surroundings import ForeignChain
from warren.sys import nft
from warren.sys.errors import HostError
from warren.sys.run import Run, find_program, run

# A chain belongs to the first tool here that has a chain which it jumps to, or whose mark is in its table's name.
_BY_JUMP = (("docker", re.compile(r"DOCKER")), ("ufw", re.compile(r"ufw6?-")), ("tailscale", re.compile(r"ts-")))
_BY_TABLE = (
    ("firewalld", re.compile(r"firewalld")),
    ("wg-quick", re.compile(r"wg-quick-")),
    ("docker", re.compile(r"docker")),
    ("tailscale", re.compile(r"tailscale")),
)
_BUILTIN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
_LEGACY_PRIORITY = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}


def chains(run: Run = run) -> tuple[ForeignChain, ...]:
    """List every base chain that is not in a table of warren's."""
    return (*_nft_chains(run), *_legacy_chains(run))


def _nft_chains(run: Run) -> tuple[ForeignChain, ...]:
    if find_program("nft") is None:
        return ()
    every = [chain for chain in nft.chains(run) if not chain.table.startswith("warren-")]
    return tuple(
        ForeignChain(
            family=chain.family,
            table=chain.table,
            name=chain.name,
            hook=chain.hook,
            priority=chain.priority,
            policy=chain.policy,
            rules=len(chain.rules),
            tool=tool_of(chain.table, chain.name, _targets(chain.rules)),
        )
        for chain in every
        if chain.hook
    )


def tool_of(table: str, chain: str, targets: Iterable[str]) -> str:
    """Say whose a chain is, from the table's name and the chains it jumps to."""
    jumped = tuple(targets)
    for tool, pattern in _BY_JUMP:
        if any(pattern.match(target) for target in jumped):
            return tool
    for tool, pattern in _BY_TABLE:
        if pattern.match(table):
            return tool
    return "iptables" if chain in _BUILTIN else "nft"


def _targets(rules: Sequence[nft.Entry]) -> Iterable[str]:
    for rule in rules:
        for expression in rule.get("expr", ()):
            for verdict in ("jump", "goto"):
                body: Any = expression.get(verdict) if isinstance(expression, dict) else None
                if isinstance(body, dict):
                    yield str(body.get("target", ""))


# --- iptables-legacy -----------------------------------------------------------------------------------------


def _legacy_chains(run: Run) -> tuple[ForeignChain, ...]:
    found: list[ForeignChain] = []
    for family, names, program in (
        ("legacy4", "ip_tables_names", "iptables"),
        ("legacy6", "ip6_tables_names", "ip6tables"),
    ):
        for table in _tables_in_use(names):
            try:
                text = run(Command((f"{program}-legacy-save", "-t", table)))
            except HostError:
                found.append(
                    ForeignChain(family, table, "(unreadable)", "forward", _LEGACY_PRIORITY.get(table, 0), rules=1)
                )
                continue
            found += parse_legacy(text, family, table)
    return tuple(found)


def _tables_in_use(file: str) -> list[str]:
    path = f"/proc/thread-self/net/{file}"
    if not os.path.exists(path):
        return []
    try:
        with open(path, encoding="ascii", errors="replace") as names:
            return names.read().split()
    except OSError:  # only the host's root may read it
        return []


def parse_legacy(text: str, family: str, table: str) -> tuple[ForeignChain, ...]:
    """Read the built-in chains of one table from the text of iptables-save(8)."""
    policies: dict[str, str] = {}
    rules: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(":"):
            name, policy = line[1:].split()[:2]
            policies[name] = policy.lower()
        elif line.startswith("-A "):
            rules.setdefault(line.split()[1], []).append(line)
    found = []
    for name in (name for name in policies if name in _BUILTIN):
        lines = rules.get(name, [])
        targets = [match[1] for line in lines if (match := re.search(r" -[jg] (\S+)", line))]
        priority = _LEGACY_PRIORITY.get(table, 0) if (table, name) != ("nat", "POSTROUTING") else 100
        tool = tool_of(table, name, targets)
        found.append(ForeignChain(family, table, name, name.lower(), priority, policies[name], len(lines), tool))
    return tuple(found)
