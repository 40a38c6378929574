"""Addresses that no registry gives out, whatever a file says: they never become part of a country or a list."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from warren.model.prefix import FAMILIES, Family, Span, family_of, merge, span_of, subtract

# IANA's special-purpose registries (RFC 6890 and its successors), as far as they are not globally reachable.
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "::/3",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "4000::/2",
            "8000::/1",
        ),
    )
)

SPECIAL: dict[Family, tuple[Span, ...]] = {
    family: tuple(merge(span_of(prefix) for prefix in _SPECIAL if family_of(prefix) is family)) for family in FAMILIES
}


def only_public(spans: Iterable[Span], family: Family) -> list[Span]:
    """Merge spans and take out what is special: the result is sorted and disjoint."""
    return subtract(spans, SPECIAL[family])
