"""`dns:` of a portal: `exit`, resolvers, or two sides between which answers are judged."""

from __future__ import annotations

import re
from typing import Any

from warren.core.parse.addresses import parse_address
from warren.core.parse.destinations import LIST, destinations, list_use
from warren.core.parse.endpoints import is_dns_name
from warren.core.parse.reading import Key, Reading, each, entry, nothing, scalar, show, word
from warren.core.parse.tree import Node, Scalar, Table
from warren.model.dns import DOH_PATH, PORTS, Dns, Privacy, Resolver, Transport
from warren.model.prefix import Address

EXIT = "exit"
MOST = 8  # resolvers of one side
EXAMPLE = "`9.9.9.9`, `tls://9.9.9.9`, `https://9.9.9.9/dns-query` or `tls://9.9.9.9#dns.quad9.net`"
_WRITTEN = re.compile(
    r"((?P<scheme>[A-Za-z]+)://)?"
    r"(?P<host>\[[^\]/#]*\]|[^/#\[\]]*?)(:(?P<port>[0-9]{1,8}))?"
    r"(?P<path>/[^#\s]*)?(#(?P<name>.*))?"
)
_PATH = re.compile(r"/[\w./~-]{0,200}", re.ASCII)


def resolver(node: Node, what: str, reading: Reading) -> Resolver | None:
    """Read an address, or a URL of a resolver that is spoken to by TLS or HTTPS."""
    text = scalar(node, what, reading, "9.9.9.9")
    if text is None:
        return None
    address = parse_address(text.text)  # an IPv6 address by itself has colons that are no port's
    if address is not None:
        if _can_be_asked(address):
            return Resolver(address)
        _note(text, what, reading)
        return None
    found = _WRITTEN.fullmatch(text.text)
    if found is None:
        _note(text, what, reading)
        return None
    host = found["host"].strip("[]")
    address = parse_address(host)
    schemes = {transport.value: transport for transport in Transport}
    scheme = schemes.get((found["scheme"] or Transport.PLAIN).lower())
    if address is None and scheme is not None and found["scheme"] and is_dns_name(host):
        says = f"{show(host)} is a name, which would itself have to be resolved before anybody could be asked."
        path = (found["path"] or DOH_PATH) if scheme is Transport.HTTPS else ""
        hint = f"Write the resolver's address, and its name behind it: `{scheme}://ADDRESS{path}#{host}`."
        reading.note("W196", text.where, says, hint)
        return None
    port = int(found["port"]) if found["port"] else 0
    name, path = found["name"], found["path"] or ""
    plain = scheme is Transport.PLAIN
    if (
        address is None
        or scheme is None
        or not _can_be_asked(address)
        or (found["port"] and not 0 < port < 65536)
        or (path not in ("", "/") and (scheme is not Transport.HTTPS or not _PATH.fullmatch(path)))
        or (name is not None and (plain or not is_dns_name(name)))
        or (plain and path)
    ):
        _note(text, what, reading)
        return None
    return Resolver(address, scheme, port or PORTS[scheme], (name or "").lower(), path.rstrip("/") or DOH_PATH)


def _can_be_asked(address: Address) -> bool:
    return not (address.is_multicast or address.is_unspecified or address.is_loopback or address.is_link_local)


def _note(text: Scalar, what: str, reading: Reading) -> None:
    reading.note("W195", text.where, f"{what} cannot be {show(text.text)}, which is no resolver.", f"Write {EXAMPLE}.")


def _side(node: Node, what: str, reading: Reading) -> tuple[Resolver, ...] | None:
    """Read the resolvers of one side: at least one, and not so many that one of them is never asked."""
    found = each(resolver, single=True)(node, what, reading)
    if found is None:
        return None
    written = 1 if isinstance(node, Scalar) else len(getattr(node, "items", ()))
    if nothing(node) or not 0 < written <= MOST:
        says = f"{what} names {'no resolver' if not written or nothing(node) else f'more than {MOST} resolvers'}."
        reading.note("W195", node.where, says, f"Write {EXAMPLE}.")
        return None
    return tuple(dict.fromkeys(found)) if len(found) == written else None


def _trusted(node: Node, what: str, reading: Reading) -> str | tuple[Resolver, ...] | None:
    if isinstance(node, Scalar) and node.text == EXIT:
        return EXIT
    return _side(node, what, reading)


def _name(node: Node, what: str, reading: Reading) -> str | None:
    """Read a name, which stands for itself and all below it: `example.org`, `.cn`; or a list of such, `list:NAME`."""
    text = scalar(node, what, reading, "example.org")
    if text is None:
        return None
    kind, colon, listed = text.text.partition(":")
    if colon and kind == LIST:
        use = list_use(listed, node, reading)
        return None if use is None else use.name
    name = text.text.lower().removeprefix("*.").strip(".")
    if name and is_dns_name(name):
        return name
    says = f"{what} cannot be {show(text.text)}, which is no name of the DNS."
    hint = "Write for instance `example.org`, which stands for all below it too."
    if not text.text.isascii():
        hint = "International names are written in their xn-- form."
    reading.note("W016", node.where, says, hint)
    return None


DNS_KEYS: dict[str, Key[Any]] = {
    "domestic": Key(_side, required=True),
    "trusted": Key(_trusted, required=True),
    "domestic_set": Key(destinations),
    "domestic_names": Key(each(_name, single=True)),
    "trusted_names": Key(each(_name, single=True)),
    "privacy": Key(word({value.value: value for value in Privacy})),
}


def dns(node: Node, what: str, reading: Reading) -> Dns:
    """Read how names are resolved for a portal; what could not be read, and was noted, leaves it empty."""
    if isinstance(node, Scalar) and node.text == EXIT:
        return Dns(at_exit=True, at=node.where)
    if not isinstance(node, Table):
        side = _side(node, what, reading)
        return Dns(side or (), at=node.where)
    before = len(reading.found)
    values = entry(node, "`dns:`", reading, DNS_KEYS) or {}
    if len(reading.found) > before or not {"domestic", "trusted"} <= values.keys():
        return Dns(at=node.where)
    at_exit = values["trusted"] == EXIT
    return Dns(
        trusted=() if at_exit else values["trusted"],
        at_exit=at_exit,
        domestic=values["domestic"],
        domestic_set=values.get("domestic_set", ()),
        domestic_names=tuple(dict.fromkeys(values.get("domestic_names", ()))),
        trusted_names=tuple(dict.fromkeys(values.get("trusted_names", ()))),
        privacy=values.get("privacy", Privacy.STRICT),
        at=node.where,
    )
