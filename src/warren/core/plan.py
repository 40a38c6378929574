"""What apply would do on one host: made as a value, told to people, given to scripts.

nyc: 12 to make, 1 to alter, 0 to take away

firewall
  + table inet warren-portals          the guard goes up first: …
routes
  + 192.168.22.0/24 dev portals table 7700          192.168.22.0/24 goes by portals (to paris)
in the way
  ! docker drops what is forwarded …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import unified_diff
from textwrap import wrap

from warren.core.diff import diff
from warren.core.obstacles import find_obstacles
from warren.core.obstacles.published import stays
from warren.core.render.ip import route_words, rule_words
from warren.core.render.nft import render_table
from warren.model.change import (
    AddAddress,
    AddConsent,
    AddLink,
    AddRoute,
    AddRule,
    Change,
    DropAddress,
    DropConsent,
    DropDns,
    DropLanLink,
    DropLink,
    DropPeer,
    DropRoute,
    DropRule,
    DropService,
    DropTable,
    Forget,
    Item,
    Obstacle,
    Plan,
    PutElements,
    PutLanLink,
    PutPeer,
    PutService,
    PutTable,
    RetireAddress,
    Rune,
    RunHook,
    SetDns,
    SetLink,
    SetSysctl,
)
from warren.model.firewall import Table
from warren.model.state import HostState
from warren.model.surroundings import Surroundings

SHOWN = 12  # changes of one group and rune that people are shown; 20,000 routes are nobody's reading
WIDE = 72  # columns for what is changed; the reason stands behind

# The groups in which people are told, in their order; a plan's own order is the safe one.
_GROUPS: dict[str, tuple[type, ...]] = {
    "firewall": (PutTable, PutElements, DropTable, AddConsent, DropConsent),
    "kernel settings": (SetSysctl,),
    "LANs": (PutLanLink, DropLanLink),
    "tunnels": (AddLink, SetLink, DropLink, PutPeer, DropPeer),
    "addresses": (AddAddress, DropAddress, RetireAddress),
    "names": (SetDns, DropDns),
    "routes": (AddRoute, DropRoute),
    "rules": (AddRule, DropRule),
    "services": (PutService, DropService),
    "flows": (Forget,),
    "hooks": (RunHook,),
}
_KINDS = {
    AddLink: "make-link",
    SetLink: "alter-link",
    DropLink: "remove-link",
    AddAddress: "add-address",
    DropAddress: "remove-address",
    RetireAddress: "retire-address",
    PutLanLink: "put-lan-link",
    DropLanLink: "remove-lan-link",
    PutService: "put-service",
    DropService: "remove-service",
    PutPeer: "put-peer",
    DropPeer: "remove-peer",
    AddRoute: "put-route",
    DropRoute: "remove-route",
    AddRule: "add-rule",
    DropRule: "remove-rule",
    PutTable: "put-table",
    PutElements: "put-elements",
    DropTable: "remove-table",
    SetSysctl: "set-sysctl",
    AddConsent: "add-consent",
    DropConsent: "remove-consent",
    SetDns: "set-dns",
    DropDns: "remove-dns",
    Forget: "forget-flows",
    RunHook: "run-hook",
}


def make_plan(
    desired: HostState,
    observed: HostState,
    before: HostState | None,
    surroundings: Surroundings,
    restore: Mapping[str, str] | None = None,
) -> Plan:
    """Compare what should be with what is, and name what foreign things on the host stand in the way.

    `before` and `restore` are the journal's (see `core.diff`). Where kernel settings are read-only, changes of
    them are left out: an obstacle says what that means.
    """
    items = diff(desired, observed, before, restore)
    if surroundings.read_only_sysctls:
        items = tuple(item for item in items if not isinstance(item.change, SetSysctl))
    return Plan(desired.host, desired.owner, items, find_obstacles(desired, surroundings), stays(desired, surroundings))


def describe(plan: Plan, *, shown: int = SHOWN) -> str:
    """Tell people: grouped, with runes, a reason for each change, and what stands in the way."""
    lines = [_headline(plan)]
    for title, kinds in _GROUPS.items():
        group = [item for item in plan.items if isinstance(item.change, kinds)]
        if group:
            lines += ["", title, *_group_lines(group, shown)]
    if plan.stays:
        lines += ["", "not published, but this host's own", *_wrapped(", ".join(plan.stays))]
    if plan.obstacles:
        lines += ["", describe_obstacles(plan)]
    return "\n".join(lines) + "\n"


def describe_obstacles(plan: Plan) -> str:
    """Tell people only what stands in the way; empty if nothing does."""
    lines = [line for obstacle in plan.obstacles for line in _obstacle_lines(obstacle)]
    return "\n".join(["in the way", *lines]) if lines else ""


def plan_json(plan: Plan) -> dict[str, object]:
    """Give the plan as JSON values; this shape is stable.

    `{host, owner, changes: [{rune, kind, subject, reason}], stays: […], obstacles: [{what, remedy, command, blocks}]}`:
    changes stand in the order in which they are carried out; `rune` is `+`, `~` or `-`; `kind` is a verb and a
    noun, such as `put-route`; `subject` is in the words of ip, nft or wg. No secret is in it.
    """
    return {
        "host": plan.host,
        "owner": plan.owner,
        "changes": [
            {
                "rune": item.rune.value,
                "kind": _KINDS[type(item.change)],
                "subject": subject(item.change),
                "reason": item.reason,
            }
            for item in plan.items
        ],
        "stays": list(plan.stays),
        "obstacles": [
            {"what": o.what, "remedy": o.remedy, "command": o.command, "blocks": o.blocks} for o in plan.obstacles
        ],
    }


def subject(change: Change) -> str:
    """Name what a change is about, in the words of the program that makes it."""
    match change:
        case PutTable() | PutElements() | DropTable():
            return f"table {change.table.family} {change.table.name}"
        case AddConsent() | DropConsent():
            rule = change.rule
            where = f" {rule.device}" if rule.device else f" udp/{rule.udp_port}"
            return f"{rule.tool}: {rule.family.word} {rule.direction}{where}"
        case SetSysctl():
            return f"{change.name} = {change.value}" + (f" (now {change.before})" if change.before else "")
        case AddLink():
            return f"device {change.interface.name}"
        case SetLink():
            return f"device {change.after.name}"
        case DropLink():
            return f"device {change.name}"
        case PutPeer() | DropPeer():
            return f"peer {change.peer.name or change.peer.public_key} of {change.device}"
        case AddAddress() | DropAddress() | RetireAddress():
            return f"{change.address} dev {change.device}"
        case AddRoute() | DropRoute():
            return route_words(change.route).removesuffix(" proto 77")
        case AddRule() | DropRule():
            return f"{change.rule.family.word} {rule_words(change.rule).removesuffix(' protocol 77')}"
        case PutLanLink() | DropLanLink():
            return f"device {change.link.name}"
        case PutService() | DropService():
            return f"{change.service.program} ({change.service.name})"
        case SetDns() | DropDns():
            return f"DNS of {change.config.device}"
        case Forget():
            return f"conntrack entries from {change.flows.source}"
        case RunHook():
            return f"{change.stage}: {change.command.replace('%i', change.device)}"


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDE, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _headline(plan: Plan) -> str:
    count = {rune: sum(1 for item in plan.items if item.rune is rune) for rune in Rune}
    if not plan.items:
        return f"{plan.host} ({plan.owner}): nothing to do"
    made, altered, gone = count[Rune.ADD], count[Rune.ALTER], count[Rune.DROP]
    return f"{plan.host} ({plan.owner}): {made} to make, {altered} to alter, {gone} to take away"


def _group_lines(group: list[Item], shown: int) -> Iterator[str]:
    # Runes in the order of their first appearance, which keeps makes before takes.
    by_rune = {rune: [item for item in group if item.rune is rune] for rune in dict.fromkeys(i.rune for i in group)}
    names = {id(item): subject(item.change) for items in by_rune.values() for item in items[:shown]}
    width = min(WIDE, max(map(len, names.values())))
    for rune, items in by_rune.items():
        for item in items[:shown]:
            yield f"  {rune.value} {names[id(item)]:<{width}}   {item.reason}"
            if isinstance(item.change, PutTable | PutElements):
                yield from _set_changes(item.change.table, item.change.before, shown)
                if item.change.before is not None:
                    yield from _table_changes(item.change.table, item.change.before, shown)
        if len(items) > shown:
            yield f"  {rune.value} … and {len(items) - shown} more"


def _set_changes(table: Table, before: Table | None, shown: int) -> Iterator[str]:
    """Tell sets that are too large to be read by their names and by how many elements they have, gain and lose."""
    old = {held.name: held.elements for held in before.sets} if before is not None else {}
    new = {held.name: held.elements for held in table.sets}
    for name in dict.fromkeys((*old, *new)):
        was, now = set(old.get(name, ())), set(new.get(name, ()))
        if was == now or max(len(was), len(now)) <= shown:
            continue
        if not was or not now:
            yield f"      {'+' if now else '-'} set {name}: {len(now or was):,} elements"
        else:
            yield f"      ~ set {name}: {len(now):,} elements, {len(now - was):,} new, {len(was - now):,} gone"


def _table_changes(table: Table, before: Table, shown: int) -> Iterator[str]:
    """Show the rules that come and go, with the chain they stand in."""
    chain = ""
    told: list[str] = []
    lines = unified_diff(_lines(before, shown), _lines(table, shown), n=1000, lineterm="")
    for line in list(lines)[3:]:
        rune, text = line[:1], line[1:]
        if text.startswith("\tchain "):
            chain = text.split()[1]
        if rune in "+-" and text.strip(" \t}"):
            where = f"{chain}: " if text.startswith("\t\t") else ""
            told.append(f"      {rune} {where}{text.strip()}")
    yield from told[:shown]
    if len(told) > shown:
        yield f"      … and {len(told) - shown} more"


def _lines(table: Table, shown: int) -> list[str]:
    """Write a table without its large sets, which are told by their size."""
    small = tuple(held for held in table.sets if len(held.elements) <= shown)
    return [line for line in render_table(replace(table, sets=small)).splitlines() if line.startswith("\t")]


def _obstacle_lines(obstacle: Obstacle) -> Iterable[str]:
    yield f"  {'!' if obstacle.blocks else '?'} {obstacle.what}"
    yield f"      {obstacle.remedy}"
    if obstacle.command:
        yield from (f"      $ {line}" for line in obstacle.command.splitlines())
