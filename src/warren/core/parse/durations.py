"""Lengths of time: seconds, or a number with its unit."""

from __future__ import annotations

import re

from warren.core.parse.reading import Reader, Reading, scalar, show
from warren.core.parse.tree import Node

_TIME = re.compile(r"([0-9]{1,7})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(bounds: tuple[int, int], said: str, hint: str, code: str = "W016") -> Reader[int]:
    """Make a reader of seconds within bounds, which `said` says in words; `code` is for all that is not."""

    def read(node: Node, what: str, reading: Reading) -> int | None:
        text = scalar(node, what, reading, "12h")
        if text is None:
            return None
        matched = _TIME.fullmatch(text.text)
        seconds = int(matched[1]) * _UNITS[matched[2]] if matched else -1
        if not bounds[0] <= seconds <= bounds[1]:
            says = f"{what} cannot be {show(text.text)}: {said}, in seconds or as `30m`, `12h`, `7d`."
            reading.note(code, node.where, says, hint)
            return None
        return seconds

    return read
