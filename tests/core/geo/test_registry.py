"""Registry files: rows to exact prefixes, held against a slow and plain reading; broken files told from whole ones."""

from __future__ import annotations

from ipaddress import IPv4Address, collapse_addresses, ip_address, ip_network, summarize_address_range
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.core.geo.lists import BadList, judge, read_list
from warren.core.geo.registry import (
    REGISTRIES,
    BadRegistry,
    countries,
    countries_of,
    country_prefixes,
    country_spans,
    read_registry,
)
from warren.core.geo.special import SPECIAL
from warren.model.named_set import ListKind
from warren.model.prefix import FAMILIES, Family, prefixes_of, span_of, subtract

ROWS = """\
apnic|*|asn|*|1|summary
apnic|*|ipv4|*|7|summary
apnic|*|ipv6|*|3|summary
apnic|CN|asn|4134|1|19970730|allocated
apnic|CN|ipv4|1.0.1.0|256|20110414|allocated
apnic|CN|ipv4|1.0.2.0|512|20110414|allocated
apnic|CN|ipv4|1.1.0.0|768|20110414|assigned
apnic|CN|ipv4|10.9.0.0|256|20110414|allocated
apnic|JP|ipv4|1.0.16.0|4096|20110412|allocated
apnic||ipv4|1.2.0.0|256||available
apnic|CN|ipv4|1.3.0.0|256|20110414|reserved
apnic|CN|ipv6|2001:250::|31|20000426|allocated
apnic|CN|ipv6|2001:252::|32|20000426|allocated
apnic|JP|ipv6|2001:200::|32|19990813|allocated
"""
HEADER = "2|apnic|20260505|11|19830613|20260504|+1000\n"
FILE = ("# conditions of use\n" + HEADER + ROWS).encode()


def test_a_whole_file_says_what_it_is() -> None:
    registry = read_registry(FILE)

    assert (registry.name, registry.serial, registry.records) == ("apnic", "20260505", 11)
    assert countries(FILE) == {"CN": 6, "JP": 2}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<html>moved</html>", "no header line"),
        (FILE.partition(b"apnic|JP")[0], "its summary promises"),
        (FILE.replace(b"2|apnic", b"2|nobody"), "names the registry `nobody`"),
        ((HEADER + "apnic|CN|ipv4|1.0.1.0|256|20110414|allocated\n").encode(), "summary lines"),
        (FILE[:-30], "last line is cut off"),
        (b"", "no header line"),
    ],
)
def test_what_is_no_whole_file_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BadRegistry, match=says):
        read_registry(data)


def test_counts_that_are_no_power_of_two_become_exact_prefixes() -> None:
    found = [str(prefix) for prefix in country_prefixes((FILE,), "CN")]

    # 768 addresses are a /23 and a /24, not a /22; neighbours merge; a private block is nobody's.
    assert found == ["1.0.1.0/24", "1.0.2.0/23", "1.1.0.0/23", "1.1.2.0/24", "2001:250::/31", "2001:252::/32"]


def test_an_address_is_told_by_its_row() -> None:
    assert countries_of((FILE,), ip_address("1.1.2.255")) == ("CN",)
    assert countries_of((FILE,), ip_address("2001:200::1")) == ("JP",)
    assert countries_of((FILE,), ip_address("1.2.0.1")) == ()
    assert countries_of((FILE,), ip_address("1.3.0.1")) == ()


def test_random_files_against_a_plain_reading() -> None:
    random = Random(7)
    for _ in range(10):
        rows = [(random.randrange(1 << 24, 9 << 24), random.randrange(1, 5000)) for _ in range(200)]
        data = "".join(f"ripencc|DE|ipv4|{ip_address(first)}|{size}|2020|allocated\n" for first, size in rows).encode()
        plain = collapse_addresses(
            prefix
            for first, size in rows
            for prefix in summarize_address_range(ip_address(first), ip_address(first + size - 1))
        )

        assert list(country_prefixes((data,), "DE")) == list(plain)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_row_raise_nothing(noise: bytes) -> None:
    for row in (noise, b"apnic|CN|ipv4|" + noise + b"|256|20110414|allocated", b"apnic|CN|ipv6|::|" + noise):
        for family in FAMILIES:
            for first, last in country_spans(row, "CN", family):
                assert 0 <= first <= last < 1 << family.bits


@given(st.data())
def test_any_damage_to_a_file_is_refused_or_read(data: st.DataObject) -> None:
    """Bytes altered, cut out and put in: one declared error, or a file whose rows are within the internet."""
    damaged = bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=12) | st.just(b"\n2|apnic|"))
    try:
        registry = read_registry(bytes(damaged))
        assert registry.name in REGISTRIES and registry.records >= 0
    except BadRegistry:
        pass
    for code in ("CN", "JP"):
        held = country_prefixes((bytes(damaged),), code)
        assert list(held) == [ip_network(str(prefix)) for prefix in held]


@pytest.mark.parametrize(
    "row", [b"apnic|CN|ipv4|1.0.0.0|0|2011|allocated", b"apnic|CN|ipv4|255.255.255.255|2|2011|allocated"]
)
def test_rows_that_hold_nothing_or_too_much_are_left_out(row: bytes) -> None:
    assert country_spans(row, "CN", Family.IPV4) == []


def test_special_addresses_are_sorted_and_disjoint() -> None:
    for family in FAMILIES:
        spans = SPECIAL[family]
        assert all(one[1] < other[0] for one, other in pairwise(spans))


# --- lists ------------------------------------------------------------------------------------------------


def test_the_forms_in_which_lists_come() -> None:
    found = read_list(
        b"# chnroutes\n1.0.1.0/24\nroute 1.0.2.0 255.255.254.0 net_gateway 5\nadd cn 1.0.8.0/21\n"
        b"8.8.8.8 ; a comment\n9.0.0.1-9.0.0.2\n2001:250::/31\n192.168.0.0/16\nnot a prefix\n\n300.1.1.1/8\n"
    )

    assert [str(prefix) for prefix in found.prefixes] == [
        "1.0.1.0/24",
        "1.0.2.0/23",
        "1.0.8.0/21",
        "8.8.8.8/32",
        "9.0.0.1/32",
        "9.0.0.2/32",
        "2001:250::/31",
    ]
    assert found.odd == ((9, "not a prefix"), (11, "300.1.1.1/8")) and found.entries == 7


def test_routes_for_windows_and_what_looks_like_a_prefix() -> None:
    found = read_list(
        b"route add 9.0.1.0 mask 255.255.255.0 %gw% metric 5\n9.0.3.77/24\n9.0.4.01\n9.0.5.0/33\n9.0.6.256\n"
    )

    assert [str(prefix) for prefix in found.prefixes] == ["9.0.1.0/24", "9.0.3.0/24"]
    assert [number for number, _ in found.odd] == [3, 4, 5]


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_plain_lines_read_by_hand_are_what_the_standard_library_reads(address: IPv4Address, length: int) -> None:
    plain = read_list(f"{address}/{length}\n".encode()).prefixes

    spans = subtract([span_of(ip_network(f"{address}/{length}", strict=False))], SPECIAL[Family.IPV4])
    assert list(plain) == list(prefixes_of(spans, Family.IPV4))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list(noise: bytes) -> None:
    for prefix in read_list(noise).prefixes:
        assert ip_network(str(prefix)) == prefix


@given(st.binary(max_size=300), st.sampled_from(list(ListKind)))
def test_any_bytes_from_the_web_are_a_list_or_refused(noise: bytes, kind: ListKind) -> None:
    try:
        assert judge(noise, kind) > 0
    except BadList as bad:
        assert str(bad)
