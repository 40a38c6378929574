"""Published lists of domains: one entry a line, in the forms that such lists come in.

    netflix.com                          a domain with all below it; `.netflix.com` and `*.netflix.com` say the same
    server=/netflix.com/127.0.0.1#5353   dnsmasq's own lines, as gfwlist2dnsmasq writes them (ipset=, nftset=, …)
    domain:netflix.com @attribute        v2fly's domain-list-community; `full:`, `keyword:`, `regexp:`, `include:`
    0.0.0.0 ads.example.net              a hosts file, with several names or one
    ||netflix.com^                       what ad blockers read

What follows `#` or `!` is a comment. dnsmasq knows a name together with all below it and nothing else, so a `full:`
name is taken with those below it, and `keyword:` and `regexp:` cannot be had: both are counted, and told by whoever
reads a list. `include:` names another file, which is not looked for here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

MOST_BYTES = 16 << 20
MOST_DOMAINS = 100_000  # dnsmasq goes through all of them for every question
MOST_ODD = 5  # lines not understood that are told
LONGEST = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_COMMENT = re.compile(r"(?:^|\s)[#!;].*")
_DNSMASQ = re.compile(r"(?:server|local|address|ipset|nftset)=(/.*/)[^/]*")
_BLOCKER = re.compile(r"\|\|([^\^/$*]+)\^?")
# What every hosts file says of the machine itself.
_OWN = frozenset(("localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"))
_OWN_PREFIX = "ip6-"


@dataclass(frozen=True, slots=True)
class DomainList:
    """The domains of a list, sorted, each once and none below another.

    `odd` are lines that were not understood: number and text. `exact` counts names that were to be taken without those
    below them, `patterns` entries that are no names, and `includes` are the files that the list would have read too.
    """

    domains: tuple[str, ...]
    entries: int
    odd: tuple[tuple[int, str], ...] = ()
    odd_count: int = 0
    exact: int = 0
    patterns: int = 0
    includes: tuple[str, ...] = ()


def read_domains(data: bytes) -> DomainList:
    """Read a list; whatever the bytes are, this raises nothing."""
    reading = _Reading()
    for number, line in enumerate(data[:MOST_BYTES].decode("utf-8-sig", "replace").splitlines(), start=1):
        text = _COMMENT.sub("", line).strip()
        if text and not (text[0] == "[" and text[-1] == "]"):  # `[Adblock Plus 2.0]`, `[AutoProxy 0.2.9]`
            reading.line(number, text)
    return DomainList(
        tuple(widest(reading.found)),
        reading.entries,
        tuple(reading.odd),
        reading.odd_count,
        reading.exact,
        reading.patterns,
        tuple(dict.fromkeys(reading.includes)),
    )


def domain_of(text: str) -> str | None:
    """Give a domain as DNS has it: lower case, without a dot at either end, `xn--` for letters beyond ASCII."""
    name = text.strip().removesuffix(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    labels = name.split(".")
    if len(name) > LONGEST or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        return None
    return name


def is_below(name: str, domain: str) -> bool:
    """Say whether a name is a domain or one below it."""
    return name == domain or name.endswith(f".{domain}")


def parents(name: str) -> Iterator[str]:
    """Give a name and every one above it, the longest first."""
    while name:
        yield name
        name = name.partition(".")[2]


def widest(names: Iterable[str]) -> Iterator[str]:
    """Leave out the names that are below another, and sort the rest."""
    known = set(names)
    for name in sorted(known):
        if not any(parent in known for parent in parents(name.partition(".")[2])):
            yield name


class _Reading:
    def __init__(self) -> None:
        self.found: set[str] = set()
        self.entries = self.exact = self.patterns = self.odd_count = 0
        self.odd: list[tuple[int, str]] = []
        self.includes: list[str] = []

    def line(self, number: int, text: str) -> None:
        names = self._entry(text)
        if names is None or len(self.found) > MOST_DOMAINS * 2:  # whoever asks for so many is refused anyway
            self.odd_count += 1
            if len(self.odd) < MOST_ODD:
                self.odd.append((number, text[:80]))
            return
        self.entries += 1
        self.found.update(names)

    def _entry(self, text: str) -> tuple[str, ...] | None:
        """Give the names of a line; None if it is not understood."""
        if lines := _DNSMASQ.fullmatch(text):
            return _all(part for part in lines[1].split("/") if part)
        if blocked := _BLOCKER.fullmatch(text):
            return _all((blocked[1],))
        words = text.split()
        kind, colon, value = words[0].partition(":")
        if colon and kind in ("domain", "full", "keyword", "regexp", "include"):
            return self._v2fly(kind, value, words[1:])
        if len(words) > 1 and _is_address(words[0]):
            return _all(word for word in words[1:] if word not in _OWN and not word.startswith(_OWN_PREFIX))
        if any(word[0] not in "@&" for word in words[1:]):
            return None
        return _all((words[0].removeprefix("*").removeprefix("."),))

    def _v2fly(self, kind: str, value: str, attributes: list[str]) -> tuple[str, ...] | None:
        if kind == "include":
            self.includes.append(" ".join((value, *attributes))[:80])
            return ()
        if kind in ("keyword", "regexp"):
            self.patterns += 1
            return ()
        if any(word[0] not in "@&" for word in attributes):
            return None
        names = _all((value,))
        self.exact += bool(names) and kind == "full"
        return names


def _all(texts: Iterable[str]) -> tuple[str, ...] | None:
    names = [domain_of(text) for text in texts]
    known = tuple(name for name in names if name is not None)
    return known if len(known) == len(names) else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
