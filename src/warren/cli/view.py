"""What people see: findings with their excerpts, tables, and colours where there is a terminal that wants them.

Without a terminal (a pipe, an editor, CI) a finding is exactly `file:line:col: error[W012]: says` and a hint line, and
nothing is coloured. NO_COLOR (no-color.org) turns colours off, FORCE_COLOR on.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from warren.model.diagnostic import Diagnostic, Severity

if TYPE_CHECKING:
    from warren.core.source import Source

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_RUNES = {"+": "green", "~": "yellow", "-": "red", "!": "red", "?": "yellow"}
_RUNE_LINE = re.compile(r"^( +)([-+~!?]) ")
_HINT = "  hint: "


def wants_colour(stream: TextIO) -> bool:
    """Say whether to colour what is written to a stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def paint(text: str, *styles: str, on: TextIO | None = None) -> str:
    """Colour a text for a stream (standard output): styles are bold, dim and colours."""
    if not (text and wants_colour(on or sys.stdout)):
        return text
    return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


def show(text: str, on: TextIO | None = None) -> None:
    """Write lines to a stream (standard output); what is painted stays painted."""
    stream = on or sys.stdout
    click.echo(text, file=stream, color=wants_colour(stream))


def show_findings(found: Iterable[Diagnostic], sources: Sequence[Source] = (), on: TextIO | None = None) -> None:
    """Show findings, with the lines of `sources` they point into where a person looks on."""
    stream = on or sys.stdout
    for one in found:
        excerpt = next(filter(None, (source.excerpt(one.where) for source in sources)), "") if stream.isatty() else ""
        show(_finding(one, excerpt, stream), stream)


def _finding(one: Diagnostic, excerpt: str, on: TextIO) -> str:
    colour = "red" if one.severity is Severity.ERROR else "yellow"
    label = paint(f"{one.severity.value}[{one.code}]", "bold", colour, on=on)
    lines = [f"{paint(str(one.where), 'bold', on=on)}: {label}: {one.says}"]
    if excerpt:
        line, _, caret = excerpt.partition("\n")
        lines += [f"  {line}", f"  {paint(caret, colour, on=on)}".rstrip()]
    if one.hint:
        lines.append(paint(_HINT, "cyan", on=on) + one.hint)
    return "\n".join(lines)


def runes(text: str, on: TextIO | None = None) -> str:
    """Colour a plan's text: its runes (`+ ~ - ! ?`) and the headings, which begin at the margin."""
    if not wants_colour(on or sys.stdout):
        return text
    return "\n".join(_rune_line(line, on) for line in text.split("\n"))


def _rune_line(line: str, on: TextIO | None) -> str:
    found = _RUNE_LINE.match(line)
    if found:
        return found[1] + paint(found[2], "bold", _RUNES[found[2]], on=on) + line[found.end(2) :]
    return paint(line, "bold", on=on) if line and not line.startswith(" ") else line


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Lay texts out in columns, two spaces apart; no line ends in spaces."""
    laid = [list(map(str, row)) for row in ([head] if head else [])] + [list(map(str, row)) for row in rows]
    if not laid:
        return ""
    widths = [max(len(row[at]) for row in laid if at < len(row)) for at in range(max(map(len, laid)))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)).rstrip() for row in laid
    )


def count(number: int, one: str, many: str = "") -> str:
    """Write a number and its noun: `1 host`, `1,000 hosts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
