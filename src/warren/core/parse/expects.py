"""`expect:`: promises about packets, and what has to be broken first."""

from __future__ import annotations

import re
from typing import Any

from warren.core.parse.addresses import parse_address
from warren.core.parse.endpoints import is_dns_name
from warren.core.parse.places import host_name, known_host, place, place_of
from warren.core.parse.portals import FAMILY_WORDS
from warren.core.parse.reading import Key, Reading, each, entry, integer, scalar, show, word
from warren.core.parse.tree import Node, Scalar, Table
from warren.model.expect import DNS, Down, Expect, Resolves, Target
from warren.model.place import Place

_SERVICE = re.compile(r"(tcp|udp)/(\d{1,5})|icmp")


def target(node: Node, what: str, reading: Reading) -> Target | None:
    """Read `PLACE | address | name`, and perhaps `proto/port`."""
    text = scalar(node, what, reading, "1.1.1.1 tcp/443")
    if text is None:
        return None
    written, *service = text.text.split(maxsplit=1)
    proto, port = "icmp", 0
    if service:
        found = _SERVICE.fullmatch(service[0].strip())
        if not found or (found.group(2) and not 0 < int(found.group(2)) < 65536):
            where = text.part(text.text.rindex(service[0]), len(service[0]))
            says = f"{show(service[0])} is no protocol and port."
            reading.note("W082", where, says, "Write `tcp/PORT`, `udp/PORT`, or nothing for a ping.")
            return None
        proto, port = (found.group(1), int(found.group(2))) if found.group(1) else ("icmp", 0)
    address = parse_address(written)
    if address is not None:
        return Target(address=address, proto=proto, port=port)
    if re.fullmatch(r"\[.*\]:\d+|[^:]+:\d+", written):
        host, _, number = written.rpartition(":")
        says = f"{show(written)} is written with a colon before the port."
        reading.note("W082", text.where, says, f"Write `{host.strip('[]')[:64]} tcp/{number[:5]}`.")
        return None
    if "." in written and not reading.knows(written.partition(".")[0]) and is_dns_name(written):
        return Target(name=written.lower().removesuffix("."), proto=proto, port=port)
    there = place_of(text, written, reading)
    return None if there is None else Target(place=there, proto=proto, port=port)


def arrives(node: Node, what: str, reading: Reading) -> bool | Place | None:
    """Read `true` or a place."""
    if _is_word(node, "false"):
        says = "`arrives: false` does not say what should happen instead."
        reading.note("W016", node.where, says, "Write `blocked: true`.")
        return None
    return True if _is_word(node, "true") else place(node, what, reading)


def blocked(node: Node, what: str, reading: Reading) -> bool | None:
    """Read `true`."""
    if _is_word(node, "true"):
        return True
    reading.note("W016", node.where, f"{what} can only be true.", "Write `blocked: true`, or `arrives: true` instead.")
    return None


def source(node: Node, what: str, reading: Reading) -> str | None:
    """Read `kept` or the host whose address the packet comes out with."""
    if _is_word(node, "kept"):
        return "kept"
    if isinstance(node, Scalar) and node.text not in reading.hosts:
        hint = reading.nearest(node.text, ["kept", *reading.hosts])
        if hint == "Did you mean `kept`?":
            reading.note("W016", node.where, f"{what} cannot be {show(node.text)}.", hint)
            return None
    return host_name(node, what, reading)


def _is_word(node: Node, wanted: str) -> bool:
    return isinstance(node, Scalar) and node.text == wanted


def down(node: Node, what: str, reading: Reading) -> Down | None:
    """Read a host, or a tunnel: two hosts with a hyphen between (names may have hyphens of their own)."""
    text = scalar(node, what, reading, "paris")
    if text is None:
        return None
    name = text.text
    if name in reading.hosts:
        return Down(host=name)
    splits = [(name[:at], name[at + 1 :]) for at, char in enumerate(name[:80]) if char == "-"]
    pairs = [(one, other) for one, other in splits if one in reading.hosts and other in reading.hosts and one != other]
    if len(pairs) == 1:
        return Down(tunnel=pairs[0])
    if pairs:
        ways = " or ".join(f"{one} to {other}" for one, other in pairs)
        says, hint = f"{show(name)} can be read in two ways: {ways}.", "Rename one of the hosts."
    elif not splits:
        return Down(host=name) if known_host(text, name, reading) else None
    else:
        says = f"{show(name)} is neither a host nor a tunnel between two hosts."
        one, other = next((pair for pair in splits if pair[0] in reading.hosts or pair[1] in reading.hosts), splits[0])
        missing = other if one in reading.hosts else one
        hint = reading.meant(missing, reading.hosts)
    reading.note("W083", text.where, says, hint)
    return None


