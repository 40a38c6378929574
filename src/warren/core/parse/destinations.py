"""Where a portal's packets go: prefixes, countries, lists and domains."""

from __future__ import annotations

from warren.core.geo.domains import domain_of
from warren.core.geo.registry import is_country
from warren.core.parse.addresses import prefix
from warren.core.parse.lists import NAME_LENGTH
from warren.core.parse.reading import Reader, Reading, each, later, show
from warren.core.parse.tree import Node, Scalar, Table
from warren.core.source import visible
from warren.model.named_set import SetUse
from warren.model.prefix import Prefix

COUNTRY, LIST, DOMAIN = "country", "list", "domain"
# Other ways to name destinations, which later versions know.
NAMED_LATER = ("asn",)


def destination(node: Node, what: str, reading: Reading) -> Prefix | SetUse | None:
    """Read a prefix, `country:CN`, `list:NAME` or `domain:NAME`."""
    if isinstance(node, Table) and node.pairs and node.pairs[0][0].text in (COUNTRY, LIST, DOMAIN, *NAMED_LATER):
        kind, value = node.pairs[0]
        written = show(f"{kind.text}:{value.text}") if isinstance(value, Scalar) else f"`{kind.text}:NAME`"
        says = f"{what} is a mapping, because there is a space behind `{kind.text}:`."
        reading.note("W012", node.where, says, f"Write {written}.")
        return None
    kind_, colon, name = node.text.partition(":") if isinstance(node, Scalar) else ("", "", "")
    if colon and kind_ in NAMED_LATER:
        later(node.where, f"destinations such as {show(node.text) if isinstance(node, Scalar) else what}", reading)
        return None
    if colon and kind_ == COUNTRY:
        return _country(name, node, reading)
    if colon and kind_ == LIST:
        return list_use(name, node, reading)
    if colon and kind_ == DOMAIN:
        return _domain(name, node, reading)
    return prefix(node, what, reading)


def _country(name: str, node: Node, reading: Reading) -> SetUse | None:
    if is_country(name):
        return SetUse(f"{COUNTRY}:{name}", at=node.where)
    upper = name.upper()
    hint = f"Write `{COUNTRY}:{upper}`." if is_country(upper) else "Write for instance `country:FR`."
    reading.note("W171", node.where, f"A country is two capital letters (ISO 3166), and {show(name)} is not.", hint)
    return None


def list_use(name: str, node: Node, reading: Reading) -> SetUse | None:
    """Read the name of a list, which stands under `lists:`."""
    if name in reading.lists:
        return SetUse(f"{LIST}:{name}", at=node.where)
    hint = reading.nearest(name, reading.lists) or f"Add `lists: {{{_plain(name)}: FILE}}` to the network file."
    reading.note("W172", node.where, f"There is no list {show(name)} under `lists:`.", hint)
    return None


def _domain(name: str, node: Node, reading: Reading) -> SetUse | None:
    plain = name.strip().removeprefix("*").removeprefix(".")
    domain = domain_of(plain)
    if domain is None:
        hint = "Write for instance `domain:netflix.com`: it stands for everything below it, too."
        reading.note("W185", node.where, f"{show(name)} is no domain.", hint)
        return None
    return SetUse(f"{DOMAIN}:{domain}", at=node.where)


def _plain(name: str) -> str:
    return visible(name) if name and len(name) <= NAME_LENGTH else "NAME"


destinations: Reader[tuple[Prefix | SetUse, ...]] = each(destination, single=True)
