"""The network file: bytes in, values and findings out.

    source (bytes → text) → tree (YAML, with places) → reading and the nouns (hosts, portals, …) → Network

Every part reads as much as it can, so that all findings come at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from warren.core.diagnostics import finding, has_errors, in_order
from warren.core.parse.addresses import overlay_prefix
from warren.core.parse.delegates import DELEGATE_KEYS, delegates
from warren.core.parse.devices import DEVICE_KEYS, devices
from warren.core.parse.dns import DNS_KEYS
from warren.core.parse.expects import EXPECT_KEYS, RESOLVES_KEYS, WHEN_KEYS, expects
from warren.core.parse.hosts import HOST_KEYS, hosts
from warren.core.parse.knock import KNOCK_KEYS
from warren.core.parse.lab import LAB_KEYS, LINK_KEYS, NAT_KEYS, lab
from warren.core.parse.lans import DHCP_KEYS, LAN_KEYS, VLAN_KEYS
from warren.core.parse.lists import LIST_KEYS, LISTS
from warren.core.parse.names import network_name
from warren.core.parse.portals import PORTAL_KEYS, portals
from warren.core.parse.publishes import PUBLISH_KEYS, publishes
from warren.core.parse.reading import Key, Reading, each, entry, nothing, scalar
from warren.core.parse.rendezvous import SERVER_KEYS, servers
from warren.core.parse.spots import Spots
from warren.core.parse.tree import MAX_BYTES, Node, Refused, Table, compose
from warren.core.parse.wifi import WIFI_KEYS
from warren.core.source import BadText, Source, decode
from warren.model.diagnostic import Diagnostic, Where
from warren.model.dns import Dns
from warren.model.host import Host
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.portal import Portal


def _hub(node: Node, what: str, reading: Reading) -> str | None:
    """Read the hub's name; whether it can be one is for check to say."""
    name = scalar(node, what, reading, "nyc")
    return None if name is None else name.text


# In the order in which they are read: places refer to hosts.
NETWORK_KEYS: dict[str, Key[Any]] = {
    "network": Key(network_name, required=True),
    "overlay": Key(each(overlay_prefix, single=True), required=True),
    "hosts": Key(hosts, required=True),
    "devices": Key(devices),
    "hub": Key(_hub),
    "rendezvous": Key(servers),
    "delegate": Key(delegates),
    "lists": LISTS,
    "portals": Key(portals),
    "publish": Key(publishes),
    "expect": Key(expects),
    "lab": Key(lab),
}

# Every table of keys, by what it is the table of: what docs/network-file.md has to explain.
SECTIONS: dict[str, dict[str, Key[Any]]] = {
    "network": NETWORK_KEYS,
    "host": HOST_KEYS,
    "knock": KNOCK_KEYS,
    "lan": LAN_KEYS,
    "dhcp": DHCP_KEYS,
    "wifi": WIFI_KEYS,
    "vlan": VLAN_KEYS,
    "device": DEVICE_KEYS,
    "list": LIST_KEYS,
    "portal": PORTAL_KEYS,
    "dns": DNS_KEYS,
    "publish": PUBLISH_KEYS,
    "delegate": DELEGATE_KEYS,
    "rendezvous": SERVER_KEYS,
    "expect": EXPECT_KEYS,
    "when": WHEN_KEYS,
    "resolves": RESOLVES_KEYS,
    "lab": LAB_KEYS,
    "nat": NAT_KEYS,
    "link": LINK_KEYS,
}


@dataclass(frozen=True)
class Parsed:
    """A network file as read. `network` is None when a finding is an error.

    `draft` is then what could be read, with stand-ins: for `check` to look at, and for nothing else.
    """

    network: Network | None
    diagnostics: tuple[Diagnostic, ...]
    source: Source
    draft: Network | None
    spots: Spots


def parse(data: bytes, file: str) -> Parsed:
    """Read a network file. Whatever the bytes are, this raises nothing and takes bounded time and memory."""
    reading = Reading(file)
    source, root = read_tree(data, reading)
    if root is not None and "lock" in root.by_key and "network" not in root.by_key:
        says = "This is a lock file: it holds what was allotted, and nothing of what is wanted."
        reading.note("W010", root.by_key["lock"].where, says, "Give the network file beside it.")
        root = None
    if root is None:
        return Parsed(None, in_order(reading.found), source, None, Spots(file))
    draft = _network(root, reading)
    found = in_order(reading.found)
    return Parsed(None if has_errors(found) else draft, found, source, draft, Spots(file, root))


def read_tree(data: bytes, reading: Reading) -> tuple[Source, Table | None]:
    """Decode bytes and build their tree, whose top is a mapping; None, with findings, if that cannot be."""
    file = reading.file
    if len(data) > MAX_BYTES:
        says = f"The file has more than {MAX_BYTES:,} bytes, and warren reads no more."
        reading.note("W004", Where(file, 1, 1), says, "Take out what does not belong there.")
        return Source(file, ""), None
    try:
        source = decode(data, file)
    except BadText as bad:
        if bad.code == "W001":
            says, hint = f"The byte {bad.what} is not UTF-8.", "Save the file as UTF-8, or replace the character."
        else:
            says, hint = f"The control character {bad.what} cannot stand in YAML.", "Delete it."
        reading.found.append(finding(bad.code, bad.where, says, hint))
        return bad.source, None
    try:
        root = compose(source)
    except Refused as refused:
        reading.found.append(refused.diagnostic)
        return source, None
    if root is None or nothing(root):
        reading.note("W011", Where(file, 1, 1), "The file is empty.", "`warren init` writes a first network file.")
    elif not isinstance(root, Table):
        says = "The file must be a mapping of keys such as `network:` and `hosts:`."
        reading.note("W012", root.where, says, "`warren init` writes a first network file.")
    return source, root if isinstance(root, Table) else None


def _resolved(portals: tuple[Portal, ...], hosts: tuple[Host, ...]) -> tuple[Portal, ...]:
    """What machines ask for on a LAN that warren serves is asked at its portal's exit, where nothing else is said.

    Their resolver is this host, whose own way to the internet is not theirs.
    """
    served = {(host.name, lan.name) for host in hosts for lan in host.lans if lan.dhcp or lan.ra}

    def unsaid(portal: Portal) -> bool:
        place = portal.source
        return portal.dns is None and place.kind is PlaceKind.LAN and (place.host, place.lan) in served

    return tuple(replace(portal, dns=Dns(at_exit=True)) if unsaid(portal) else portal for portal in portals)


def _network(root: Table, reading: Reading) -> Network | None:
    values = entry(root, "the file", reading, NETWORK_KEYS, Where(reading.file, 1, 1)) or {}
    if "overlay" in values and not values["overlay"] and not has_errors(reading.found):
        says = "The overlay has no prefix."
        reading.note("W011", root.by_key["overlay"].where, says, "Write for instance `[10.77.0.0/24, fd77:7:7::/64]`.")
    return Network(
        name=values.get("network", "?"),
        overlay=values.get("overlay", ()),
        hosts=values.get("hosts", ()),
        hub=values.get("hub", ""),
        portals=_resolved(values.get("portals", ()), values.get("hosts", ())),
        publishes=values.get("publish", ()),
        expects=values.get("expect", ()),
        lab=values.get("lab"),
        delegates=values.get("delegate", ()),
        devices=values.get("devices", ()),
        lists=values.get("lists", ()),
        rendezvous=values.get("rendezvous", ()),
        file=reading.file,
    )
