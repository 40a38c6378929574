"""What nft lists (nft(8), libnftables-json(5)): our own table as a digest, everybody else's base chains.

nft lists rules back in its own words (a mask is rewritten), so our table is not compared with what we meant but
with what was listed right after it was installed: the digest of the listing without what lives (handles, counters,
elements of live sets, seconds left).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from warren.model.change import Command
from warren.model.firewall import Table
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, Run, run

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChainSeen:
    """A chain; `hook` is empty for one that only others jump to. `rules` are libnftables' JSON, in order."""

    family: str
    table: str
    name: str
    hook: str
    priority: int
    policy: str
    rules: tuple[Entry, ...]


def listing(family: str, table: str, run: Run = run) -> list[Entry] | None:
    """List one table; None if there is none of that name."""
    try:
        return _entries(run(Command(("nft", "-j", "list", "table", family, table))))
    except CommandFailed as failed:
        if "No such file" in failed.words:
            return None
        raise


def elements(family: str, table: str, name: str, run: Run = run) -> list[Any]:
    """List a set's elements as libnftables has them; none if there is no such set."""
    try:
        listed = _entries(run(Command(("nft", "-j", "list", "set", family, table, name))))
    except CommandFailed as failed:
        if "No such file" in failed.words:
            return []
        raise
    return [one for entry in listed if "set" in entry for one in entry["set"].get("elem", ())]


def tables(run: Run = run) -> tuple[tuple[str, str], ...]:
    """Name every table: family and name."""
    listed = _entries(run(Command(("nft", "-j", "list", "tables"))))
    return tuple((entry["table"]["family"], entry["table"]["name"]) for entry in listed if "table" in entry)


def chains(run: Run = run) -> tuple[ChainSeen, ...]:
    """List every chain of every table with its rules, but no elements of sets."""
    listed = _entries(run(Command(("nft", "-j", "-t", "list", "ruleset"))))
    rules: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in listed:
        if rule := entry.get("rule"):
            rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
    return tuple(
        ChainSeen(
            family=chain["family"],
            table=chain["table"],
            name=chain["name"],
            hook=chain.get("hook", ""),
            priority=chain.get("prio", 0),
            policy=chain.get("policy", "accept"),
            rules=tuple(rules.get((chain["family"], chain["table"], chain["name"]), ())),
        )
        for entry in listed
        if (chain := entry.get("chain"))
    )


def digest(listed: list[Entry], live: frozenset[str]) -> str:
    """Give 32 hex digits that stay equal while nobody changes the table; `live` names the sets that may change."""
    kept = [entry for entry in listed if "metainfo" not in entry]
    plain = [_still({kind: _without(kind, body, live)}) for entry in kept for kind, body in entry.items()]
    return blake2s(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def lacks(listed: list[Entry], table: Table) -> str:
    """Say in words what a listing lacks of a table that was just installed; empty when it is all there."""
    names = {kind: {entry[kind]["name"] for entry in listed if kind in entry} for kind in ("chain", "set", "map")}
    for held in table.sets:
        kind = "map" if held.to else "set"
        if held.name not in names[kind]:
            return f"the {kind} {held.name}"
    for chain in table.chains:
        if chain.name not in names["chain"]:
            return f"the chain {chain.name}"
        installed = [entry["chain"] for entry in listed if entry.get("chain", {}).get("name") == chain.name]
        if chain.hook and (installed[0].get("hook"), installed[0].get("prio")) != (
            chain.hook.hook,
            chain.hook.priority,
        ):
            return f"the chain {chain.name} at the hook {chain.hook.hook}"
    return ""


def _without(kind: str, body: Entry, live: frozenset[str]) -> Entry:
    dropped = {"handle", "index"}
    if kind in ("set", "map") and body["name"] in live:
        dropped |= {"elem"}
    return {name: value for name, value in body.items() if name not in dropped}


def _still(value: Any) -> Any:
    """Take the counting parts out of a listing, and the order out of sets: it is that of a hash table."""
    if isinstance(value, dict):
        if set(value) == {"counter"}:
            return {"counter": None}
        still = {name: _still(part) for name, part in value.items() if name != "expires"}
        for name in ("set", "elem"):
            if isinstance(still.get(name), list):
                still[name].sort(key=lambda part: json.dumps(part, sort_keys=True))
        return still
    if isinstance(value, list):
        return [_still(part) for part in value]
    return value


def _entries(text: str) -> list[Entry]:
    try:
        listed = json.loads(text)["nftables"]
    except (json.JSONDecodeError, KeyError) as error:
        raise HostError(f"nft answered with something other than its JSON: {error!r}") from None
    return [entry for entry in listed if isinstance(entry, dict)]
