"""Endpoints: where a host can be dialled."""

from __future__ import annotations

import re

from warren.core.parse.addresses import parse_address
from warren.core.parse.reading import Reading, scalar, show
from warren.core.parse.tree import Node, Scalar
from warren.model.endpoint import Endpoint

EXAMPLE = "nyc.example.net:51820"
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def endpoint(node: Node, what: str, reading: Reading) -> Endpoint | None:
    """Read `name:port`, `address:port` or `[ipv6]:port`."""
    text = scalar(node, what, reading, EXAMPLE)
    if text is None:
        return None
    host, port = _split(text, reading)
    if host is None:
        return None
    number = _port(port, text, reading)
    address = parse_address(host)
    if address is not None:
        if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local:
            says = f"Nobody can dial {show(host)} from another host."
            reading.note("W040", text.part(text.text.index(host), len(host)), says, "Write the host's public address.")
            return None
    elif not is_dns_name(host):
        says = f"{show(host)} is neither a DNS name nor an address."
        hint = "International names are written in their xn-- form." if not host.isascii() else f"Write `{EXAMPLE}`."
        reading.note("W040", text.part(text.text.index(host), len(host)), says, hint)
        return None
    return None if number is None else Endpoint(str(address) if address is not None else host.lower(), number)


def _split(text: Scalar, reading: Reading) -> tuple[str | None, str]:
    """Take name and port apart; None, and a finding, if they cannot be told."""
    whole = text.text
    bracketed = re.fullmatch(r"\[([^\]]*)\]:(.*)", whole)
    if bracketed:
        host = bracketed.group(1)
        address = parse_address(host)
        if address is not None and address.version == 6:
            return host, bracketed.group(2)
        says = f"Only an IPv6 address stands in brackets, and {show(host)} is none."
        reading.note("W040", text.where, says, f"Write for instance `[2001:db8::1]:51820` or `{EXAMPLE}`.")
        return None, ""
    if whole.count(":") > 1:
        guess = parse_address(whole)
        hint = f"Write `[{guess}]:51820`." if guess is not None else "Write for instance `[2001:db8::1]:51820`."
        reading.note("W040", text.where, f"In {show(whole)} the port cannot be told from the address.", hint)
        return None, ""
    host, colon, port = whole.partition(":")
    if not host or not colon:
        says = f"The endpoint {show(whole)} has no {'port' if host else 'name or address'}."
        reading.note("W040", text.where, says, f"Write for instance `{host or 'nyc.example.net'}:51820`.")
        return None, ""
    return host, port


def _port(port: str, text: Scalar, reading: Reading) -> int | None:
    if port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536:
        return int(port)
    where = text.part(len(text.text) - len(port), len(port))
    reading.note("W041", where, f"The port of an endpoint cannot be {show(port)}.", "Write a number from 1 to 65535.")
    return None


def is_dns_name(name: str) -> bool:
    """Say whether a text can be a DNS name: labels of letters, digits and hyphens, and no number at the end."""
    labels = name.removesuffix(".").split(".")
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
