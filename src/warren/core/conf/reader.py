"""What reads values out of a conf's sections and collects what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from warren.core.conf.lines import INTERFACE_KEYS, PEER_KEYS, Line
from warren.core.conf.values import Lookup
from warren.model.diagnostic import Diagnostic, Where
from warren.model.key import decode_key

_T = TypeVar("_T")
_SHOWN = 60  # characters of a wrong value that a finding repeats
_OURS = ("why", "remedy")  # words that are no part of the file


@dataclass(slots=True)
class Section:
    """The lines of one section by key, in lower case."""

    at: Line
    lines: dict[str, list[Line]] = field(default_factory=dict)

    def last(self, key: str) -> Line | None:
        """Give the line of a key that counts: the last one that has a value."""
        return next((line for line in reversed(self.lines.get(key, ())) if line.value), None)


class Reader:
    """One reading of one conf; `found` grows in the order in which values are read."""

    def __init__(self, file: str, path: str, services: Lookup, tables: Lookup) -> None:
        self.file = file
        self.path = path
        self.services = services
        self.tables = tables
        self.found: list[Diagnostic] = []

    def say(self, code: str, where: Where, **words: object) -> None:
        """Note a finding; a file's own words are shortened and can do nothing to a terminal."""
        from warren.core.conf.diagnostics import finding  # most confs have nothing to find, and start sooner

        shown = {name: word if name in _OURS else _shown(word) for name, word in words.items()}
        self.found.append(finding(code, where, **shown))

    def one(self, section: Section, key: str, read: Callable[[str], _T], default: _T, code: str, **words: object) -> _T:
        """Read a key that counts once; what may be wrong with it is `code`."""
        line = section.last(key)
        if line is None:
            return default
        try:
            return read("".join(line.value.split()))
        except ValueError as error:
            self.say(code, line.where(self.file), value=line.value, why=error, **words)
            return default

    def key(self, section: Section, key: str) -> bytes | None:
        """Check a key, public or secret; its 32 bytes, or None if it is missing or wrong."""
        line = section.last(key)
        if line is None:
            return None
        try:
            return decode_key("".join(line.value.split()))
        except ValueError as error:
            name = (INTERFACE_KEYS | PEER_KEYS)[key]
            self.say("W710", line.where(self.file), key=name, why=error, remedy=_WHERE_KEYS_COME_FROM[key])
            return None


_WHERE_KEYS_COME_FROM = {
    "privatekey": "Paste all 44 characters that `wg genkey` printed.",
    "presharedkey": "Paste all 44 characters that `wg genpsk` printed.",
    "publickey": "Paste all 44 characters: the peer's own `wg show` prints them as its public key.",
}


def words_of(line: Line, file: str, separators: str = ", \t") -> Iterator[tuple[str, Callable[[], Where]]]:
    """Split a value; each word with what makes its place, which only findings need."""
    start = 0
    value = line.value
    for separator in separators[1:]:
        value = value.replace(separator, separators[0])
    for piece in value.split(separators[0]):
        word = piece.strip()
        yield word, _Place(line, file, start + len(piece) - len(piece.lstrip()), len(word))
        start += len(piece) + 1


@dataclass(frozen=True, slots=True)
class _Place:
    line: Line
    file: str
    offset: int
    length: int

    def __call__(self) -> Where:
        return self.line.where(self.file, self.offset, max(1, self.length))


def _shown(word: object) -> object:
    if not isinstance(word, str):
        return word
    plain = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "\ufffd" for c in word[: _SHOWN + 1])
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"
