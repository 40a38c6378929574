"""The contents of the countries and lists that a network file names, as this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

from warren.core.sets import ReadSet
from warren.model.named_set import ListKind, ListSource, NamedSet
from warren.sys.feeds import Feeds


def read_sets(file: str) -> ReadSet:
    """Make the reader of the sets of a network file; a registry's files are read when first asked for."""
    fetch = f"Run `warren geo update {file}`."
    feeds = Feeds(fetch)
    near = os.path.dirname(file)

    def read(name: str, listed: ListSource | None) -> NamedSet:
        if listed is None:
            return feeds.read(name, name)
        if listed.kind is ListKind.DOMAINS:
            from warren.sys.domain_lists import read_domain_list

            return read_domain_list(name, listed, Path(near), fetch)
        if listed.fetched:
            return feeds.read(name, f"list:{listed.sources[0]}")
        path = os.path.join(near, listed.sources[0])
        return feeds.read(name, f"list:{os.path.abspath(path)}", path)

    return read
