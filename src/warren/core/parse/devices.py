"""`devices:`: stock WireGuard apps, where their tunnel ends, and what they may reach there.

A device of which some value is wrong is kept as far as it could be read, so that places naming it are not also wrong.
"""

from __future__ import annotations

from typing import Any

from warren.core.parse.addresses import parse_address
from warren.core.parse.hosts import MTU_HIGHEST, MTU_LOWEST, public_key
from warren.core.parse.names import check_name
from warren.core.parse.places import host_name, place
from warren.core.parse.reading import Key, Reading, each, entry, flag, integer, named, nothing, scalar, show, table
from warren.core.parse.tree import Node, Scalar, Sequence, Table
from warren.model.device import Device
from warren.model.key import PublicKey
from warren.model.place import Place, PlaceKind
from warren.model.prefix import Address


def resolver(node: Node, what: str, reading: Reading) -> Address | None:
    """Read the address of a resolver."""
    text = scalar(node, what, reading, "192.168.16.1")
    if text is None:
        return None
    address = parse_address(text.text)
    if address is None or address.is_multicast or address.is_unspecified or address.is_loopback:
        says = f"{what} cannot be {show(text.text)}, which is no address of a resolver."
        reading.note("W050", node.where, says, "Write for instance `192.168.16.1`, or leave `dns:` out.")
        return None
    return address


def goal(node: Node, what: str, reading: Reading) -> Place | None:
    """Read a place that a device may reach."""
    found = place(node, what, reading)
    if found is not None and found.kind in (PlaceKind.INTERNET, PlaceKind.MAC):
        if found.kind is PlaceKind.INTERNET:
            says, hint = "The internet is not reached by `reach:`.", "Write `full_tunnel: true`."
        else:
            says = f"{show(str(found))} is a MAC, and a packet for a machine carries its address only."
            hint = f"Write `{found.host}.ADDRESS`."
        reading.note("W064", node.where, says, hint)
        return None
    return found


DEVICE_KEYS: dict[str, Key[Any]] = {
    "key": Key(public_key),  # its absence is for check to note, as a host's is
    "into": Key(host_name, required=True),
    "via": Key(host_name),
    "reach": Key(each(goal, single=True)),
    "full_tunnel": Key(flag),
    "dns": Key(each(resolver, single=True)),
    "mtu": Key(integer(MTU_LOWEST, MTU_HIGHEST)),
}


def devices(node: Node, what: str, reading: Reading) -> tuple[Device, ...] | None:
    """Read all devices."""
    got = table(node, what, reading, "Write one device per line: `phone: {key: …, into: home, reach: [home]}`.")
    if got is None:
        return None
    entries = [one for one in named(got, reading, "W014", "The device") if _named_well(one[0], reading)]
    for key, value in entries:  # devices may reach each other: all names are known before the first is read
        into = value.by_key.get("into") if isinstance(value, Table) else None
        reading.devices[key.text] = into.text if isinstance(into, Scalar) else ""
    read = [_device(key, value, reading) for key, value in entries]
    return tuple(device for device in read if device is not None)


def _named_well(key: Scalar, reading: Reading) -> bool:
    """Devices and hosts share one namespace: places are written with either."""
    check_name(key, "A device", reading)
    if key.text not in reading.hosts:
        return True
    says = f"A device is called {show(key.text)}, but so is a host."
    reading.note("W020", key.where, says, "Choose another name.")
    return False


def _device(key: Scalar, node: Node, reading: Reading) -> Device | None:
    name = key.text
    values = entry(node, f"the device {show(name)}", reading, DEVICE_KEYS, key.where) or {}
    if "into" not in values:
        return None
    written = node.by_key if isinstance(node, Table) else {}
    if "key" not in values and ("key" in written or not (isinstance(node, Table) or nothing(node))):
        values["key"] = PublicKey(f"(the broken key of {name})")
    if not values.get("reach") and _says_something(written.get("reach")):
        values["reach"] = (Place(PlaceKind.HOST, values["into"]),)  # what is written there is wrong, and that was noted
    return Device(
        name=name,
        key=values.get("key", PublicKey("")),
        into=values["into"],
        via=values.get("via", ""),
        reach=values.get("reach", ()),
        full_tunnel=values.get("full_tunnel", False),
        dns=values.get("dns", ()),
        mtu=values.get("mtu"),
        at=key.where,
    )


def _says_something(node: Node | None) -> bool:
    return bool(node.items) if isinstance(node, Sequence) else node is not None and not nothing(node)
