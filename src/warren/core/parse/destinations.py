"""Where a portal's packets go: prefixes, countries and lists; and `lists:`, which says what each list is."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from warren.core.geo.registry import is_country
from warren.core.parse.addresses import prefix
from warren.core.parse.names import check_name
from warren.core.parse.reading import Key, Reader, Reading, each, later, named, scalar, show, table
from warren.core.parse.tree import Node, Scalar, Table
from warren.core.source import visible
from warren.model.named_set import ListFile, SetUse
from warren.model.prefix import Prefix

COUNTRY, LIST = "country", "list"
# Other ways to name destinations, which later versions know.
NAMED_LATER = ("asn", "domain")
LIST_LENGTH = 20  # its name becomes a part of an nft set's
LONGEST_PATH = 4096


def destination(node: Node, what: str, reading: Reading) -> Prefix | SetUse | None:
    """Read a prefix, `country:CN` or `list:NAME`."""
    if isinstance(node, Table) and node.pairs and node.pairs[0][0].text in (COUNTRY, LIST, *NAMED_LATER):
        kind, value = node.pairs[0]
        written = show(f"{kind.text}:{value.text}") if isinstance(value, Scalar) else f"`{kind.text}:NAME`"
        says = f"{what} is a mapping, because there is a space behind `{kind.text}:`."
        reading.note("W012", node.where, says, f"Write {written}.")
        return None
    kind_, colon, name = node.text.partition(":") if isinstance(node, Scalar) else ("", "", "")
    if colon and kind_ in NAMED_LATER:
        later(node.where, f"destinations such as {show(node.text) if isinstance(node, Scalar) else what}", reading)
        return None
    if colon and kind_ == COUNTRY:
        return _country(name, node, reading)
    if colon and kind_ == LIST:
        return _list(name, node, reading)
    return prefix(node, what, reading)


def _country(name: str, node: Node, reading: Reading) -> SetUse | None:
    if is_country(name):
        return SetUse(f"{COUNTRY}:{name}", at=node.where)
    upper = name.upper()
    hint = f"Write `{COUNTRY}:{upper}`." if is_country(upper) else "Write for instance `country:FR`."
    reading.note("W171", node.where, f"A country is two capital letters (ISO 3166), and {show(name)} is not.", hint)
    return None


def _list(name: str, node: Node, reading: Reading) -> SetUse | None:
    if name in reading.lists:
        return SetUse(f"{LIST}:{name}", at=node.where)
    hint = reading.nearest(name, reading.lists) or f"Add `lists: {{{_plain(name)}: FILE}}` to the network file."
    reading.note("W172", node.where, f"There is no list {show(name)} under `lists:`.", hint)
    return None


def _plain(name: str) -> str:
    return visible(name) if name and len(name) <= LIST_LENGTH else "NAME"


def lists(node: Node, what: str, reading: Reading) -> tuple[ListFile, ...] | None:
    """Read the lists that portals can name, each with its file."""
    got = table(node, what, reading, "Write `lists: {NAME: FILE}`.")
    if got is None:
        return None
    found = []
    for key, value in named(got, reading):
        reading.lists[key.text] = key.where  # known by name even if its file is not: one finding is enough
        path = _path(value, f"the list {show(key.text)}", reading)
        if check_name(key, "A list", reading, LIST_LENGTH) and path is not None:
            found.append(ListFile(key.text, path, key.where))
    return tuple(found)


def _path(node: Node, what: str, reading: Reading) -> str | None:
    text = scalar(node, what, reading, "lists/work.txt")
    if text is None:
        return None
    if "://" in text.text:
        says = f"A list is a file, and {show(text.text)} is an address of the web."
        reading.note("W015", node.where, says, "Fetch it to a file beside the network file, and name that.")
        return None
    if len(text.text) > LONGEST_PATH or "\0" in text.text or not PurePosixPath(text.text).name:
        says = f"{what} cannot be {show(text.text)}, which is no path of a file."
        reading.note("W016", node.where, says, "Write a path relative to the network file.")
        return None
    return text.text


destinations: Reader[tuple[Prefix | SetUse, ...]] = each(destination, single=True)
LISTS: Key[Any] = Key(lists)
