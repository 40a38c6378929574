"""Sections of OpenWrt's configuration, and the lines for `uci batch` that make them.

    set network.portals='interface'
    set network.portals.proto='wireguard'
    add_list network.portals.addresses='10.77.0.1/32'

Only named sections, each with a name of ours: an existing router's other sections are neither read nor written, and
what was made can be found again. In /etc/config/network an option `warren` says whose a section is; the firewall would
complain of an option it does not know, so there it is the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TAG = "warren"


@dataclass(frozen=True, slots=True)
class Section:
    """One section: a tuple is a list of UCI's, a text an option."""

    package: str
    type: str
    name: str
    options: tuple[tuple[str, str | tuple[str, ...]], ...]


def batch(sections: Iterable[Section]) -> str:
    """Write the lines that make sections which are not there."""
    return "".join(f"{line}\n" for section in sections for line in _lines(section))


def _lines(section: Section) -> Iterator[str]:
    here = f"{section.package}.{section.name}"
    yield f"set {here}={_quoted(section.type)}"
    for option, value in section.options:
        if isinstance(value, tuple):
            yield from (f"add_list {here}.{option}={_quoted(one)}" for one in value)
        else:
            yield f"set {here}.{option}={_quoted(value)}"


def _quoted(text: str) -> str:
    """Quote as uci reads it: a quote cannot stand within single ones, and a line ends a command."""
    return "'" + " ".join(text.split()).replace("'", "'\\''") + "'"
