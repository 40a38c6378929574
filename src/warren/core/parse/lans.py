"""`lans:` of a host: addresses, and what warren does for the machines there."""

from __future__ import annotations

import re
from typing import Any

from warren.core.parse.addresses import lan_address, looks_numeric, map_prefix, parse_address
from warren.core.parse.durations import duration
from warren.core.parse.names import check_device, device
from warren.core.parse.reading import (
    Key,
    Reader,
    Reading,
    each,
    entry,
    flag,
    integer,
    named,
    nothing,
    scalar,
    show,
)
from warren.core.parse.reading import table as mapping
from warren.core.parse.tree import Node, Scalar
from warren.core.parse.wifi import wifi
from warren.model.host import Lan
from warren.model.lan_words import LEASE, Dhcp, Static, Vlan
from warren.model.prefix import Address, Prefix

AUTO = "auto"
LEASE_LEAST, LEASE_MOST = 120, 30 * 86400  # seconds; dnsmasq gives none for less than two minutes
MOST_STATIC = 1000

_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_lease = duration((LEASE_LEAST, LEASE_MOST), "from 2 minutes to 30 days", "Leave it out for 12 hours.", "W211")

_map_prefixes: Reader[tuple[Prefix, ...]] = each(map_prefix, single=True)


def lan_map(node: Node, what: str, reading: Reading) -> str | tuple[Prefix, ...] | None:
    """Read what a LAN is known as: `auto`, or prefixes."""
    if isinstance(node, Scalar) and node.text == AUTO:
        return AUTO
    if isinstance(node, Scalar) and not nothing(node) and not looks_numeric(node.text):
        says = f"{what} cannot be {show(node.text)}, which is no IPv4 or IPv6 prefix."
        reading.note("W050", node.where, says, "Write `auto`, or a prefix as long as the LAN's: `10.99.1.0/24`.")
        return None
    return _map_prefixes(node, what, reading)


# --- DHCP ----------------------------------------------------------------------------------------------------


def _range(node: Node, what: str, reading: Reading) -> tuple[Address, Address] | None:
    """Read the first and the last address that is given away; whether they fit the LAN is for check to say."""
    text = scalar(node, what, reading, "192.168.1.100-192.168.1.199")
    if text is None:
        return None
    first, last = (parse_address(part.strip()) for part in (text.text.partition("-")[0], text.text.partition("-")[2]))
    if first is None or last is None or first.version != 4 or last.version != 4 or int(first) > int(last):
        says = f"{what} cannot be {show(text.text)}: two IPv4 addresses with a hyphen between, the lower one first."
        reading.note("W210", node.where, says, "Write for instance `192.168.1.100-192.168.1.199`.")
        return None
    return first, last


def _static(node: Node, what: str, reading: Reading) -> tuple[Static, ...] | None:
    """Read which machine is always given which address."""
    got = mapping(node, what, reading, "Write `{02:00:5e:00:00:32: 192.168.1.50}`.")
    if got is None:
        return None
    found = []
    for key, value in list(named(got, reading))[:MOST_STATIC]:
        address = scalar(value, f"the address of {show(key.text)}", reading, "192.168.1.50")
        parsed = parse_address(address.text) if address is not None else None
        octets = key.text.lower()
        if not _MAC.fullmatch(key.text) or int(octets[:2], 16) & 1:
            says = f"{show(key.text)} is no MAC of a machine."
            reading.note("W212", key.where, says, "Write it as `ip link` shows it there: `02:00:5e:00:00:32`.")
        elif address is not None and (parsed is None or parsed.version != 4):
            says = f"{show(address.text)} is no IPv4 address."
            reading.note("W050", value.where, says, "Write for instance `192.168.1.50`.")
        elif parsed is not None:
            found.append(Static(octets, parsed, key.where))
    if len(got.pairs) > MOST_STATIC:
        says = f"{what} has {len(got.pairs)} machines, and {MOST_STATIC} are the most."
        reading.note("W016", got.where, says, "Leave those to the range that need no fixed address.")
    return tuple(found)


DHCP_KEYS: dict[str, Key[Any]] = {"range": Key(_range), "lease": Key(_lease), "static": Key(_static)}


def dhcp(node: Node, what: str, reading: Reading) -> Dhcp | None:
    """Read whether and how IPv4 addresses are given away; `false` is as if it did not stand there."""
    if isinstance(node, Scalar):
        return Dhcp(at=node.where) if flag(node, what, reading) else None
    values = entry(node, what, reading, DHCP_KEYS)
    if values is None:
        return None
    first, last = values.get("range", (None, None))
    return Dhcp(first, last, values.get("lease", LEASE), values.get("static", ()), node.where)


# --- devices that warren makes -------------------------------------------------------------------------------

VLAN_KEYS: dict[str, Key[Any]] = {"of": Key(device, required=True), "id": Key(integer(1, 4094), required=True)}


def vlan(node: Node, what: str, reading: Reading) -> Vlan | None:
    """Read which VLAN of which device a LAN is."""
    values = entry(node, what, reading, VLAN_KEYS)
    return Vlan(values["of"], values["id"]) if values is not None and len(values) == len(VLAN_KEYS) else None


def bridge(node: Node, what: str, reading: Reading) -> tuple[str, ...] | None:
    """Read the ports of a bridge; one without any would be a LAN that nobody is on."""
    ports = each(device, single=True)(node, what, reading)
    if ports == () and (nothing(node) or not getattr(node, "items", ())):
        reading.note("W012", node.where, f"{what} names no port.", "Write for instance `bridge: [eth1, eth2]`.")
    return ports


LAN_KEYS: dict[str, Key[Any]] = {
    "address": Key(each(lan_address, single=True), required=True),
    "closed": Key(flag),
    "map": Key(lan_map),
    "dhcp": Key(dhcp),
    "ra": Key(flag),
    "wifi": Key(wifi),
    "vlan": Key(vlan),
    "bridge": Key(bridge),
}


def lans(node: Node, what: str, reading: Reading) -> tuple[Lan, ...] | None:
    """Read a host's LANs, by device; a broken one is kept without addresses."""
    got = mapping(node, what, reading, "Write `{eth1: {address: 192.168.1.1/24}}`.")
    return None if got is None else tuple(_lan(key, value, reading) for key, value in named(got, reading))


def _lan(key: Scalar, node: Node, reading: Reading) -> Lan:
    check_device(key.text, key.where, reading)
    values = entry(node, f"the LAN {show(key.text)}", reading, LAN_KEYS, key.where) or {}
    written = values.get("map", ())
    return Lan(
        key.text,
        values.get("address", ()),
        values.get("closed", False),
        key.where,
        maps=() if written == AUTO else written,
        map_auto=written == AUTO,
        dhcp=values.get("dhcp"),
        ra=values.get("ra", False),
        wifi=values.get("wifi"),
        vlan=values.get("vlan"),
        bridge=values.get("bridge", ()),
    )
