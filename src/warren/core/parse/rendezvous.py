"""`rendezvous:`: the servers at which hosts find each other that nobody can dial."""

from __future__ import annotations

import re
from typing import Any

from warren.core.parse.endpoints import endpoint
from warren.core.parse.hosts import public_key
from warren.core.parse.names import secret_path
from warren.core.parse.reading import Key, Reading, each, entry, scalar, show
from warren.core.parse.tree import Node
from warren.model.key import PublicKey
from warren.model.rendezvous import PRIVATE_KEY, RELAY, Server

_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
NONE = (0, 0)  # `relay: false`: a value of its own, since None stands for what could not be read
EXAMPLE = f"{RELAY[0]}-{RELAY[1]}"


def relay_ports(node: Node, what: str, reading: Reading) -> tuple[int, int] | None:
    """Read a range of ports, or `false`."""
    text = scalar(node, what, reading, EXAMPLE)
    if text is None:
        return None
    if text.plain and text.text == "false":
        return NONE
    found = _RANGE.fullmatch(text.text)
    if found is None:
        says = f"{what} must be a range of UDP ports, but this is {show(text.text)}."
        reading.note("W012", node.where, says, f"Write for instance `{EXAMPLE}`, or `false` to lend no relays.")
        return None
    first, last = int(found[1]), int(found[2])
    if not 1024 <= first < last <= 65535:
        says = f"{what} cannot be {show(text.text)}: a pair of hosts needs two ports, from 1024 to 65535."
        reading.note("W016", node.where, says, f"Write for instance `{EXAMPLE}`, or `false` to lend no relays.")
        return None
    return first, last


SERVER_KEYS: dict[str, Key[Any]] = {
    "address": Key(endpoint, required=True),
    "key": Key(public_key),
    "relay": Key(relay_ports),
    "private_key": Key(secret_path),
}


def server(node: Node, what: str, reading: Reading) -> Server | None:
    """Read one server; None if anything of it could not be read."""
    before = len(reading.found)
    values = entry(node, "a server", reading, SERVER_KEYS)
    if values is None or len(reading.found) > before:
        return None
    relay = values.get("relay", RELAY)
    return Server(
        address=values["address"],
        key=values.get("key", PublicKey("")),
        relay=None if relay == NONE else relay,
        private_key=values.get("private_key", PRIVATE_KEY),
        at=node.where,
    )


servers = each(server)
