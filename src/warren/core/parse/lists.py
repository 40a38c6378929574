"""`lists:`, which says where each list comes from and what is in it: a file, or an address of the web with mirrors."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from warren.core.parse.names import check_name
from warren.core.parse.reading import Key, Reader, Reading, each, entry, named, scalar, show, table, word
from warren.core.parse.tree import Node, Table
from warren.model.named_set import ListKind, ListSource, is_address

NAME_LENGTH = 20  # a list's name becomes a part of an nft set's
LONGEST_PATH = 4096
LONGEST_ADDRESS = 2048
MOST_MIRRORS = 8
EXAMPLE = "lists/work.txt"


def lists(node: Node, what: str, reading: Reading) -> tuple[ListSource, ...] | None:
    """Read the lists that portals can name."""
    got = table(node, what, reading, "Write `lists: {NAME: FILE}`, or `{NAME: https://…}`.")
    if got is None:
        return None
    found = []
    for key, value in named(got, reading):
        reading.lists[key.text] = ListKind.PREFIXES  # known by name even if it cannot be read: one finding is enough
        read = _list(value, f"the list {show(key.text)}", reading)
        if read is None:
            continue
        sources, kind = read
        reading.lists[key.text] = kind
        if check_name(key, "A list", reading, NAME_LENGTH) and sources:
            found.append(ListSource(key.text, sources, kind, key.where))
    return tuple(found)


def _list(node: Node, what: str, reading: Reading) -> tuple[tuple[str, ...], ListKind] | None:
    if not isinstance(node, Table):
        source = _source(node, what, reading)
        return None if source is None else ((source,), ListKind.PREFIXES)
    values = entry(node, what, reading, LIST_KEYS)
    if values is None:
        return None
    return values.get("from", ()), values.get("kind", ListKind.PREFIXES)


def _sources(node: Node, what: str, reading: Reading) -> tuple[str, ...] | None:
    """Read where a list comes from; of several, all are addresses: a mirror of a file is no use."""
    sources = _each_source(node, what, reading)
    if not sources:
        return None
    if len(sources) > MOST_MIRRORS:
        says = f"{what} names {len(sources)} addresses, and warren asks no more than {MOST_MIRRORS} of them."
        reading.note("W178", node.where, says, "Keep those that answer best.")
        return None
    path = next((one for one in sources if not is_address(one)), None)
    if len(sources) > 1 and path is not None:
        says = f"{what} names {show(path)}, which is a file, beside other sources."
        reading.note("W178", node.where, says, "Several sources are HTTPS addresses of the same list. Name one file.")
        return None
    return tuple(dict.fromkeys(sources))


def _source(node: Node, what: str, reading: Reading) -> str | None:
    """Read a path or an HTTPS address."""
    text = scalar(node, what, reading, EXAMPLE)
    if text is None:
        return None
    if is_address(text.text):
        why, hint = _wrong_address(text.text)
        if why:
            shown = f"{show(text.text)}, which" if "@" not in text.text else "an address that"  # maybe a password's
            reading.note("W178", node.where, f"{what} comes from {shown} {why}.", hint)
            return None
        return text.text
    if len(text.text) > LONGEST_PATH or "\0" in text.text or not PurePosixPath(text.text).name:
        says = f"{what} cannot be {show(text.text)}, which is no path of a file."
        reading.note("W016", node.where, says, "Write a path relative to the network file.")
        return None
    return text.text


def _wrong_address(text: str) -> tuple[str, str]:
    """Say why an address cannot be a list's, and what helps; nothing if it can."""
    from urllib.parse import urlsplit  # few files name any

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no address of the web", "Correct it."
    if "@" in parts.netloc:
        return "has a name or a password in it", "The network file holds no secrets. Fetch the list to a file."
    if parts.scheme != "https":
        says = "is not HTTPS: anybody on the way could say where packets go"
        return says, "Write https://, or fetch it to a file beside the network file, and name that."
    if not host or not parts.path.strip("/") or len(text) > LONGEST_ADDRESS:
        return "names no file of a server", "Write for instance `https://example.net/lists/work.txt`."
    if not text.isascii() or any(char <= " " or char == "\x7f" for char in text):
        return "has characters that an address cannot have", "Write them as %XX."
    return "", ""


_each_source: Reader[tuple[str, ...]] = each(_source, single=True)
LIST_KEYS: dict[str, Key[Any]] = {
    "from": Key(_sources, required=True),
    "kind": Key(word({kind.value: kind for kind in ListKind})),
}
LISTS: Key[Any] = Key(lists)
