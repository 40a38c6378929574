"""The contents of countries and lists on this machine: the registries' files, and list files beside a network file."""

from __future__ import annotations

from pathlib import Path

from warren.core.sets import ReadSet
from warren.model.named_set import ListFile, NamedSet
from warren.sys.errors import HostError

MOST_LIST_BYTES = 16 << 20
MOST_PREFIXES = 500_000  # the kernel holds them all in memory
UPDATE = "Run `warren geo update`."


def read_sets(file: str) -> ReadSet:
    """Make the reader of the sets of a network file; a registry's files are read when first asked for."""
    held: list[tuple[bytes, ...]] = []

    def read(name: str, listed: ListFile | None) -> NamedSet:
        if listed is not None:
            return _list(name, Path(file).parent / listed.path)
        # Most files name no country, and every command begins with reading one.
        from warren.core.geo.registry import country_prefixes
        from warren.sys.geo import GeoStore

        store = GeoStore.of_host()
        try:
            if not held:
                held.append(store.files())
        except HostError as error:
            return NamedSet(name, missing=error.says, remedy=error.remedy)
        lacking = store.missing()
        doubt = f"there is no file of {', '.join(lacking)} here" if lacking else ""
        return NamedSet(name, country_prefixes(held[0], name.partition(":")[2]), doubt=doubt, remedy=UPDATE)

    return read


def _list(name: str, path: Path) -> NamedSet:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_LIST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = "Correct its path: it is relative to the network file."
        return NamedSet(name, missing=f"{path}: {reason}", remedy=remedy)
    if len(data) > MOST_LIST_BYTES:
        says = f"{path} has more than {MOST_LIST_BYTES:,} bytes"
        return NamedSet(name, missing=says, remedy="Take out what does not belong there.")
    from warren.core.geo.lists import read_list

    found = read_list(data)
    if len(found.prefixes) > MOST_PREFIXES:
        says = f"{path} has more than {MOST_PREFIXES:,} prefixes"
        return NamedSet(name, missing=says, remedy="Divide what is needed from what is not.")
    doubt = ""
    if found.odd_count:
        lines = ", ".join(str(number) for number, _ in found.odd)
        more = ", …" if found.odd_count > len(found.odd) else ""
        doubt = f"{found.odd_count} of its lines could not be read ({lines}{more} in {path})"
    return NamedSet(name, found.prefixes, doubt=doubt, remedy="Write a prefix, a range or an address there.")
