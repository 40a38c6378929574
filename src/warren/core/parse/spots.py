"""Where in the file a value of the model stands, for findings that come after parsing.

Values carry the place of their entry (`at`); from there a spot is found by the keys of the file:
`spots(portal.at, "except", 1)`. The nearest that was written stands in for what was not.
"""

from __future__ import annotations

from functools import cached_property

from warren.core.parse.tree import Node, Scalar, Sequence, Table, walk
from warren.model.diagnostic import Where


class Spots:
    """The tree of a file, asked for places. Without a tree every answer is the entry's own place."""

    def __init__(self, file: str, root: Node | None = None) -> None:
        self.file = file
        self.root = root

    def __call__(self, at: Where | None, *keys: str | int) -> Where:
        """Find the place of a value below the entry at `at` (None: the whole file)."""
        node = self.root if at is None else self._entries.get((at.line, at.column))
        where = at or Where(self.file, 1, 1)
        for key in keys:
            if isinstance(node, Table) and isinstance(key, str):
                node = node.by_key.get(key)
            elif isinstance(node, Sequence) and isinstance(key, int):
                node = node.items[key] if key < len(node.items) else None
            elif isinstance(node, Scalar) and key == 0:
                continue  # a single value where a list of one could stand
            else:
                node = None
            if node is None:
                return where
            where = node.where
        return where

    def wrote(self, at: Where | None, key: str) -> bool:
        """Say whether the entry at `at` has a key, be its value right or not."""
        node = self._entries.get((at.line, at.column)) if at is not None else self.root
        return isinstance(node, Table) and key in node.by_key

    @cached_property
    def _entries(self) -> dict[tuple[int, int], Node]:
        """Entries by place: the value behind a key, or the item of a list."""
        found: dict[tuple[int, int], Node] = {}
        items: dict[tuple[int, int], Node] = {}
        for node in walk(self.root) if self.root is not None else ():
            if isinstance(node, Table):
                for key, value in node.pairs:
                    found[key.where.line, key.where.column] = value
            elif isinstance(node, Sequence):
                for item in node.items:
                    items[item.where.line, item.where.column] = item
        return found | items
