"""Names: WireGuard has none, so people write them into comments, and every tool in a way of its own.

    [Peer]                          [Peer]                       ### Client phone          # BEGIN_PEER phone
    # Name = phone                  # friendly_name=phone        [Peer]                    [Peer]
    # (or `#Name: phone`)           # phone

What says that it is a name is believed first, wherever it stands in its section or right above its heading. A short
comment that touches the heading is believed where nothing else is known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from warren.core.conf.lines import INTERFACE, PEER, lines_of
from warren.core.parse.names import NAME_LENGTH, RESERVED

_WORD = r"(?:friendly[_-]?name|name|client|peer|host|hostname|device|user)"
_SAYS = re.compile(rf"#+\s*{_WORD}\s*[:=]\s*(?P<name>\S.*?)\s*#*$", re.IGNORECASE)
_TOOLS = re.compile(r"#+\s*(?:BEGIN_PEER|begin|Client)\s+(?P<name>[\w.@ -]+?)\s*#*$")
_PLAIN = re.compile(r"#+\s*(?P<name>[^\W\d_][\w.'’ -]{0,31}?)\s*#*$")
_ASIDE = re.compile(r"\s*\(.*\)$")  # `phone (3f2c…)`: an identity that only its tool knows
_MOST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Said:
    """What comments call somebody: `name` where they say that it is a name, `plain` where they just stand there."""

    name: str = ""
    plain: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """The names in one conf's comments: its own, and those of its peers by public key."""

    own: Said
    peers: dict[str, Said]


def names_in(text: str) -> Names:
    """Read the names out of a conf's comments."""
    raw = text.split("\n")
    settings = list(lines_of(text))
    headings = [line for line in settings if line.heading]
    own, peers = Said(), {}
    for at, heading in enumerate(headings):
        end = _above(raw, headings[at + 1].number) if at + 1 < len(headings) else len(raw) + 1
        start = _above(raw, heading.number)
        comments = [line[line.index("#") :] for line in raw[start - 1 : end - 1] if "#" in line]
        said = Said(_named(comments), _plain(raw, heading.number, start))
        if heading.section == INTERFACE and own == Said():
            own = Said(said.name)  # what stands above a whole file is seldom a name
        elif heading.section == PEER:
            inside = [line for line in settings if heading.number < line.number < end]
            key = next(("".join(x.value.split()) for x in reversed(inside) if x.key.lower() == "publickey"), "")
            peers[key] = said
    return Names(own, peers)


def _above(raw: list[str], number: int) -> int:
    """Give the line at which the comments begin that stand right above a heading: the heading's own if none do."""
    while number > 1 and raw[number - 2].lstrip().startswith("#"):
        number -= 1
    return number


def _named(comments: Iterable[str]) -> str:
    for comment in comments:
        if found := _SAYS.match(comment) or _TOOLS.match(comment):
            return _ASIDE.sub("", found["name"])
    return ""


def _plain(raw: list[str], number: int, start: int) -> str:
    """Find a comment beside, below or above a heading that reads like a name."""
    beside = raw[number - 1].partition("#")
    below = raw[number].lstrip() if number < len(raw) else ""
    above = raw[number - 2].lstrip() if start < number else ""
    for comment in ("#" + beside[2] if beside[1] else "", below, above):
        found = _PLAIN.match(comment)
        if found and len(found["name"].split()) <= _MOST_WORDS:
            return found["name"]
    return ""


def name_of(text: str) -> str:
    """Make a host's name of somebody's words (`Anna's Phone` is annas-phone); empty if nothing of them is left."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text[: 2 * NAME_LENGTH]) if c.isascii() and c not in "'’")
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if words and not words[0].isalpha():
        words = f"host-{words}"
    name = words[:NAME_LENGTH].strip("-")
    return f"{name}-host" if name in RESERVED else name


def own_name(name: str, taken: Iterable[str]) -> str:
    """Number a name that others have already."""
    others = set(taken)
    number, unique = 2, name
    while unique in others:
        tail = f"-{number}"
        number, unique = number + 1, name[: NAME_LENGTH - len(tail)].rstrip("-") + tail
    return unique
