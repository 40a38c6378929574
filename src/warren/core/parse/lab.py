"""`lab:`: where each host stands when the network is tried on one machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from warren.core.parse.names import check_name
from warren.core.parse.places import INTERNET
from warren.core.parse.reading import Key, Reading, each, entry, flag, integer, named, scalar, show, table, word
from warren.core.parse.tree import Node, Scalar
from warren.model.lab import Lab, LabLink, Mapping, NatBox, Ports

T = TypeVar("T")
DAY = 86_400

_DEPENDENCE = {value.value: value for value in Mapping}

NAT_KEYS: dict[str, Key[Any]] = {
    "mapping": Key(word(_DEPENDENCE)),
    "filtering": Key(word(_DEPENDENCE)),
    "ports": Key(word({value.value: value for value in Ports})),
    "timeout": Key(integer(1, DAY)),
    "hairpin": Key(flag),
}


def nats(node: Node, what: str, reading: Reading) -> tuple[NatBox, ...] | None:
    """Read the NAT boxes, by name."""
    got = table(node, what, reading, "Write `{cafe: {mapping: endpoint-independent}}`.")
    if got is None:
        return None
    found = []
    for key, value in named(got, reading):
        reading.nats[key.text] = key.where
        if check_name(key, "A NAT", reading) and reading.knows(key.text):
            says = f"A NAT is called {show(key.text)}, but so is a {'host' if key.text in reading.hosts else 'device'}."
            reading.note("W020", key.where, says, "Choose another name.")
        values = entry(value, f"the NAT {show(key.text)}", reading, NAT_KEYS) or {}
        found.append(NatBox(name=key.text, at=key.where, **values))
    return tuple(found)


def _by_host(node: Node, what: str, reading: Reading, read: Callable[[Scalar, Node], T | None]) -> tuple[T, ...] | None:
    """Read a mapping whose keys are hosts or devices of the file."""
    got = table(node, what, reading, "Write `{HOST: …}`.")
    if got is None:
        return None
    found = []
    for key, value in named(got, reading):
        if reading.knows(key.text):
            one = read(key, value)
            if one is not None:
                found.append(one)
        else:
            says = f"There is no host called {show(key.text)}."
            reading.note("W061", key.where, says, reading.meant(key.text, reading.machines))
    return tuple(found)


def _nat_name(node: Node, what: str, reading: Reading) -> str | None:
    name = scalar(node, what, reading, "cafe")
    if name is None:
        return None
    if name.text == INTERNET or name.text in reading.nats:
        return name.text
    says = f"The lab has no NAT called {show(name.text)}."
    otherwise = "" if reading.nats else "Add it under `nats:`."
    reading.note("W090", name.where, says, reading.meant(name.text, [*reading.nats, INTERNET], otherwise))
    return None


_nats_in_front = each(_nat_name, single=True)


def place(node: Node, what: str, reading: Reading) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    """Read where hosts stand: on the internet, or behind NATs, the outermost first."""

    def read(key: Scalar, value: Node) -> tuple[str, tuple[str, ...]] | None:
        names = _nats_in_front(value, f"the place of `{key.text}`", reading)
        if names is None:
            return None
        if INTERNET in names and len(names) > 1:
            says = f"`{key.text}` stands on the internet and behind a NAT at once."
            reading.note("W016", value.where, says, "List only the NATs, the outermost first.")
        return key.text, tuple(name for name in names if name != INTERNET)

    return _by_host(node, what, reading, read)


LINK_KEYS: dict[str, Key[Any]] = {
    "mtu": Key(integer(576, 65535)),
    "loss": Key(integer(0, 100)),
    "ipv6": Key(flag),
}


def links(node: Node, what: str, reading: Reading) -> tuple[LabLink, ...] | None:
    """Read what the uplinks are like."""

    def read(key: Scalar, value: Node) -> LabLink | None:
        values = entry(value, f"the link of `{key.text}`", reading, LINK_KEYS)
        return None if values is None else LabLink(host=key.text, **values)

    return _by_host(node, what, reading, read)


LAB_KEYS: dict[str, Key[Any]] = {
    "nats": Key(nats),
    "place": Key(place),
    "links": Key(links),
    "seed": Key(integer(0, 2**31 - 1)),
}


def lab(node: Node, what: str, reading: Reading) -> Lab | None:
    """Read the whole of `lab:`."""
    values = entry(node, "`lab`", reading, LAB_KEYS)
    return None if values is None else Lab(**values)
