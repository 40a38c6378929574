"""`publish:`: which ports of a gateway's public address lead to which machine."""

from __future__ import annotations

import re
from typing import Any

from warren.core.parse.places import host_name, place
from warren.core.parse.reading import Key, Reading, each, entry, nothing, scalar, show, word
from warren.core.parse.tree import Node, Scalar, Sequence, Table
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Prefix
from warren.model.publish import PortRange, Publish, SourceKept

EVERYTHING = "all"
ECHO = PortRange("icmp", 0, 0)
_FORM = "Write `tcp/25565`, `udp/8000-8100`, `tcp/2222→22`, or `icmp` for pings."
_NUMBER = r"\d{1,5}"
_PORTS = re.compile(rf"(tcp|udp)/({_NUMBER})(?:-({_NUMBER}))?(?:\s*(?:→|->)\s*({_NUMBER})(?:-({_NUMBER}))?)?")


def port_range(node: Node, what: str, reading: Reading) -> PortRange | None:
    """Read ports of one protocol, and perhaps where they lead."""
    text = scalar(node, what, reading, "tcp/25565")
    if text is None:
        return None
    if text.text == ECHO.proto:
        return ECHO
    found = _PORTS.fullmatch(text.text)
    if found is None:
        reading.note("W118", node.where, f"{show(text.text)} names no ports.", _FORM)
        return None
    proto = found[1]
    first, last = int(found[2]), int(found[3] or found[2])
    to = (int(found[4]), int(found[5] or found[4])) if found[4] else None
    for low, high in [(first, last), *([to] if to else [])]:
        if not 0 < low < 65536 or not 0 < high < 65536:
            says = f"{show(text.text)} has a port that does not exist."
            reading.note("W118", node.where, says, "Ports are numbers from 1 to 65535.")
            return None
        if high < low:
            reading.note("W118", node.where, f"{show(text.text)} runs backwards.", f"Write `{proto}/{high}-{low}`.")
            return None
    if to is not None and to[0] != to[1] and to[1] - to[0] != last - first:
        says = f"{show(text.text)} leads {last - first + 1} ports to {to[1] - to[0] + 1}."
        reading.note("W118", node.where, says, "Name as many ports behind the arrow as before it, or a single one.")
        return None
    return PortRange(proto, first, last, None if to == (first, last) else to)


def ports(node: Node, what: str, reading: Reading) -> tuple[PortRange, ...] | str | None:
    """Read `all`, or a list of ports."""
    if isinstance(node, Scalar) and node.text == EVERYTHING:
        return EVERYTHING
    found = each(port_range, single=True)(node, what, reading)
    if nothing(node) or (isinstance(node, Sequence) and not node.items):
        reading.note("W118", node.where, "Nothing is published: the list of ports is empty.", f"Write `all`. {_FORM}")
        return None
    return found


def kept_port(node: Node, what: str, reading: Reading) -> PortRange | None:
    """Read ports that stay at the gateway: they lead nowhere."""
    found = port_range(node, what, reading)
    if found is not None and found.to is not None:
        says = f"`{found}` stays at the gateway, so it leads nowhere."
        reading.note("W118", node.where, says, f"Write `{str(found).partition('→')[0]}`.")
        return None
    return found


def machine(node: Node, what: str, reading: Reading) -> Place | None:
    """Read the place of one machine that has an address of its own."""
    found = place(node, what, reading)
    if found is None:
        return None
    if found.kind in (PlaceKind.HOST, PlaceKind.DEVICE) or _one_address(found.prefix):
        return found
    why = {
        PlaceKind.LAN: "a whole LAN",
        PlaceKind.PREFIX: "a whole network",
        PlaceKind.MAC: "a machine whose address the file does not say",
        PlaceKind.INTERNET: "no machine of the network",
    }[found.kind]
    says = f"What is published leads to one machine, and `{found}` is {why}."
    reading.note("W114", node.where, says, "Write `HOST`, or the machine's address: `HOST.ADDRESS`.")
    return None


def _one_address(prefix: Prefix | None) -> bool:
    return prefix is not None and prefix.num_addresses == 1


PUBLISH_KEYS: dict[str, Key[Any]] = {
    "at": Key(host_name, required=True),
    "to": Key(machine, required=True),
    "ports": Key(ports, required=True),
    "except": Key(each(kept_port, single=True)),
    "source": Key(word({value.value: value for value in SourceKept})),
}


def publish(node: Node, what: str, reading: Reading) -> Publish | None:
    """Read one publish; None if it lacks an end or its ports, or one of its values could not be read."""
    before = len(reading.found)
    values = entry(node, "a publish", reading, PUBLISH_KEYS)
    written = node.by_key.keys() if isinstance(node, Table) else ()
    if values is None or any(key not in values for key in ("at", "to", "ports")):
        return None
    if len(reading.found) > before and any(key in PUBLISH_KEYS and key not in values for key in written):
        return None
    return Publish(
        gateway=values["at"],
        to=values["to"],
        ports=None if values["ports"] == EVERYTHING else values["ports"],
        exceptions=values.get("except", ()),
        source=values.get("source", SourceKept.KEPT),
        at=node.where,
    )


publishes = each(publish)
