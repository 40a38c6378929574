"""The typed firewall in the words of `nft -f` (nft(8), from 1.0.6 on).

A table is replaced in one transaction, so that no packet ever meets a half of it: replacing it by two commands
let 705 packets out, by one none. `destroy` is younger than 1.0.6; `add` before `delete` says the same.

    no live sets:    add table T; delete table T; table T { … }
    live sets:       add table T; flush table T; take away old chains and static sets; table T { … }

The second keeps the table and its live sets with whatever was fed to them since. What vanished from the table can
only be named from the previous value, so that is an argument.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from warren.core.render.nft_words import join_ports, port_span, quoted, rule_text
from warren.model.firewall import (
    Chain,
    Set,
    SetType,
    Table,
)
from warren.model.prefix import Family, blocks_of, merge, span_of


def render_table(table: Table, before: Table | None = None) -> str:
    """Write the text with which `nft -f` makes or replaces a table in one transaction, any number of times.

    `before` is the table as it was last installed, if it was: needed to take vanished chains and sets out of a
    table whose live sets are kept.
    """
    name = f"{table.family} {table.name}"
    if not any(held.live for held in table.sets):
        return f"add table {name}\ndelete table {name}\n" + _block(table)
    lines = [f"add table {name}", f"flush table {name}"]
    # Chains are made anew: a base chain's priority cannot be altered.
    for chain in table.chains if before is None else before.chains:
        lines += [f"add chain {name} {chain.name}", f"delete chain {name} {chain.name}"]
    kept: set[str] = set()
    if before is not None:
        kept = {held.name for held in table.sets if any(_same_live_set(held, old) for old in before.sets)}
        for old in before.sets:
            if old.name not in kept:
                kind = _kind(old)
                lines += [f"add {kind} {name} {old.name} {{ {_set_head(old)} }}", f"delete {kind} {name} {old.name}"]
    else:
        # Nothing is known of what stands there: an older static set of the same name is emptied and filled again.
        for held in table.sets:
            lines += [f"add {_kind(held)} {name} {held.name} {{ {_set_head(held)} }}"]
            lines += [] if held.live else [f"flush set {name} {held.name}"]
    return "\n".join(lines) + "\n" + _block(table, kept)


def render_elements(table: Table, before: Table) -> str:
    """Write the text with which `nft -f` makes what sets hold into what they should, in one transaction.

    What is in a set before and after is not named, so no packet misses it meanwhile. Everything goes before anything
    comes: an element that grew would overlap with itself.
    """
    name = f"{table.family} {table.name}"
    old = {held.name: held for held in before.sets}
    gone: list[str] = []
    come: list[str] = []
    for held in table.sets:
        if held.live:
            continue
        was, now = _elements(old[held.name]), _elements(held)
        staying = set(was).intersection(now)
        for verb, texts, lines in (("delete", was, gone), ("add", now, come)):
            differing = [text for text in texts if text not in staying]
            if differing:
                lines.append(f"{verb} element {name} {held.name} {{ {', '.join(differing)} }}\n")
    return "".join((*gone, *come))


def render_delete(table: Table) -> str:
    """Write the text with which `nft -f` removes a table, whether it is there or not."""
    name = f"{table.family} {table.name}"
    return f"add table {name}\ndelete table {name}\n"


def _same_live_set(one: Set, other: Set) -> bool:
    """Say whether a live set can be kept as it is: what the kernel fixes at its birth is equal."""
    fixed = [(held.live, held.name, held.type, held.timeout, held.points, held.to) for held in (one, other)]
    return one.live and fixed[0] == fixed[1]


def _block(table: Table, kept: Container[str] = ()) -> str:
    """Write the whole table; a kept set without elements, which makes it only where somebody took it away."""
    lines = [f"table {table.family} {table.name} {{"]
    for held in table.sets:
        elements = [] if held.name in kept else _elements(held)
        body = _set_head(held) + (f" elements = {{ {', '.join(elements)} }}" if elements else "")
        lines.append(f"\t{_kind(held)} {held.name} {{ {body} }}")
    for chain in table.chains:
        lines += [f"\tchain {chain.name} {{", *(f"\t\t{line}" for line in _chain_lines(chain, table.family)), "\t}"]
    return "\n".join(lines) + "\n}\n"


def _chain_lines(chain: Chain, family: str) -> Iterator[str]:
    if chain.hook is not None:
        hook = chain.hook
        yield f"type {hook.type} hook {hook.hook} priority {hook.priority}; policy accept;"
    for rule in chain.rules:
        if text := rule_text(rule, family):
            yield text


def _kind(held: Set) -> str:
    return "map" if held.to else "set"


def _set_head(held: Set) -> str:
    interval = held.type in (SetType.IPV4, SetType.IPV6, SetType.PORT) and not held.points
    # With room for so many, a set without a timeout would take the memory for all of them at once (nft_set_hash.c).
    wanted = (("interval", interval), ("dynamic", held.points), ("timeout", held.timeout or held.points))
    flags = [flag for flag, really in wanted if really]
    head = [f"type {held.type.value}" + (f" : {held.to.value};" if held.to else ";")]
    if held.points:
        head.append(f"size {held.points};")
    if flags:
        head.append(f"flags {', '.join(flags)};")
    if held.timeout:
        head.append(f"timeout {held.timeout}s;")
    if interval and held.live:
        head.append("auto-merge;")  # who feeds it need not know what is in it already
    return " ".join(head)


def _elements(held: Set) -> list[str]:
    if held.type in (SetType.IPV4, SetType.IPV6):
        return list(_prefix_texts(held))
    if held.type is SetType.PORT:
        joined = join_ports([port_span(str(element)) for element in held.elements])
        return [str(first) if first == last else f"{first}-{last}" for first, last in joined]
    texts = dict.fromkeys(str(element) for element in held.elements)
    return [quoted(text) for text in texts] if held.type is SetType.IFNAME else list(texts)


def _prefix_texts(held: Set) -> Iterator[str]:
    """Write the fewest prefixes of a set's family: by numbers, since a country has ten thousand."""
    family = Family.IPV4 if held.type is SetType.IPV4 else Family.IPV6
    kind = IPv4Network if family is Family.IPV4 else IPv6Network
    spans = merge(span_of(element) for element in held.elements if isinstance(element, kind))
    for first, length in blocks_of(spans, family.bits):
        if family is Family.IPV4:
            text = f"{first >> 24}.{first >> 16 & 255}.{first >> 8 & 255}.{first & 255}"
        else:
            text = str(IPv6Address(first))
        yield text if length == family.bits else f"{text}/{length}"
