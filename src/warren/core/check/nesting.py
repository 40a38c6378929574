"""Prefixes that hold other prefixes, found without comparing each with each: a file may list thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from warren.model.host import Host, Lan
from warren.model.prefix import Prefix, overlaps, span_of

T = TypeVar("T")


class OwnedLan(NamedTuple):
    """A prefix of a LAN; `position` is the LAN's among its host's."""

    host: Host
    lan: Lan
    prefix: Prefix
    position: int


def lans_of(hosts: Iterable[Host]) -> list[OwnedLan]:
    """List all prefixes of the hosts' LANs."""
    return [
        OwnedLan(host, lan, prefix, position)
        for host in hosts
        for position, lan in enumerate(host.lans)
        for prefix in lan.prefixes
    ]


def nested(owned: list[OwnedLan]) -> Iterator[tuple[OwnedLan, list[OwnedLan]]]:
    """Give each prefix with those that hold it, the nearest first; of several equal ones only the first.

    Prefixes either nest or are disjoint, so those that are open at a point are a stack.
    """
    stack: list[OwnedLan] = []
    for one in sorted(owned, key=lambda one: (one.prefix.version, span_of(one.prefix)[0], one.prefix.prefixlen)):
        while stack and not overlaps(stack[-1].prefix, one.prefix):
            stack.pop()
        yield one, stack[::-1]
        if not stack or stack[-1].prefix != one.prefix:
            stack.append(one)


class Holders(Generic[T]):
    """Prefixes with a value each; asked which of them holds another prefix."""

    def __init__(self, held: Iterable[tuple[Prefix, T]]) -> None:
        self._held: dict[Prefix, T] = {}
        for prefix, value in held:
            self._held.setdefault(prefix, value)
        self._lengths = sorted({(prefix.version, prefix.prefixlen) for prefix in self._held})

    def around(self, prefix: Prefix) -> Iterator[tuple[Prefix, T]]:
        """Give those that hold all of a prefix, itself included, the widest first."""
        for version, length in self._lengths:
            if version == prefix.version and length <= prefix.prefixlen:
                wider = prefix.supernet(new_prefix=length)
                if wider in self._held:
                    yield wider, self._held[wider]
