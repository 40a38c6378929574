"""The registries' delegated files: who was given which addresses.

The format is the five registries' own ("RIR statistics exchange format", version 2; the extended one adds an eighth
field). One row of text for each block:

    apnic|CN|ipv4|1.0.1.0|256|20110414|allocated          256 addresses from 1.0.1.0
    afrinic|ZA|ipv6|2001:42d0::|32|20060101|allocated     a prefix of 32 bits

A count of IPv4 addresses need not be a power of two, and neighbouring rows belong to one country more often than not:
rows become spans, and spans become the fewest prefixes that hold exactly these addresses.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address

from warren.core.geo.special import only_public
from warren.model.prefix import FAMILIES, Address, Family, Prefix, Span, prefixes_of

MOST_BYTES = 64 << 20  # the largest registry's file had 19 MB in 2026
REGISTRIES = ("afrinic", "apnic", "arin", "lacnic", "ripencc")

_HEADER = re.compile(
    rb"^(?P<version>2(?:\.\d+)?)\|(?P<registry>[a-z]+)\|(?P<serial>\d+)\|(?P<records>\d+)\|"
    rb"\d*\|(?P<end>\d*)\|[^|\r\n]*\r?$",
    re.MULTILINE,
)
_SUMMARY = re.compile(rb"^[a-z]+\|\*\|(ipv4|ipv6|asn)\|\*\|(\d+)\|summary\r?$", re.MULTILINE)
_KIND = re.compile(rb"^[a-z]+\|[A-Za-z]{0,2}\|(ipv4|ipv6|asn)\|", re.MULTILINE)
_COUNTRY = re.compile(rb"^[a-z]+\|([A-Z]{2})\|ipv[46]\|[^|]+\|\d+\|\d*\|(?:allocated|assigned)\b", re.MULTILINE)
# It begins with plain text, which is looked for ten times as fast as a pattern.
_ROW = rb"\n%s\|%s\|ipv([46])\|([0-9a-fA-F.:]+)\|(\d+)\|\d*\|(?:allocated|assigned)\b"
_ANY_ROW = rb"^[a-z]+\|([A-Z]{2})\|%s\|([0-9a-fA-F.:]+)\|(\d+)\|\d*\|(?:allocated|assigned)\b"
_OCTETS = {b"%d" % number: number for number in range(256)}
_COUNTRY_CODE = re.compile(r"[A-Z]{2}")


class BadRegistry(ValueError):
    """What makes a file none of a registry, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What a file says of itself: `serial` is the registry's, mostly a date; `records` counts its rows."""

    name: str
    serial: str
    end: str
    records: int


def read_registry(data: bytes) -> Registry:
    """Check that a file is a whole delegated file: its header, and the counts of rows that its summary promises.

    BadRegistry says what is wrong. A transfer that broke off, or a web page in the file's place, is found here.
    """
    if len(data) > MOST_BYTES:
        raise BadRegistry(f"it has more than {MOST_BYTES:,} bytes")
    header = _HEADER.search(data)
    if header is None:
        raise BadRegistry("it has no header line such as `2|apnic|20260505|69826|19830613|20260504|+1000`")
    name = header["registry"].decode()
    if name not in REGISTRIES:
        raise BadRegistry(f"its header names the registry `{name}`, and there are {', '.join(REGISTRIES)}")
    promised = {kind: int(count) for kind, count in _SUMMARY.findall(data)}
    if not {b"ipv4", b"ipv6"} <= promised.keys():
        raise BadRegistry("its summary lines for ipv4 and ipv6 are missing")
    if not data.endswith(b"\n"):
        raise BadRegistry("its last line is cut off")
    held = Counter(_KIND.findall(data))
    for kind, count in promised.items():
        if held[kind] != count:
            raise BadRegistry(f"its summary promises {count:,} rows of {kind.decode()}, and it has {held[kind]:,}")
    return Registry(name, header["serial"].decode(), header["end"].decode(), sum(promised.values()))


def is_country(code: str) -> bool:
    """Say whether a text has the form of a country code: two capital letters (ISO 3166)."""
    return bool(_COUNTRY_CODE.fullmatch(code))


def countries(data: bytes) -> Counter[str]:
    """Count the rows of each country that have addresses."""
    return Counter(code.decode() for code in _COUNTRY.findall(data))


def country_spans(data: bytes, code: str, family: Family) -> list[Span]:
    """List the spans of addresses that one file gives to a country, unsorted; rows that cannot be are left out."""
    return _spans(data, code)[family]


def _spans(data: bytes, code: str) -> dict[Family, list[Span]]:
    """Go through a file once, for both families."""
    header = _HEADER.search(data)
    row = re.compile(_ROW % (header["registry"] if header else b"[a-z]+", code.encode()))
    found: dict[Family, list[Span]] = {family: [] for family in FAMILIES}
    for version, start, count in row.findall(b"\n" + data):
        family, read = (Family.IPV4, _span_v4) if version == b"4" else (Family.IPV6, _span_v6)
        span = read(start, count)
        if span is not None:
            found[family].append(span)
    return found


def country_prefixes(files: tuple[bytes, ...], code: str) -> tuple[Prefix, ...]:
    """Give the fewest prefixes that hold exactly a country's addresses in all files, IPv4 first."""
    held = [_spans(data, code) for data in files]
    return tuple(
        prefix
        for family in FAMILIES
        for prefix in prefixes_of(only_public((span for spans in held for span in spans[family]), family), family)
    )


def countries_of(files: tuple[bytes, ...], address: Address) -> tuple[str, ...]:
    """Name the countries whose blocks hold an address: one in files that agree, none if nobody was given it."""
    family = Family(address.version)
    read = _span_v4 if family is Family.IPV4 else _span_v6
    row = re.compile(_ANY_ROW % family.word.encode(), re.MULTILINE)
    wanted = int(address)
    found = (
        code.decode()
        for data in files
        for code, start, count in row.findall(data)
        if (span := read(start, count)) is not None and span[0] <= wanted <= span[1]
    )
    return tuple(dict.fromkeys(found))


def _span_v4(start: bytes, count: bytes) -> Span | None:
    """Read a start and a count of addresses. By hand: `ipaddress` takes six times as long for a file's 60,000 rows."""
    try:
        one, two, three, four = start.split(b".")
        first = _OCTETS[one] << 24 | _OCTETS[two] << 16 | _OCTETS[three] << 8 | _OCTETS[four]
    except (ValueError, KeyError):
        return None
    if len(count) > 10:
        return None
    size = int(count)
    return (first, first + size - 1) if 0 < size <= (1 << 32) - first else None


def _span_v6(start: bytes, length: bytes) -> Span | None:
    try:
        first = int(IPv6Address(start.decode()))
    except ValueError:
        return None
    if len(length) > 3 or int(length) > 128:
        return None
    size = 1 << (128 - int(length))
    return (first, first + size - 1) if first % size == 0 else None


__all__ = [
    "MOST_BYTES",
    "REGISTRIES",
    "BadRegistry",
    "Registry",
    "countries",
    "countries_of",
    "country_prefixes",
    "country_spans",
    "is_country",
    "read_registry",
]
