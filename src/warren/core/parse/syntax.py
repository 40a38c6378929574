"""What breaks the grammar of YAML, said in words that help.

The parsers' own words (libyaml's, and those of its twin in Python) speak of tokens and productions; a table
turns them into what a person did and can do.
"""

from __future__ import annotations

import re

import yaml

from warren.core.diagnostics import finding
from warren.core.source import Source
from warren.model.diagnostic import Diagnostic, Where

# Parts of the parsers' words; reason and remedy in ours.
_SYNTAX: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("mapping values are not allowed",),
        "A second `:` makes no sense on this line.",
        "Put the value in quotes, or begin a new line with the right indentation.",
    ),
    (
        ("unexpected end of stream", "unexpected end of", "found unexpected document indicator"),
        "A quote is opened and never closed.",
        "Close the quote.",
    ),
    (
        ("expected ',' or ']'",),
        "A list that begins with `[` is not continued or closed here.",
        "Put a comma between its values and `]` at its end.",
    ),
    (
        ("expected ',' or '}'",),
        "A mapping that begins with `{` is not continued or closed here.",
        "Put a comma between its entries and `}` at its end.",
    ),
    (
        ("found unexpected ':'",),
        "A colon stands where it would end a key.",
        "Put an address that ends in `::` in quotes.",
    ),
    (
        ("expected key", "expected <block end>", "could not find expected ':'"),
        "This line does not fit what stands above it.",
        "Line it up with its neighbours; after a key comes a colon and a space.",
    ),
    (
        ("block sequence entries are not allowed", "expected '-' indicator", "sequence entries are not allowed"),
        "A list entry (`- `) cannot stand here.",
        "Begin a new line for it, lined up with the other entries.",
    ),
    (
        ("unknown escape character", "escape"),
        "A backslash in double quotes begins an escape that YAML does not know.",
        "Use single quotes, or write the backslash twice.",
    ),
    (("incompatible YAML document", "YAML version", "directive"), "This directive is not understood.", "Delete it."),
)


_CONFLICT = re.compile(r"^(<{7}|>{7}|={7})(?= |$)", re.MULTILINE)


def syntax(source: Source, error: yaml.MarkedYAMLError) -> Diagnostic:
    """Turn a parser's error into a finding."""
    mark: yaml.Mark | None = error.problem_mark or error.context_mark
    problem = error.problem or "it cannot be read"
    where = _place(source, mark)
    at = source.lines[where.line - 1][where.column - 1 : where.column]
    conflict = _CONFLICT.search(source.text)
    if conflict:
        where = source.where(conflict.start(), len(conflict.group()))
        return finding("W003", where, "A merge conflict of git is left in the file.", "Settle it, then check again.")
    says, hint = f"This is not YAML: {problem}.", "See what the line above it opens, and how the lines are indented."
    if at == "\t":
        says, hint = "A tab is used to indent, which YAML forbids.", "Use spaces."
    elif "cannot start any token" in problem:
        says, hint = f"A value cannot begin with `{at}`.", "Put it in quotes."
    else:
        for parts, words, remedy in _SYNTAX:
            if any(part in problem for part in parts):
                says, hint = words, remedy
                break
    opened: yaml.Mark | None = error.context_mark
    if opened is not None and error.problem_mark is not None and opened.line != error.problem_mark.line:
        hint += f" It began in line {opened.line + 1}."
    return finding("W003", where, says, hint)


def _place(source: Source, mark: yaml.Mark | None) -> Where:
    """Give a mark's place; the end of the text is shown at the last line that has something."""
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = source.lines
    if line >= len(lines) or (line == len(lines) - 1 and not lines[line].strip()):
        line = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].strip()), 0)
        column = len(lines[line].rstrip())
    return Where(source.file, line + 1, column + 1)
