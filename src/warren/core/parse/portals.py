"""`portals:`: where traffic enters and by whose uplink it leaves."""

from __future__ import annotations

from typing import Any

from warren.core.parse.addresses import prefix
from warren.core.parse.places import exit_host, host_name, place
from warren.core.parse.reading import Key, Reading, each, entry, later, show, word
from warren.core.parse.tree import Node, Scalar, Table
from warren.model.network import IfDown, Nat, PlaceKind, Portal
from warren.model.prefix import FAMILIES, Family, Prefix

FAMILY_WORDS: dict[str, tuple[Family, ...]] = {
    Family.IPV4.word: (Family.IPV4,),
    Family.IPV6.word: (Family.IPV6,),
    "both": FAMILIES,
}
# Lists of addresses that later versions know by name.
NAMED_LISTS = ("country", "list", "asn", "domain")


def exception(node: Node, what: str, reading: Reading) -> Prefix | None:
    """Read a prefix that keeps leaving directly; countries and other lists are for a later version."""
    named = node.text.partition(":")[0] if isinstance(node, Scalar) else ""
    if isinstance(node, Table) and node.pairs:
        named = node.pairs[0][0].text
    if named in NAMED_LISTS:
        written = show(node.text) if isinstance(node, Scalar) else f"`{named}:`"
        later(node.where, f"exceptions such as {written}", reading)
        return None
    return prefix(node, what, reading)


def if_down(node: Node, what: str, reading: Reading) -> IfDown | None:
    """Read what becomes of the traffic while the tunnel is down; `direct` needs the agent."""
    chosen = word({value.value: value for value in IfDown})(node, what, reading)
    if chosen is IfDown.DIRECT:
        says = "`if_down: direct` needs warren's agent, which this version does not have yet."
        reading.note("W015", node.where, says, "Write `if_down: block`, or leave it out: that is the default.")
        return None
    return chosen


PORTAL_KEYS: dict[str, Key[Any]] = {
    "from": Key(place, required=True),
    "exit": Key(exit_host, required=True),
    "via": Key(each(host_name, single=True)),
    "except": Key(each(exception, single=True)),
    "family": Key(word(FAMILY_WORDS)),
    "nat": Key(word({value.value: value for value in Nat})),
    "if_down": Key(if_down),
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
    return Portal(
        source=source,
        exit=values["exit"],
        via=values.get("via", ()),
        exceptions=values.get("except", ()),
        families=values.get("family", FAMILIES),
        nat=values.get("nat", Nat.AUTO),
        at=node.where,
    )


def _written(node: Node, key: str) -> int:
    """Count the entries of a list as written, to see whether one of them could not be read."""
    value = node.by_key.get(key) if isinstance(node, Table) else None
    if value is None or isinstance(value, Table):
        return 0
    return int(not value.empty) if isinstance(value, Scalar) else len(value.items)


portals = each(portal)
