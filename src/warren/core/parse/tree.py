"""YAML as a tree of nodes that know their place.

The tree is built here from yaml's events and not by its composer, which recurses into nesting, expands aliases
and guesses types (a host called `no` would be false, a MAC a number in base 60). Here a scalar is its text, and
what it means is for the reader to say who knows what belongs there. Size, nodes and depth are bounded, so that
the worst file costs a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast

import yaml

from warren.core.diagnostics import finding
from warren.core.parse.syntax import syntax
from warren.core.source import Source
from warren.model.diagnostic import Diagnostic, Where

MAX_BYTES = 4 << 20
MAX_NODES = 200_000
MAX_DEPTH = 24

# libyaml is ten times as fast; where it is missing the same events come from Python.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. `plain` is one without quotes; `exact` says that its characters stand in the file as they are."""

    where: Where
    text: str
    plain: bool = True
    exact: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing was written, or YAML's word for nothing."""
        return self.plain and self.text in ("", "~", "null")

    def part(self, start: int, length: int) -> Where:
        """Name the place of some of its characters; the whole scalar's where they cannot be told apart."""
        if not self.exact or length < 1:
            return self.where
        quote = 0 if self.plain else 1
        return Where(self.where.file, self.where.line, self.where.column + quote + start, length)


@dataclass(frozen=True)
class Sequence:
    """A list."""

    where: Where
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Table:
    """A mapping; the first of two equal keys counts, the parser complains of the others."""

    where: Where
    pairs: tuple[tuple[Scalar, Node], ...]

    @cached_property
    def by_key(self) -> Mapping[str, Node]:
        """Values by key."""
        return {key.text: value for key, value in reversed(self.pairs)}


Node = Scalar | Sequence | Table


class Refused(Exception):
    """The text is no tree that we read; carries the one finding that says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.says)
        self.diagnostic = diagnostic


@dataclass
class _Open:
    """A collection that is being read: the keys (mappings only) and nodes so far."""

    where: Where
    mapping: bool
    keys: list[Scalar] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    key: Scalar | None = None


class _Mark(Protocol):
    line: int
    column: int
    index: int


def _marks(event: yaml.Event) -> tuple[_Mark, _Mark]:
    """Give an event's marks, which the parsers always set."""
    return cast(_Mark, event.start_mark), cast(_Mark, event.end_mark)


def compose(source: Source) -> Node | None:
    """Build the tree of the only document in a text; None if there is nothing in it.

    Raises Refused for what is no YAML, for more than the limits allow and for YAML that warren does not read.
    """
    builder = _Builder(source)
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise Refused(syntax(source, error)) from error
    except yaml.reader.ReaderError as error:
        where = source.where(max(0, min(error.position, len(source.text))))
        says = "Something here cannot stand in a YAML file."
        raise Refused(finding("W002", where, says, "Delete the character.")) from error
    return builder.root


class _Builder:
    """Takes events and keeps the collections that are still open on a stack of its own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.nodes = 0
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_extras(event)
            self._count(event)
            self._add(self._scalar(event))
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._refuse_extras(event)
            self._count(event)
            where = self._where(event)
            if len(self.open) == MAX_DEPTH:
                self._refuse("W004", where, f"This is nested deeper than {MAX_DEPTH} levels.", "Nest it less deeply.")
            if self.open and self.open[-1].mapping and self.open[-1].key is None:
                self._refuse(
                    "W005", where, "A key is a list or a mapping here.", "Write a plain word before the colon."
                )
            self.open.append(_Open(where, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            says = f"Warren does not read aliases such as `*{event.anchor}`."
            self._refuse("W005", self._where(event), says, "Write out what the alias stands for.")
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                hint = "Delete it, or move what follows into a file of its own."
                self._refuse("W006", self._where(event), "A second document begins here.", hint)

    def _refuse(self, code: str, where: Where, says: str, hint: str) -> None:
        raise Refused(finding(code, where, says, hint))

    def _refuse_extras(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            says = f"Warren does not read anchors such as `&{event.anchor}`."
            self._refuse(
                "W005", self._where(event), says, "Delete the anchor and write values out where they are meant."
            )
        tag = getattr(event, "tag", None)
        if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag == "!"):
            says = f"Warren does not read tags such as `{tag[:40]}`."
            self._refuse("W005", self._where(event), says, "Delete the tag.")

    def _count(self, event: yaml.Event) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            says = f"The file holds more than {MAX_NODES:,} values."
            self._refuse("W004", self._where(event), says, "Take out what does not belong there.")

    def _where(self, event: yaml.Event) -> Where:
        start, end = _marks(event)
        if start.line >= len(self.source.lines):  # nothing, after the last line
            return Where(self.source.file, start.line, len(self.source.lines[-1]) + 1)
        length = end.column - start.column if end.line == start.line else 1
        return Where(self.source.file, start.line + 1, start.column + 1, max(1, length))

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        start, end = _marks(event)
        plain = not event.style
        quotes = 0 if plain else 2
        exact = start.line == end.line and end.index - start.index == len(event.value) + quotes
        where = self._where(event)
        if start.line < end.line and start.line < len(self.source.lines):
            length = max(1, len(self.source.lines[start.line]) - start.column)
            where = Where(where.file, where.line, where.column, length)
        return Scalar(where, event.value, plain, exact and event.style not in ("|", ">"))

    def _add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        into = self.open[-1]
        if into.mapping and into.key is None:
            if not isinstance(node, Scalar):
                raise TypeError("collections as keys are refused where they begin")
            if node.plain and node.text == "<<":
                self._refuse("W005", node.where, "Warren does not read merge keys (`<<`).", "Write the values out.")
            into.key = node
        elif into.key is not None:
            into.keys.append(into.key)
            into.nodes.append(node)
            into.key = None
        else:
            into.nodes.append(node)

    def _close(self, event: yaml.Event) -> None:
        done = self.open.pop()
        where, end = done.where, _marks(event)[1]
        if end.line + 1 == where.line and end.column > where.column:  # a flow collection on one line
            where = Where(where.file, where.line, where.column, end.column - where.column + 1)
        if done.mapping:
            self._add(Table(where, tuple(zip(done.keys, done.nodes, strict=True))))
        else:
            self._add(Sequence(where, tuple(done.nodes)))


def walk(node: Node) -> Iterator[Node]:
    """Go through a tree, parents first; never recursive, though depth is bounded anyway."""
    todo = [node]
    while todo:
        here = todo.pop()
        yield here
        if isinstance(here, Sequence):
            todo += reversed(here.items)
        elif isinstance(here, Table):
            todo += [value for _, value in reversed(here.pairs)]
