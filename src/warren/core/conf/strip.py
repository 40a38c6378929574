"""`strip`: a conf without what only wg-quick understands, for wg(8)'s setconf and syncconf.

The text is that of `wg-quick strip`, byte for byte: comments stay, white space around lines goes.
"""

from __future__ import annotations

from warren.core.conf.lines import QUICK_KEYS, decode

_BLANK = " \t"  # what bash's read takes from both ends of a line


def strip_conf(data: bytes) -> bytes:
    """Leave out the lines of [Interface] that wg(8) does not know; the rest stays as it is written."""
    kept: list[str] = []
    inside = False
    lines = decode(data).replace("\0", "").split("\n")
    if not lines[-1]:
        lines.pop()
    for raw in lines:
        line = raw.strip(_BLANK)
        plain = line.partition("#")[0]
        key = plain.partition("=")[0].strip().lower()
        if key.startswith("["):
            inside = key == "[interface]"
        if not (inside and key in QUICK_KEYS):
            kept.append(line)
    return ("\n".join([*kept, "", ""])).encode("utf-8", "surrogateescape")
