"""`knock:` of a host: its WireGuard ports answer only addresses that knocked."""

from __future__ import annotations

from typing import Any

from warren.core.parse.durations import duration
from warren.core.parse.reading import Key, Reading, each, entry, flag, integer, scalar, show
from warren.core.parse.tree import Node, Scalar, Sequence
from warren.model.knock import OPEN_FOR, TRACED, Knock

OPEN_LEAST, OPEN_MOST = 60, 30 * 86400  # seconds
MOST_WORDS, MOST_CHARS = 64, 4096  # of a command


def _word(node: Node, what: str, reading: Reading) -> str | None:
    text = scalar(node, what, reading, "/usr/local/bin/knocked")
    if text is not None and ("\0" in text.text or len(text.text) > MOST_CHARS):
        says = f"{what} cannot be {show(text.text)}: a word of a command has at most {MOST_CHARS:,} characters."
        reading.note("W016", node.where, says, "Put what is long into a file that the command reads.")
        return None
    return text.text if text is not None else None


def _command(node: Node, what: str, reading: Reading) -> tuple[str, ...] | None:
    """Read a command as a list of words: no shell reads it, and none has to be kept from reading too much."""
    words = each(_word, single=True)(node, what, reading)
    if words is None:
        return None
    written = len(node.items) if isinstance(node, Sequence) else 1
    if len(words) < written and not (isinstance(node, Scalar) and node.empty):
        return None  # what is wrong with one of them was said
    if not words or not words[0].startswith("/") or len(words) > MOST_WORDS:
        says = f"{what} must be a list of words, the first of them the absolute path of a program on that host."
        reading.note("W016", node.where, says, "Write for instance `[/usr/local/bin/knocked, --quiet]`.")
        return None
    return words


KNOCK_KEYS: dict[str, Key[Any]] = {
    "open_for": Key(duration((OPEN_LEAST, OPEN_MOST), "from a minute to 30 days", "Leave it out for an hour.")),
    "run": Key(_command),
    "traceroute": Key(integer(1, 65536 - TRACED)),
}


def knock(node: Node, what: str, reading: Reading) -> Knock | None:
    """Read whether and how a host is knocked at; `false` is as if it did not stand there."""
    if isinstance(node, Scalar):
        return Knock() if flag(node, what, reading) else None
    values = entry(node, what, reading, KNOCK_KEYS)
    if values is None:
        return None
    return Knock(values.get("open_for", OPEN_FOR), values.get("run", ()), values.get("traceroute"))