WHEN_KEYS: dict[str, Key[Any]] = {"down": Key(each(down, single=True), required=True)}


def when(node: Node, what: str, reading: Reading) -> tuple[Down, ...] | None:
    """Read what has to be broken first."""
    values = entry(node, "`when`", reading, WHEN_KEYS)
    return None if values is None else values.get("down")


def _asked(node: Node, what: str, reading: Reading) -> str | None:
    """Read a name that is to be resolved."""
    text = scalar(node, what, reading, "example.org")
    if text is None:
        return None
    name = text.text.lower().removesuffix(".")
    if is_dns_name(name) and "." in name and len(name) < 230:
        return name
    says = f"{what} cannot be {show(text.text)}, which is no name to ask a resolver for."
    reading.note("W016", node.where, says, "Write for instance `example.org`.")
    return None


RESOLVES_KEYS: dict[str, Key[Any]] = {
    "name": Key(_asked, required=True),
    "by": Key(each(host_name, single=True)),
}


def resolves(node: Node, what: str, reading: Reading) -> Resolves | None:
    """Read which name is asked for, and by whose uplinks its questions leave."""
    values = entry(node, "`resolves`", reading, RESOLVES_KEYS)
    if values is None or "name" not in values:
        return None
    return Resolves(values["name"], tuple(dict.fromkeys(values.get("by", ()))))


EXPECT_KEYS: dict[str, Key[Any]] = {
    "from": Key(place, required=True),
    "to": Key(target),
    "exit": Key(host_name),
    "arrives": Key(arrives),
    "blocked": Key(blocked),
    "source": Key(source),
    "path": Key(each(host_name)),
    "mtu": Key(integer(68, 65535)),
    "family": Key(word(FAMILY_WORDS)),
    "when": Key(when),
    "resolves": Key(resolves),
}


def expect(node: Node, what: str, reading: Reading) -> Expect | None:
    """Read one expectation; None if any part of it could not be read."""
    before = len(reading.found)
    values = entry(node, "an expectation", reading, EXPECT_KEYS)
    written = node.by_key.keys() if isinstance(node, Table) else set[str]()
    if isinstance(node, Table) and not {"to", "resolves"} & written:
        reading.note("W011", node.where, "An expectation has no `to`.", "Add `to: …`, or `resolves: {name: …, by: …}`.")
    # A place at a host that is broken itself is not noted again, but it is not there either.
    if values is None or len(reading.found) > before or any(key not in values for key in written):
        return None
    if values.get("resolves") is not None:
        return _of_a_name(node, values, reading)
    return Expect(
        source_place=values["from"],
        target=values["to"],
        exit=values.get("exit", ""),
        arrives=values.get("arrives"),
        blocked=values.get("blocked", False),
        source=values.get("source", ""),
        path=values.get("path", ()),
        mtu=values.get("mtu"),
        families=values.get("family"),
        down=values.get("when", ()),
        at=node.where,
    )


def _of_a_name(node: Node, values: dict[str, Any], reading: Reading) -> Expect | None:
    """Make an expectation about a name; nothing that is said of packets goes with it."""
    for key in node.pairs if isinstance(node, Table) else ():
        if key[0].text not in ("from", "resolves", "blocked", "when"):
            says = f"`{key[0].text}` says something of a packet, and `resolves` is about a name."
            reading.note("W203", key[0].where, says, "Write an expectation of its own for it.")
            return None
    asked: Resolves = values["resolves"]
    if bool(asked.by) is values.get("blocked", False):
        says = "A name is asked for by some host's uplink, or blocked; this is " + ("both." if asked.by else "neither.")
        reading.note("W203", node.where, says, "Write `resolves: {name: …, by: HOST}`, or `blocked: true` beside it.")
        return None
    return Expect(
        source_place=values["from"],
        target=Target(name=asked.name, proto=DNS),
        blocked=values.get("blocked", False),
        down=values.get("when", ()),
        at=node.where,
        resolves=asked,
    )


expects = each(expect)
