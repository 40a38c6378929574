"""Read a conf: every finding at once, each with its place, its reason and its remedy.

    bytes ─lines_of─► Line … ─► Section … ─► Conf with its ConfPeers

What wg and wg-quick take is taken, what they refuse is refused, but here before anything has been done. Secrets
are looked at and dropped: the values say where they lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from warren.core.conf.conf import Conf
from warren.core.conf.interface import read_interface
from warren.core.conf.lines import INTERFACE, INTERFACE_KEYS, PEER, PEER_KEYS, Line, decode, lines_of
from warren.core.conf.peers import read_peers
from warren.core.conf.reader import Reader, Section
from warren.core.conf.values import NAME, Lookup
from warren.model.diagnostic import Diagnostic, Severity, Where

_MANY = frozenset({"address", "dns", "preup", "postup", "predown", "postdown", "allowedips"})
_MAY_BE_EMPTY = _MANY - {"allowedips"} | {"mtu", "table"}  # what wg-quick takes; wg(8) takes no empty value


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a conf says, or None if an error is among the diagnostics; these are in the file's order."""

    conf: Conf | None
    diagnostics: tuple[Diagnostic, ...]


def parse_conf(
    data: bytes,
    file: str,
    name: str,
    path: str = "",
    *,
    services: Lookup = lambda _: None,
    tables: Lookup = lambda _: None,
) -> Parsed:
    """Read a conf's bytes.

    `file` is what diagnostics call it, `name` its device, `path` where its secrets are read from later (default:
    `file`). `services` finds a service's UDP port, `tables` the number of a named routing table.
    """
    reader = Reader(file, path or file, services, tables)
    if not NAME.fullmatch(name):
        reader.say("W700", Where(file, 1, 1), name=f"“{name}”")
    sections = list(_sections(reader, decode(data)))
    peers = read_peers(reader, [section for section in sections if section.at.section == PEER])
    interface = next((section for section in sections if section.at.section == INTERFACE), None)
    conf = None
    if interface is None:
        reader.say("W741", Where(file, 1, 1))
    else:
        conf = read_interface(reader, interface, name, peers)
    broken = any(each.severity is Severity.ERROR for each in reader.found)
    return Parsed(None if broken else conf, tuple(sorted(reader.found, key=lambda each: each.where)))


def check_access(file: str, path: str, mode: int, directory_mode: int) -> tuple[Diagnostic, ...]:
    """Warn of a conf that everybody can read, wg-quick's way: by the permission bits of file and directory."""
    if mode & directory_mode & 0o007:
        from warren.core.conf.diagnostics import finding

        return (finding("W701", Where(file, 1, 1), path=path),)
    return ()


def _sections(reader: Reader, text: str) -> Iterator[Section]:
    """Gather lines into sections, judging each line by itself. Several [Interface] are one, as for wg(8)."""
    interface: Section | None = None
    section: Section | None = None
    known = True
    for line in lines_of(text):
        _check_bytes(reader, line)
        if not line.heading:
            if known:
                _place(reader, section, line)
            continue
        known = line.section in (INTERFACE, PEER)
        if not known:
            reader.say("W704", line.where(reader.file), section=line.value)
        elif line.section == PEER:
            section = Section(line)
            yield section
        elif interface is None:
            section = interface = Section(line)
            yield section
        else:
            section = interface


def _place(reader: Reader, section: Section | None, line: Line) -> None:
    """Put a setting into its section, or say why it cannot be."""
    key = line.key.lower()
    where = line.where_key(reader.file)
    if not line.assigned:
        reader.say("W703", where, line=line.key)
        return
    if section is None:
        reader.say("W705", where, key=line.key)
        return
    keys = PEER_KEYS if line.section == PEER else INTERFACE_KEYS
    if key not in keys:
        title = "Peer" if line.section == PEER else "Interface"
        reader.say("W706", where, section=title, key=line.key, remedy=_right_key(key, keys))
        return
    if not line.value and key not in _MAY_BE_EMPTY:
        reader.say("W708", where, key=keys[key])
    before = section.lines.setdefault(key, [])
    if before and key not in _MANY:
        reader.say("W707", before[-1].where_key(reader.file), key=keys[key], line=line.number)
    before.append(line)


def _right_key(key: str, keys: dict[str, str]) -> str:
    """Name the key that was probably meant."""
    others = INTERFACE_KEYS if keys is PEER_KEYS else PEER_KEYS
    if key in others:
        return f"{others[key]} belongs into [{'Peer' if others is PEER_KEYS else 'Interface'}]."
    if near := get_close_matches(key[:40], keys, n=1):
        return f"Did you mean {keys[near[0]]}?"
    return f"There are {', '.join(keys.values())}."


def _check_bytes(reader: Reader, line: Line) -> None:
    said = line.key + line.value
    if "\x00" in said:
        reader.say("W702", line.where_key(reader.file), what="a zero byte")
    elif not said.isascii() and any("\ud800" <= character <= "\udfff" for character in said):
        reader.say("W702", line.where_key(reader.file), what="bytes that are not UTF-8")
