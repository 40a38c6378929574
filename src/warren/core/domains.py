"""Routing by name: the sets that hold what domains were answered with, and for how long.

A resolver that warren runs puts every address into the sets of its name *before* the answer goes to who asked, so that
whoever knows an address from us finds it there. dnsmasq(8) gives elements no timeout, and adding one that is there
does not prolong its life; a timeout could end right after an answer. So elements have none, and each family has two
sets, a and b, that are filled together and emptied in turn by a service of the network's:

    answers, and packets of `only:`     a ┣━━━━━━━━━━┫         ┣━━━━━━━━━━┫
    put an address into both            b      ┣━━━━━━━━━━━━━━━━━━━┫         ┣━━━━
    emptied, KEPT apart at least             b         a         b         a

What is put in at any moment stays in the one that is emptied last, for KEPT at least and for twice that at most. The
kernel itself holds whoever empties them to that (`TURN`), and if nobody does, nothing is forgotten: that is the safe
side. Nobody has an answer from us for longer than TOLD, so an element never dies while its answer is remembered, as
long as KEPT − TOLD is grace enough for programs that go on after that. Nothing is cached on our side: dnsmasq would
answer a name from what it learned with *another* one that led there (CNAME), and put nothing into this one's sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2s
from ipaddress import ip_network

from warren.core.geo.domains import parents
from warren.model.firewall import Set, Table
from warren.model.named_set import NamedSet
from warren.model.network import Network
from warren.model.prefix import FAMILIES, Address, Family, Prefix
from warren.model.state import HostState

DOMAIN = "domain:"
TOLD = 300  # seconds for which whoever asked may remember an answer
KEPT = 3600  # seconds that an address stays in a set at least after it was answered, or used
MOST = 65536  # addresses of a set
TURN = "names_turn"  # holds an element for KEPT after a set was emptied; only whoever can put it there empties another
YOUNG = "names_young"  # holds everything for TOLD after the sets were made: what was asked before is in none of them
LONGEST = 120  # of a set's name: a line of dnsmasq's has 1024 characters
Names = Sequence[tuple[str, tuple[Address, ...]]]  # what each stands for


def sets_name(use: str) -> str:
    """Name the sets of `domain:netflix.com` or `list:gfw`: `domain_netflix.com`."""
    plain = use.replace(":", "_", 1)
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 9]}_{blake2s(plain.encode(), digest_size=4).hexdigest()}"


def set_pair(use: str, family: Family) -> tuple[str, str]:
    """Name the two sets of a use in a family."""
    name = f"{sets_name(use)}_{family.value}"
    return f"{name}a", f"{name}b"


def young(family: Family) -> str:
    """Name the set that holds everything as long as sets of names are too young."""
    return f"{YOUNG}_{family.value}"


def is_young(held: Set) -> bool:
    """Say whether a set is one that holds everything as long as sets of names are too young."""
    return held.name in map(young, FAMILIES)


def by_answers(held: Set) -> bool:
    """Say whether a set is one of those that a resolver's answers fill, or that time them."""
    return bool(held.points) or is_young(held)


def as_asked(network: Network, names: Names) -> Network:
    """Give a network in which these names were asked for: the addresses of its domains are known, as a country's."""
    return replace(network, named=tuple(_asked(one, names) for one in network.named))


def _asked(held: NamedSet, names: Names) -> NamedSet:
    if not held.domains:
        return held
    found = _known(held.domains, names)
    return replace(held, prefixes=tuple(sorted(found, key=lambda one: (one.version, one))))


def filled(state: HostState, names: Names) -> HostState:
    """Give a host whose sets hold what these names stand for, and have been there for long enough."""
    if not state.names:
        return state
    held: dict[str, tuple[Prefix, ...]] = {young(family): () for family in FAMILIES}
    for sets in state.names:
        found = _known(sets.domains, names)
        for family in FAMILIES:
            for letter in "ab":
                held[f"{sets.name}_{family.value}{letter}"] = tuple(one for one in found if one.version == family)
    return replace(state, tables=tuple(_with_elements(table, held) for table in state.tables))


def _with_elements(table: Table, held: Mapping[str, tuple[Prefix, ...]]) -> Table:
    sets = tuple(replace(one, elements=held[one.name]) if one.name in held else one for one in table.sets)
    return replace(table, sets=sets)


def _known(domains: tuple[str, ...], names: Names) -> list[Prefix]:
    """List what those names stand for that are at or below one of the domains."""
    held = frozenset(domains)
    below = (addresses for name, addresses in names if any(one in held for one in parents(name)))
    return [ip_network(address) for addresses in below for address in addresses]
