"""Addresses and prefixes as text, and what is wrong with them."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network

from warren.core.parse.reading import Reading, scalar, show
from warren.core.parse.tree import Node, Scalar
from warren.model.diagnostic import Where
from warren.model.prefix import Address, Family, Interface, Prefix, family_of

# A shorter prefix in main is taken for a default route in disguise (core.compile.rules).
WIDEST = {Family.IPV4: 8, Family.IPV6: 16}

_LOOKS_LIKE_PREFIX = re.compile(r"[0-9A-Fa-f:.]+/\d{1,3}")
_LOOKS_NUMERIC = re.compile(r"[0-9.]+(/\d*)?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(/\d*)?")
_LOOKS_LIKE_ADDRESS = re.compile(r"[0-9A-Fa-f:.]*[:.][0-9A-Fa-f:.]*")
_LONGEST = 64


def looks_numeric(text: str) -> bool:
    """Say whether a text is meant as an address or a prefix."""
    return bool(_LOOKS_NUMERIC.fullmatch(text))


def parse_address(text: str) -> Address | None:
    """Parse an address without scope or prefix length."""
    if len(text) > _LONGEST or not _LOOKS_LIKE_ADDRESS.fullmatch(text):
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def address(node: Node, what: str, reading: Reading) -> Address | None:
    """Read an address without a prefix length."""
    text = scalar(node, what, reading, "1.1.1.1")
    if text is None:
        return None
    found = parse_address(text.text)
    if found is None:
        says = f"{what} cannot be {show(text.text)}, which is no IPv4 or IPv6 address."
        reading.note("W050", node.where, says, "Write for instance `1.1.1.1` or `2606:4700:4700::1111`.")
    return found


def prefix_of(text: str, where: Where, what: str, reading: Reading) -> Prefix | None:
    """Parse a prefix, or an address as the prefix that holds only it; findings for all that is wrong."""
    if "/" not in text:
        address = parse_address(text)
        if address is not None:
            return ip_network(address)
    elif len(text) <= _LONGEST and _LOOKS_LIKE_PREFIX.fullmatch(text):
        try:
            prefix = ip_network(text, strict=False)
        except ValueError:
            pass  # noted below, with everything else that is no prefix
        else:
            if ip_interface(text).ip == prefix.network_address:
                return prefix
            says = f"{show(text)} has bits set after its length, so it is an address and not a network."
            reading.note("W051", where, says, f"The network is `{prefix}`.")
            return None
    says = f"{what} cannot be {show(text)}, which is no IPv4 or IPv6 prefix."
    reading.note("W050", where, says, "Write for instance `192.168.1.0/24` or `fd77::/64`.")
    return None


def prefix(node: Node, what: str, reading: Reading) -> Prefix | None:
    """Read a prefix."""
    text = scalar(node, what, reading, "192.168.1.0/24")
    return prefix_of(text.text, text.where, what, reading) if text is not None else None


def overlay_prefix(node: Node, what: str, reading: Reading) -> Prefix | None:
    """Read a prefix that tunnel addresses can be allotted from."""
    found = prefix(node, what, reading)
    if found is None:
        return None
    if not _ordinary(found.network_address) or found.prefixlen < WIDEST[family_of(found)]:
        says = f"Tunnel addresses cannot come from `{found}`."
        reading.note("W050", node.where, says, "Take a private prefix, for instance `10.77.0.0/24` or `fd77:7:7::/64`.")
        return None
    return found


def map_prefix(node: Node, what: str, reading: Reading) -> Prefix | None:
    """Read a prefix as which a LAN can be known."""
    found = prefix(node, what, reading)
    if found is None or (_ordinary(found.network_address) and found.prefixlen >= WIDEST[family_of(found)]):
        return found
    says = f"A LAN cannot be known as `{found}`: this range is not for ordinary networks, or is too wide to be one."
    reading.note("W050", node.where, says, "Take a private prefix as long as the LAN's, for instance `10.99.1.0/24`.")
    return None


def lan_address(node: Node, what: str, reading: Reading) -> Interface | None:
    """Read a host's own address on a LAN, with its prefix length."""
    text = scalar(node, what, reading, "192.168.1.1/24")
    if text is None:
        return None
    found = _interface(text)
    if found is None:
        says = f"{what} cannot be {show(text.text)}, which is no address with a prefix length."
        hint = "Write the host's address on that LAN as `ip address` shows it, for instance `192.168.1.1/24`."
        if parse_address(text.text) is not None:
            hint = f"Add the LAN's prefix length, for instance `{text.text}/{24 if '.' in text.text else 64}`."
        reading.note("W050", node.where, says, hint)
        return None
    if not _ordinary(found.ip) or found.network.prefixlen < WIDEST[family_of(found)]:
        says = f"A LAN cannot have `{found}`: this range is not for ordinary networks, or is too wide to be one."
        reading.note("W050", node.where, says, "Write the address and length that `ip address` shows on that host.")
        return None
    reserved = _reserved(found)
    if reserved:
        says = f"`{found.ip}` is the {reserved} of `{found.network}`, which no host can have."
        hint = f"Write the host's own address on that LAN, for instance `{found.network[1]}/{found.network.prefixlen}`."
        reading.note("W052", node.where, says, hint)
        return None
    return found


def _interface(text: Scalar) -> Interface | None:
    if len(text.text) > _LONGEST or not _LOOKS_LIKE_PREFIX.fullmatch(text.text):
        return None
    try:
        return ip_interface(text.text)
    except ValueError:
        return None


def _reserved(address: Interface) -> str:
    """Say which reserved address of its network this is: its own, the broadcast's, or IPv6's routers' (RFC 4291)."""
    network = address.network
    if network.max_prefixlen - network.prefixlen < 2:  # RFC 3021, RFC 6164: both addresses of a pair are hosts'
        return ""
    if address.ip == network.network_address:
        return "network address" if isinstance(address, IPv4Interface) else "subnet-router anycast address"
    if isinstance(address, IPv4Interface) and address.ip == network.broadcast_address:
        return "broadcast address"
    return ""


def _ordinary(address: Address) -> bool:
    """Say whether an address can be a machine's on a network that is routed."""
    if address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified:
        return False
    return address.version == 6 or not (int(address) >> 24 == 0 or int(address) >> 28 == 0xF)
