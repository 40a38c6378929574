"""A conf as lines: what every part of this package agrees a line is.

    [Peer]                     a section: brackets, any case, spaces inside do not matter
    AllowedIPs = 10.0.0.0/8    a setting: the key in any case, then `=`, then the value
    PostUp = echo a # b        hooks keep their `#`: it may be the shell's own
    # phone                    a comment; so is whatever follows a `#` in any other setting

wg(8) drops all white space of a line, wg-quick(8) only that around keys and values: both readings are met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warren.model.diagnostic import Where

INTERFACE = "interface"
PEER = "peer"

# How a key is written, by its lower-case spelling. wg-quick handles the first ones, wg(8) the others.
QUICK_KEYS = {
    key.lower(): key
    for key in ("Address", "DNS", "MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig")
}
INTERFACE_KEYS = QUICK_KEYS | {key.lower(): key for key in ("PrivateKey", "ListenPort", "FwMark")}
PEER_KEYS = {key.lower(): key for key in ("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive")}
HOOK_KEYS = frozenset({"preup", "postup", "predown", "postdown"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something.

    `section` is the name between the brackets it stands under (lower case, empty before the first), for a heading
    itself its own. `number` counts from 1; `at` is the value's column and `key_at` the key's, from 1. `assigned`
    is False where the `=` is missing.
    """

    number: int
    section: str
    key: str
    value: str
    key_at: int
    at: int
    assigned: bool = True
    heading: bool = False

    def where(self, file: str, offset: int = 0, length: int | None = None) -> Where:
        """Point at the value, or at a part of it."""
        return Where(file, self.number, self.at + offset, max(1, len(self.value) if length is None else length))

    def where_key(self, file: str) -> Where:
        """Point at the key."""
        return Where(file, self.number, self.key_at, max(1, len(self.key)))


def lines_of(text: str) -> Iterator[Line]:
    """Read a conf's text line by line; empty lines and comments are passed over."""
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        plain = raw.partition("#")[0]
        bare = plain.strip()
        if not bare:
            continue
        start = len(plain) - len(plain.lstrip())
        if bare[0] == "[":
            inside = "".join(bare.split()).removeprefix("[").removesuffix("]")
            section = inside.lower()
            yield Line(number, section, "", bare, start + 1, start + 1, heading=True)
            continue
        left, equals, _ = plain.partition("=")
        key = left.strip()
        if not equals:
            yield Line(number, section, key, "", start + 1, start + 1, assigned=False)
            continue
        # A hook's value runs to the end of the line; of any other setting a comment is cut off.
        right = (raw if key.lower() in HOOK_KEYS else plain)[len(left) + 1 :]
        value = right.strip()
        at = len(left) + 1 + (len(right) - len(right.lstrip()) if value else 0)
        yield Line(number, section, key, value, start + 1, at + 1)


def decode(data: bytes) -> str:
    """Turn a file's bytes into text; bytes that are no UTF-8 survive as surrogates."""
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def without_keys(text: str) -> str:
    """Blank every key's value out of a conf's text, so that an excerpt of it can be shown."""
    lines = text.split("\n")
    for line in lines_of(text):
        if line.key.lower() in _KEY_VALUES:
            raw = lines[line.number - 1]
            lines[line.number - 1] = raw[: line.at - 1] + "*" * (len(raw) - line.at + 1)
    return "\n".join(lines)


# A public key too: sometimes it is a private one, pasted into the wrong place.
_KEY_VALUES = frozenset({"privatekey", "presharedkey", "publickey"})
