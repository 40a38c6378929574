"""Single values of a conf, as wg(8), wg-quick(8) and ip-address(8) read them.

Each function turns one word into a value or raises ValueError, whose text says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from warren.core.conf.conf import AUTO, OFF
from warren.model.endpoint import Endpoint
from warren.model.prefix import Address, Interface, Prefix, prefix_from

Lookup = Callable[[str], int | None]
"""Finds the number behind a name (a service's UDP port, a routing table's number), or None."""

NAME = re.compile(r"[a-zA-Z0-9_=+.-]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,8}")
_DOMAIN = re.compile(r"[A-Za-z0-9_~.-]{1,253}")
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_BUILTIN_TABLES = {"local": 255, "main": 254, "default": 253}


def interface_of(text: str) -> Interface:
    """Read an `Address`: without a length it is /32 or /128."""
    address, length = _split(text)
    if isinstance(address, IPv4Address):
        return IPv4Interface((int(address), length))
    return IPv6Interface((int(address), length))


def prefix_of(text: str) -> tuple[Prefix, bool]:
    """Read one of `AllowedIPs`; the flag says that bits beyond its length were set, and are cut off."""
    if text.partition("/")[2].isdecimal() and "%" not in text:
        with suppress(ValueError):  # what is wrong is said below
            return prefix_from(text), False
    address, length = _split(text)
    number, bits = int(address), 32 if address.version == 4 else 128
    base = number >> (bits - length) << (bits - length)
    prefix: Prefix = IPv4Network((base, length)) if bits == 32 else IPv6Network((base, length))
    return prefix, base != number


def _split(text: str) -> tuple[Address, int]:
    """Split `address[/length]`; the length is decimal, as wg insists."""
    bare, slash, tail = text.partition("/")
    address = address_of(bare)
    bits = 32 if address.version == 4 else 128
    if not slash:
        return address, bits
    if not tail.isascii() or not tail.isdecimal() or int(tail) > bits:
        raise ValueError(f"the length after the / goes from 0 to {bits}")
    return address, int(tail)


def address_of(text: str) -> Address:
    """Read an address, v4 or v6, without a zone."""
    if "%" in text:
        raise ValueError("a zone (%) has no place here")
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        form = "an IPv6 address is up to eight groups of hex digits" if ":" in text else _FOUR
        raise ValueError(form) from None


_FOUR = "an IPv4 address is four numbers from 0 to 255"


def resolver_of(text: str) -> Address | str:
    """Read a word of `DNS`: a name server's address, or a domain to search; wg-quick tells them apart like this."""
    if re.fullmatch(r"[0-9.]+", text) or ":" in text:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    if not _DOMAIN.fullmatch(text):
        raise ValueError("no domain")
    return text


def endpoint_of(text: str, services: Lookup) -> Endpoint:
    """Read `host:port` or `[address]:port`; the port may be a service's name."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError("an address in brackets is followed by : and a port")
        address_of(host.partition("%")[0])
        port = rest[1:]
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError("the port is missing")
        if ":" in host:
            raise ValueError("an IPv6 address stands in [brackets]")
        if not _HOST.fullmatch(host):
            raise ValueError("the host is neither an address nor a name")
    if not port:
        raise ValueError("the port is missing")
    return Endpoint(host, port_of(port, services, least=1))


def port_of(text: str, services: Lookup, *, least: int = 0) -> int:
    """Read a UDP port: a number or a service's name."""
    number = int(text) if _NUMBER.fullmatch(text) else services(text)
    if number is None or not least <= number <= 65535:
        raise ValueError(f"“{text}” is no UDP port and no service's name")
    return number


def mark_of(text: str) -> int:
    """Read `FwMark`: off, decimal, or hexadecimal after 0x."""
    if text.lower() == "off":
        return 0
    number = int(text, 16) if _HEX.fullmatch(text) else int(text) if _NUMBER.fullmatch(text) else -1
    if not 0 <= number < 2**32:
        raise ValueError("no mark")
    return number


def keepalive_of(text: str) -> int:
    """Read `PersistentKeepalive`: off or seconds."""
    if text.lower() == "off":
        return 0
    if not _NUMBER.fullmatch(text) or int(text) > 65535:
        raise ValueError("no interval")
    return int(text)


def mtu_of(text: str) -> int:
    """Read `MTU`."""
    if not _NUMBER.fullmatch(text) or not 68 <= int(text) <= 65535:
        raise ValueError("no MTU")
    return int(text)


def table_of(text: str, tables: Lookup) -> int:
    """Read `Table`: off, auto, a number as ip(8) takes it, or a name."""
    if text in ("off", "auto"):
        return OFF if text == "off" else AUTO
    if _HEX.fullmatch(text):
        number: int | None = int(text, 16)
    elif _NUMBER.fullmatch(text):
        number = int(text)
    else:
        number = _BUILTIN_TABLES.get(text) or tables(text)
    if number is None or not 1 <= number < 2**32:
        raise ValueError("no table")
    return number


def truth_of(text: str) -> bool:
    """Read `SaveConfig`."""
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise ValueError("neither true nor false")
    return words[text.lower()]


def order(prefix: Prefix) -> tuple[int, int, int]:
    """Sort prefixes by family, address and length."""
    return prefix.version, int(prefix.network_address), prefix.prefixlen
