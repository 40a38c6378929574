"""Rows to prefixes, held against aggregators that are not ours: iprange for IPv4, the standard library for both.

`afrinic.txt` is a part of AFRINIC's own file of 2026-05-05: all 39 rows of IPv4 whose count is no power of two, what
stands around them, and some others.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses, ip_network, summarize_address_range
from pathlib import Path

from bench.geo import generated
from warren.core.geo.registry import countries, country_prefixes, read_registry
from warren.core.geo.special import SPECIAL
from warren.model.prefix import FAMILIES, Prefix, family_of, merge, overlaps, span_of, subtract

AFRINIC = (Path(__file__).parent / "afrinic.txt").read_bytes()


def blocks(data: bytes, code: str) -> list[tuple[str, int]]:
    """Read a country's rows in the plainest way there is: the first address, and how many."""
    rows = (line.split("|") for line in data.decode().splitlines())
    return [
        (row[3], int(row[4]))
        for row in rows
        if row[1:3] == [code, "ipv4"] and row[6] in ("allocated", "assigned") and row[3] != "*"
    ]


def by_iprange(lines: Iterable[str], directory: Path) -> list[Prefix]:
    """Have iprange merge ranges into the fewest prefixes."""
    file = directory / "ranges"
    file.write_text("\n".join(lines) + "\n")
    done = subprocess.run(["iprange", "--optimize", str(file)], capture_output=True, text=True, check=True)
    return sorted(ip_network(line) for line in done.stdout.split())


def four(prefixes: Iterable[Prefix]) -> list[Prefix]:
    return sorted(prefix for prefix in prefixes if prefix.version == 4)


def ranges(found: list[tuple[str, int]]) -> list[str]:
    return [f"{first}-{IPv4Address(int(IPv4Address(first)) + count - 1)}" for first, count in found]


def test_counts_of_afrinic_become_exactly_their_addresses(tmp_path: Path) -> None:
    assert read_registry(AFRINIC).records == AFRINIC.count(b"\n") - 4
    found = blocks(AFRINIC, "ZA")
    odd = [count for _, count in found if count & (count - 1)]
    assert len(odd) == 39

    ours = four(country_prefixes((AFRINIC,), "ZA"))

    assert ours == by_iprange(ranges(found), tmp_path)
    # As many as the rows say: a mask rounded up, as by the logarithm of a count, would take a neighbour's.
    assert sum(prefix.num_addresses for prefix in ours) == sum(count for _, count in found)


def test_every_country_of_a_file_is_the_standard_librarys_too() -> None:
    for code in countries(AFRINIC):
        plain: list[IPv4Network] = []
        for first, count in blocks(AFRINIC, code):
            low = IPv4Address(first)
            plain += summarize_address_range(low, low + (count - 1))
        rows = (line.split("|") for line in AFRINIC.decode().splitlines())
        six = [
            IPv6Network(f"{row[3]}/{row[4]}")
            for row in rows
            if row[1:3] == [code, "ipv6"] and row[6] in ("allocated", "assigned")
        ]

        ours = country_prefixes((AFRINIC,), code)

        assert list(ours) == [*collapse_addresses(plain), *collapse_addresses(six)]


def test_a_country_as_large_as_they_come_is_what_iprange_makes_of_it(tmp_path: Path) -> None:
    data = generated()

    ours = four(country_prefixes((data,), "CN"))

    assert ours == by_iprange(ranges(blocks(data, "CN")), tmp_path)
    assert len(ours) > 7000


def test_nothing_special_is_swallowed_whatever_rows_say() -> None:
    """A row that holds the whole internet is cut around what is nobody's, and around nothing else."""
    rows = [
        "2|apnic|20260505|3|19830613|20260504|+1000\napnic|*|ipv4|*|2|summary\napnic|*|ipv6|*|1|summary",
        "apnic|CN|ipv4|0.0.0.0|2147483648|20110414|allocated",
        "apnic|CN|ipv4|128.0.0.0|2147483648|20110414|allocated",
        "apnic|CN|ipv6|::|0|20110414|allocated",
    ]
    held = country_prefixes((("\n".join(rows) + "\n").encode(),), "CN")

    for family in FAMILIES:
        spans = merge(span_of(prefix) for prefix in held if family_of(prefix) is family)
        assert spans == subtract([span_of(family.everything)], SPECIAL[family])
    lan, public = IPv4Network("192.168.1.0/24"), IPv4Network("192.169.0.0/16")
    assert not any(overlaps(prefix, lan) for prefix in held)
    assert any(public.subnet_of(prefix) for prefix in held if isinstance(prefix, IPv4Network))
