"""The tools that every part of the parser reads with: notes of what was found, typed values, tables of keys.

A *reader* takes a node and what to call it, and gives a value, or notes a finding and gives None. The keys of
an entry are a table (`Key` by name); docs/network-file.md is tested against these tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar

from warren.core.diagnostics import finding
from warren.core.parse.tree import Node, Scalar, Sequence, Table
from warren.core.source import visible, without_keys
from warren.model.delegate import Delegate
from warren.model.diagnostic import Diagnostic, Where
from warren.model.host import Lan
from warren.model.named_set import ListKind

T = TypeVar("T")

MAX_FINDINGS = 1000
PATIENCE = 50_000  # names that one run compares with misspelt ones: guesses cost time
SHOWN = 44  # characters of a text from the file that a message repeats


@dataclass
class KnownHost:
    """What places are resolved against: a host's LANs, and whether one of them could not be read."""

    lans: tuple[Lan, ...] = ()
    broken: bool = False

    @cached_property
    def by_name(self) -> dict[str, Lan]:
        """LANs by device."""
        return {lan.name: lan for lan in self.lans}


@dataclass
class Reading:
    """One run of the parser: what it found so far, and the names that later parts refer to."""

    file: str
    found: list[Diagnostic] = field(default_factory=list)
    hosts: dict[str, KnownHost] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)  # by name, the host each one's tunnel ends at
    nats: dict[str, Where] = field(default_factory=dict)
    delegates: list[Delegate] = field(default_factory=list)
    lists: dict[str, ListKind] = field(default_factory=dict)
    patience: int = PATIENCE

    def note(self, code: str, where: Where, says: str, hint: str) -> None:
        """Note a finding; those after the thousandth are only counted as one."""
        if len(self.found) < MAX_FINDINGS:
            self.found.append(finding(code, where, says[:1].upper() + says[1:], hint))
        elif len(self.found) == MAX_FINDINGS:
            says = f"There are more than {MAX_FINDINGS:,} findings; from here on they are not listed."
            self.found.append(finding("W008", where, says, "Mend those that are listed, then run check again."))

    def knows(self, name: str) -> bool:
        """Say whether a host or a device has this name."""
        return name in self.hosts or name in self.devices

    @property
    def machines(self) -> Collection[str]:
        """The names of hosts and devices, which are one namespace."""
        return [*self.hosts, *self.devices] if self.devices else self.hosts

    def nearest(self, text: str, names: Collection[str]) -> str:
        """Say which name was probably meant: a sentence for a hint, or nothing."""
        self.patience -= len(names)
        if self.patience < 0:
            return ""
        close = get_close_matches(text[:SHOWN].lower(), names, 1, 0.6)
        return f"Did you mean `{close[0]}`?" if close else ""

    def meant(self, text: str, names: Collection[str], otherwise: str = "") -> str:
        """Give the nearest name, or list some of what there is."""
        return self.nearest(text, names) or otherwise or f"There is {some(names)}."


def show(text: str) -> str:
    """Quote a text from the file in a message: cut, made visible, and without keys."""
    text = without_keys(text[: 3 * SHOWN])
    cut = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f"`{visible(cut)}`"


