"""A file's text as people see it: lines, columns, and the excerpt that a caret points into.

Decoding happens here too, because a byte that is no UTF-8 and a control character are findings with a place
like any other. Lines end where YAML 1.1 says they do (its section 4.2), so that places agree with the parser's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from warren.model.diagnostic import Where

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EXCERPT_WIDTH = 160  # of a long line, what is shown around the caret

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# What YAML 1.1 (section 4.1) does not call printable, and the byte order mark within a text.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# 32 bytes in base64, or nearly: some characters may have been lost.
_KEY_LONGEST = 46
_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,44}={0,2}(?![A-Za-z0-9+/=])")


@dataclass(frozen=True)
class Source:
    """A file's name and text."""

    file: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines, without their breaks."""
        return tuple(_BREAK.split(self.text))

    def where(self, index: int, length: int = 1) -> Where:
        """Name the place of a character by its index in the text."""
        line, start = 1, 0
        for found in _BREAK.finditer(self.text, 0, index):
            if found.end() <= index:
                line, start = line + 1, found.end()
        return Where(self.file, line, index - start + 1, length)

    def excerpt(self, where: Where) -> str:
        """Show the line of a place with a caret below it, two lines of text; empty where there is no such line.

        What could be a key is shown as `·`, and so is what would disturb a terminal; a long line is cut.
        """
        if not (where.file == self.file and 0 < where.line <= len(self.lines)):
            return ""
        line = self.lines[where.line - 1]
        at = min(max(where.column - 1, 0), len(line))
        first = max(0, min(at - EXCERPT_WIDTH // 2, len(line) - EXCERPT_WIDTH))
        margin_left = min(first, _KEY_LONGEST)
        shown = without_keys(line[first - margin_left : first + EXCERPT_WIDTH + _KEY_LONGEST])[margin_left:][
            :EXCERPT_WIDTH
        ]
        head, tail = ("…" if first else ""), ("…" if first + EXCERPT_WIDTH < len(line) else "")
        before = head + visible(shown[: at - first])
        length = max(1, min(where.length, len(shown) - (at - first)))
        number = str(where.line)
        margin = " " * len(number)
        text = f"{number} | {before}{visible(shown[at - first :])}{tail}"
        return f"{text}\n{margin} | {' ' * _cells(before)}{'^' * max(1, _cells(shown[at - first :][:length]))}"


def without_keys(text: str) -> str:
    """Replace what could be a key by as many `·`, all but its beginning: private ones are pasted in wrong places."""
    return _KEY.sub(lambda found: found.group()[:4] + "·" * (len(found.group()) - 4), text)


def visible(text: str) -> str:
    """Replace what would move a terminal's cursor or hide text by `·` (a tab by a space)."""
    return "".join(
        " " if char == "\t" else char if char.isprintable() and unicodedata.category(char) != "Cf" else "·"
        for char in text
    )


def _cells(text: str) -> int:
    """Count the terminal cells a text takes: two for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


class BadText(Exception):
    """The bytes are no text that YAML allows: `code` is the finding's, `source` the text as far as readable."""

    def __init__(self, code: str, source: Source, where: Where, what: str) -> None:
        super().__init__(what)
        self.code, self.source, self.where, self.what = code, source, where, what


def decode(data: bytes, file: str) -> Source:
    """Decode a file's bytes; BadText names the first byte or character that cannot stand in it."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    try:
        source = Source(file, data.decode())
    except UnicodeDecodeError as error:
        source = Source(file, data.decode(errors="replace"))
        where = source.where(len(data[: error.start].decode()))
        raise BadText("W001", source, where, f"0x{data[error.start]:02x}") from error
    found = _FORBIDDEN.search(source.text)
    if found:
        raise BadText("W002", source, source.where(found.start()), f"U+{ord(found.group()):04X}")
    return source


def decode_leniently(data: bytes, file: str) -> Source:
    """Decode what can be decoded, for excerpts of a file whose faults are found elsewhere."""
    try:
        return decode(data, file)
    except BadText as bad:
        return bad.source
