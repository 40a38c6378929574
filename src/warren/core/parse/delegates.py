"""`delegate:`: IPv6 prefixes of one host for the LANs of another."""

from __future__ import annotations

from typing import Any

from warren.core.parse.addresses import prefix
from warren.core.parse.names import check_device, device
from warren.core.parse.places import host_name
from warren.core.parse.reading import Key, Reading, each, entry, flag, integer, scalar
from warren.core.parse.tree import Node
from warren.model.delegate import Delegate


def _lan(node: Node, what: str, reading: Reading) -> str | None:
    """Read the name of a LAN; whether the host has it is for check to say."""
    name = scalar(node, what, reading, "br-lan")
    return name.text if name is not None and check_device(name.text, name.where, reading) else None


DELEGATE_KEYS: dict[str, Key[Any]] = {
    "prefix": Key(prefix),
    "follow": Key(device),
    "from": Key(host_name, required=True),
    "to": Key(host_name, required=True),
    "lans": Key(each(_lan, single=True), required=True),
    "proxy": Key(flag),
    "downstream": Key(integer(17, 64)),
}


def delegate(node: Node, what: str, reading: Reading) -> Delegate | None:
    """Read one delegate; None if anything of it could not be read."""
    before = len(reading.found)
    values = entry(node, "a delegate", reading, DELEGATE_KEYS)
    if values is None or len(reading.found) > before:
        return None
    made = Delegate(
        source=values["from"],
        to=values["to"],
        lans=values["lans"],
        prefix=values.get("prefix"),
        follow=values.get("follow", ""),
        proxy=values.get("proxy", False),
        downstream=values.get("downstream", 0),
        at=node.where,
    )
    reading.delegates.append(made)
    return made


delegates = each(delegate)
