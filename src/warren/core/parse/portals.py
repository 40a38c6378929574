"""`portals:`: where traffic enters and by whose uplink it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from warren.core.parse.addresses import address
from warren.core.parse.destinations import destinations
from warren.core.parse.dns import dns
from warren.core.parse.places import host_name, place
from warren.core.parse.reading import Key, Reading, each, entry, nothing, word
from warren.core.parse.tree import Node, Scalar, Sequence, Table
from warren.model.dns import Dns
from warren.model.named_set import SetUse
from warren.model.place import PlaceKind
from warren.model.portal import IfDown, Nat, OtherDns, Portal
from warren.model.prefix import FAMILIES, Family, Prefix

FAMILY_WORDS: dict[str, tuple[Family, ...]] = {
    Family.IPV4.word: (Family.IPV4,),
    Family.IPV6.word: (Family.IPV6,),
    "both": FAMILIES,
}


def exits(node: Node, what: str, reading: Reading) -> tuple[str, ...] | None:
    """Read an exit, or a list of them in the order in which they are taken; no name of it may be lost."""
    if nothing(node) or (isinstance(node, Sequence) and not node.items):
        says = f"{what} names no host."
        reading.note("W012", node.where, says, "Write a host, or several in the order in which they are to be taken.")
        return None
    found = each(host_name, single=True)(node, what, reading)
    complete = found is not None and len(found) == (len(node.items) if isinstance(node, Sequence) else 1)
    return found if complete else None


def only(node: Node, what: str, reading: Reading) -> tuple[Prefix | SetUse, ...] | None:
    """Read the only destinations that a portal takes; none at all would be a portal for nothing."""
    if nothing(node) or (isinstance(node, Sequence) and not node.items):
        says = "`only:` names no destination, so the portal would carry nothing."
        reading.note("W175", node.where, says, "Write for instance `only: [country:US]`, or delete the portal.")
        return None
    return destinations(node, what, reading)


PORTAL_KEYS: dict[str, Key[Any]] = {
    "from": Key(place, required=True),
    "exit": Key(exits, required=True),
    "via": Key(each(host_name, single=True)),
    "except": Key(destinations),
    "only": Key(only),
    "family": Key(word(FAMILY_WORDS)),
    "nat": Key(word({value.value: value for value in Nat})),
    "health": Key(each(address, single=True)),
    "if_down": Key(word({value.value: value for value in IfDown})),
    "dns": Key(dns),
    "other_dns": Key(word({value.value: value for value in OtherDns})),
}


def portal(node: Node, what: str, reading: Reading) -> Portal | None:
    """Read one portal; None if it lacks an end, or a host of it is unknown."""
    before = len(reading.found)
    values = entry(node, "a portal", reading, PORTAL_KEYS)
    if values is None or "from" not in values or "exit" not in values:
        return None
    source = values["from"]
    if source.kind is PlaceKind.INTERNET:
        says = "Nothing can enter a portal from the internet."
        reading.note("W064", source.at, says, "Name a host, a LAN, or a machine on a LAN.")
        return None
    if source.kind is PlaceKind.DEVICE:
        says = f"A portal is entered at a host, and `{source.device}` is a device."
        reading.note("W064", source.at, says, f"With `full_tunnel: true` it leaves by the uplink of `{source.host}`.")
        return None
    if len(reading.found) > before and len(values.get("via", ())) != _written(node, "via"):
        return None
    written = node.by_key if isinstance(node, Table) else {}
    if "except" in values and "only" in values:
        says = "`except:` and `only:` stand in one portal, and each says what the other would."
        hint = "Keep one: `only:` takes what it names and nothing else."
        reading.note("W174", written["only"].where, says, hint)
        return None
    named = _indexed(values.get("except", ()), written.get("except"))
    return Portal(
        source=source,
        exit=values["exit"][0],
        spare=values["exit"][1:],
        via=values.get("via", ()),
        exceptions=tuple(one for one in named if not isinstance(one, SetUse)),
        excepted=tuple(one for one in named if isinstance(one, SetUse)),
        only=_indexed(values.get("only", ()), written.get("only")),
        families=values.get("family", FAMILIES),
        nat=values.get("nat", Nat.AUTO),
        if_down=values.get("if_down", IfDown.BLOCK),
        health=values.get("health", ()),
        other_dns=values.get("other_dns"),
        at=node.where,
        dns=_resolving(values.get("dns"), written.get("dns")),
    )


def _resolving(dns: Dns | None, node: Node | None) -> Dns | None:
    """Say of each set of `dns:` at which place it was written."""
    if dns is None or not isinstance(node, Table):
        return dns
    return replace(dns, domestic_set=_indexed(dns.domestic_set, node.by_key.get("domestic_set")))


def _indexed(named: tuple[Prefix | SetUse, ...], node: Node | None) -> tuple[Prefix | SetUse, ...]:
    """Say of each set at which place it was written, whatever could not be read before it."""
    places = {item.where: at for at, item in enumerate(node.items)} if isinstance(node, Sequence) else {}
    return tuple(
        replace(one, index=places.get(one.at, 0)) if isinstance(one, SetUse) and one.at else one for one in named
    )


def _written(node: Node, key: str) -> int:
    """Count the entries of a list as written, to see whether one of them could not be read."""
    value = node.by_key.get(key) if isinstance(node, Table) else None
    if value is None or isinstance(value, Table):
        return 0
    return int(not value.empty) if isinstance(value, Scalar) else len(value.items)


portals = each(portal)
