"""Confs for import's tests: written with `<name>` where a key stands, so that they can be read and stay the same.

`PrivateKey = <home>` and `PublicKey = <home>` are one pair.
"""

from __future__ import annotations

import re
from hashlib import blake2s
from pathlib import PurePosixPath

from warren.core.conf.lines import decode
from warren.core.conf.parse import Parsed, parse_conf
from warren.core.imports import Given
from warren.model.key import PublicKey, encode_key
from warren.sys.keys import public_key

_KEY = re.compile(r"(?P<setting>(?:Private|Public|Preshared)Key\s*=\s*|peer )<(?P<name>[\w -]+)>")
_PRIVATE = re.compile(r"^\s*PrivateKey\s*=\s*(\S{43}=)", re.MULTILINE | re.IGNORECASE)


def private(name: str) -> str:
    """Make a private key of a name, clamped as `wg genkey` does."""
    raw = bytearray(blake2s(name.encode()).digest())
    raw[0] &= 0xF8
    raw[31] = raw[31] & 0x7F | 0x40
    return encode_key(bytes(raw))


def public(name: str) -> PublicKey:
    """Give the public half."""
    return public_key(private(name))


def with_keys(text: str) -> str:
    """Fill the keys in."""

    def key(found: re.Match[str]) -> str:
        make = public if found["setting"].startswith(("Public", "peer")) else private
        return found["setting"] + make(found["name"])

    return _KEY.sub(key, text)


def parsed(data: bytes, file: str) -> Parsed:
    """Parse a conf; services have no names here."""
    return parse_conf(data, file, PurePosixPath(file).stem)


def given(text: str, file: str) -> Given:
    """Make what import takes of a conf's text."""
    text = with_keys(text)
    read = parsed(text.encode(), file)
    assert read.conf is not None, [str(one) for one in read.diagnostics]
    return given_of(read, text.encode(), file)


def given_of(read: Parsed, data: bytes, file: str) -> Given:
    """Make what import takes of a conf that was read."""
    assert read.conf is not None
    text = decode(data)
    key = public_key(found[-1]) if read.conf.private_key and (found := _PRIVATE.findall(text)) else PublicKey("")
    return Given(file, read.conf, key, text, PurePosixPath(file).parent.name)