def some(names: Collection[str], most: int = 4) -> str:
    """List names for a sentence: `a`, `b` and 3 others."""
    quoted = [f"`{name}`" for name in islice(names, most)]
    rest = len(names) - len(quoted)
    if rest:
        quoted.append(f"{rest} other{'s' if rest > 1 else ''}")
    if not quoted:
        return "none"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def kind(node: Node) -> str:
    """Say what a node is, for people."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    return "nothing" if node.empty else show(node.text)


_INTEGER = re.compile(r"-?[0-9]+")

Reader = Callable[[Node, str, Reading], T | None]


@dataclass(frozen=True)
class Key(Generic[T]):
    """How the value of a key is read, and whether the entry needs it."""

    read: Reader[T]
    required: bool = False


# --- scalars ---------------------------------------------------------------------------------------------


def scalar(node: Node, what: str, reading: Reading, example: str) -> Scalar | None:
    """Read a single value."""
    if isinstance(node, Scalar) and not node.empty:
        return node
    says = f"{what} must be a single value, but this is {kind(node)}."
    reading.note("W012", node.where, says, f"Write for instance `{example}`.")
    return None


def integer(low: int, high: int, code: str = "W016") -> Reader[int]:
    """Make a reader of whole numbers within bounds; `code` is for numbers out of them."""

    def read(node: Node, what: str, reading: Reading) -> int | None:
        if not (isinstance(node, Scalar) and _INTEGER.fullmatch(node.text)):
            says = f"{what} must be a whole number, but this is {kind(node)}."
            reading.note("W012", node.where, says, f"Write a number from {low} to {high}.")
            return None
        if len(node.text) > 10 or not low <= int(node.text) <= high:
            says = f"{what} cannot be {show(node.text)}."
            reading.note(code, node.where, says, f"Write a number from {low} to {high}.")
            return None
        return int(node.text)

    return read


port = integer(1, 65535, "W041")


def flag(node: Node, what: str, reading: Reading) -> bool | None:
    """Read true or false."""
    if isinstance(node, Scalar) and node.plain and node.text in ("true", "false"):
        return node.text == "true"
    reading.note("W012", node.where, f"{what} must be true or false, but this is {kind(node)}.", "Write true or false.")
    return None


def word(values: Mapping[str, T]) -> Reader[T]:
    """Make a reader of one word of several."""

    def read(node: Node, what: str, reading: Reading) -> T | None:
        text = scalar(node, what, reading, next(iter(values)))
        if text is None:
            return None
        if text.text not in values:
            says = f"{what} cannot be {show(text.text)}."
            hint = reading.nearest(text.text, values) or "Write " + " or ".join(f"`{value}`" for value in values) + "."
            reading.note("W016", node.where, says, hint)
            return None
        return values[text.text]

    return read


# --- collections -----------------------------------------------------------------------------------------


def nothing(node: Node) -> bool:
    """Say whether a key stands there without a value: all its entries are commented out."""
    return isinstance(node, Scalar) and node.empty


def each(read: Reader[T], single: bool = False) -> Reader[tuple[T, ...]]:
    """Make a reader of lists; with `single`, one value may stand for a list of one."""

    def read_all(node: Node, what: str, reading: Reading) -> tuple[T, ...] | None:
        if nothing(node):
            return ()
        if single and isinstance(node, Scalar):
            one = read(node, what, reading)
            return None if one is None else (one,)
        if not isinstance(node, Sequence):
            says = f"{what} must be a list, but this is {kind(node)}."
            reading.note("W012", node.where, says, "Write `[…]`, or one entry per line, each after `- `.")
            return None
        values = [read(item, f"an entry of {what}", reading) for item in node.items]
        return tuple(value for value in values if value is not None)

    return read_all


def table(node: Node, what: str, reading: Reading, hint: str) -> Table | None:
    """Read a mapping, noting keys that stand twice; an empty value is an empty mapping."""
    if nothing(node):
        return Table(node.where, ())
    if not isinstance(node, Table):
        reading.note("W012", node.where, f"{what} must be a mapping, but this is {kind(node)}.", hint)
        return None
    return node


def named(node: Table, reading: Reading, twice: str = "W013", what: str = "The key") -> Iterator[tuple[Scalar, Node]]:
    """Go through a mapping's entries, the first of each name; the others are noted."""
    seen: dict[str, Scalar] = {}
    for key, value in node.pairs:
        first = seen.setdefault(key.text, key)
        if first is key:
            yield key, value
        else:
            says = f"{what} {show(key.text)} stands here a second time; the first is in line {first.where.line}."
            reading.note(twice, key.where, says, "Delete one of the two, or give it another name.")


def entry(
    node: Node, what: str, reading: Reading, keys: Mapping[str, Key[Any]], at: Where | None = None
) -> dict[str, Any] | None:
    """Read a mapping by its table of keys: values by key, only those that could be read.

    `at` is where a missing key is noted: the entry's name, if it has one.
    """
    got = table(node, what, reading, f"Write `{{{next(iter(keys))}: …}}`, or its keys in lines of their own.")
    if got is None:
        return None
    written = {key.text: (key, value) for key, value in named(got, reading)}
    for key, _ in written.values():
        if key.text not in keys:
            unknown_key(key, what, reading, keys)
    values: dict[str, Any] = {}
    for name, how in keys.items():
        if name in written:
            value = how.read(written[name][1], f"`{name}`", reading)
            if value is not None:
                values[name] = value
        elif how.required:
            hint = f"Add `{name}: …`."
            reading.note("W011", at or got.where, f"{what} has no `{name}`.", hint)
    return values


def unknown_key(key: Scalar, what: str, reading: Reading, keys: Mapping[str, Key[Any]]) -> None:
    """Note a key that is not in the table."""
    says = f"{what} has no key {show(key.text)}."
    known = f"The keys here are {', '.join(f'`{name}`' for name in keys)}."
    reading.note("W010", key.where, says, reading.nearest(key.text, keys) or known)


def later(where: Where, what: str, reading: Reading) -> None:
    """Note a word of a later version."""
    hint = "Take it out for now; nothing is ignored in silence."
    reading.note("W015", where, f"This version of warren does not have {what} yet.", hint)
