"""The lock file: what `core.allot` allotted, as YAML that git can merge and people can read.

    lock: 1
    devices:
      phone: [10.77.0.9, "fd77:7:7::9"]
    hosts:
      nyc:
        addresses: [10.77.0.1, "fd77:7:7::1"]
        devices:
          portals: {port: 51820}
          portals-paris: {peer: paris, port: 51821}
        chains:
          "nyc.192.168.1.51 -> paris,tokyo": [10.77.0.4, "fd77:7:7::4"]
        maps:
          eth1: {192.168.1.0/24: 10.64.0.0/24}
        delegated:
          eth1: {paris: "2001:db8:77:100::/64"}
        followed:
          eth2: "2001:db8:99::/56"

Sorted by name, one line per thing, so that the same lock is always the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from warren.core.allot import allot, lock_is_current
from warren.core.diagnostics import finding, has_errors, in_order
from warren.core.parse import read_tree
from warren.core.parse.addresses import parse_address, prefix, prefix_of
from warren.core.parse.reading import Key, Reader, Reading, each, entry, integer, named, port, scalar, show, table
from warren.core.parse.spots import Spots
from warren.core.parse.tree import Node, Scalar, Table
from warren.model.diagnostic import Diagnostic, Where
from warren.model.lock import ChainLock, DelegatedLock, DeviceLock, FollowedLock, GuestLock, HostLock, Lock, MapLock
from warren.model.mapped import MappedPrefix
from warren.model.prefix import FAMILIES, Address, Prefix

__all__ = ["allot", "lock_is_current", "lock_name", "parse_lock", "render_lock"]

FORMAT = 1
HEAD = "# Made by `warren lock`; keep it in git beside the network file. What is in here never moves by itself.\n"
HINT = "Mend the place, or take the lock from git as it was and run `warren lock FILE`."

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@/-]*")
_NO_TEXT = re.compile(r"[0-9.eE_+-]+|true|false|null|yes|no|on|off|y|n", re.IGNORECASE)


def lock_name(file: str) -> str:
    """Name the lock file that lies beside a network file: portals.yaml has portals.lock."""
    folder, slash, name = file.rpartition("/")
    stem = re.sub(r"\.(ya?ml|json)$", "", name) or name
    return f"{folder}{slash}{stem}.lock"


def render_lock(lock: Lock) -> str:
    """Write a lock as the text of its file."""
    return HEAD + "".join(f"{line}\n" for line in _lines(lock))


def _lines(lock: Lock) -> Iterator[str]:
    yield f"lock: {FORMAT}"
    if lock.guests:
        yield "devices:"
    for guest in sorted(lock.guests, key=lambda guest: guest.name):
        yield f"  {_text(guest.name)}: {_addresses(guest.addresses)}"
    yield "hosts:" if lock.hosts else "hosts: {}"
    for host in sorted(lock.hosts, key=lambda host: host.name):
        yield f"  {_text(host.name)}:"
        yield f"    addresses: {_addresses(host.addresses)}"
        yield "    devices:"
        for device in sorted(host.devices, key=lambda device: device.peer):
            peer = f"peer: {_text(device.peer)}, " if device.peer else ""
            yield f"      {_text(device.name)}: {{{peer}port: {device.port}}}"
        if host.chains:
            yield "    chains:"
        for chain in sorted(host.chains, key=lambda chain: chain.portal):
            yield f"      {_text(chain.portal)}: {_addresses(chain.addresses)}"
        if host.maps:
            yield "    maps:"
        for held in sorted(host.maps, key=lambda held: held.lan):
            pairs = ", ".join(f"{_prefix(pair.own)}: {_prefix(pair.seen)}" for pair in held.prefixes)
            yield f"      {_text(held.lan)}: {{{pairs}}}"
        if host.delegated:
            yield "    delegated:"
        for lan, given in groupby(host.delegated, key=lambda one: one.lan):
            prefixes = ", ".join(f"{_text(one.source)}: {json.dumps(str(one.prefix))}" for one in given)
            yield f"      {_text(lan)}: {{{prefixes}}}"
        if host.followed:
            yield "    followed:"
        for seen in host.followed:
            yield f"      {_text(seen.device)}: {json.dumps(str(seen.prefix))}"


def _text(text: str) -> str:
    """Write a text so that every YAML program reads it as text."""
    return text if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text) else json.dumps(text)


def _addresses(addresses: tuple[Address, ...]) -> str:
    return f"[{', '.join(str(one) if one.version == 4 else json.dumps(str(one)) for one in addresses)}]"


def _prefix(prefix: Prefix) -> str:
    return str(prefix) if prefix.version == 4 else json.dumps(str(prefix))


# --- reading ---------------------------------------------------------------------------------------------


def _address(node: Node, what: str, reading: Reading) -> Address | None:
    text = scalar(node, what, reading, "10.77.0.1")
    if text is None:
        return None
    address = parse_address(text.text)
    if address is None:
        reading.note("W102", node.where, f"{what} cannot be {show(text.text)}, which is no address.", HINT)
    return address


_addresses_of: Reader[tuple[Address, ...]] = each(_address)


def _name(node: Node, what: str, reading: Reading) -> str | None:
    text = scalar(node, what, reading, "paris")
    return None if text is None else text.text


DEVICE_KEYS: dict[str, Key[Any]] = {
    "peer": Key(_name),
    "port": Key(port, required=True),
}


def _devices(node: Node, what: str, reading: Reading) -> tuple[DeviceLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    found = []
    for key, value in named(got, reading):
        values = entry(value, f"the device {show(key.text)}", reading, DEVICE_KEYS, key.where)
        if values and "port" in values:
            found.append(DeviceLock(values.get("peer", ""), key.text, values["port"]))
    return tuple(sorted(found, key=lambda device: device.peer))


def _chains(node: Node, what: str, reading: Reading) -> tuple[ChainLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    read = [
        (key.text, _addresses_of(value, f"the chain {show(key.text)}", reading)) for key, value in named(got, reading)
    ]
    return tuple(ChainLock(portal, _by_family(addresses)) for portal, addresses in sorted(read) if addresses)


def _maps(node: Node, what: str, reading: Reading) -> tuple[MapLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    read = [(key.text, _pairs(value, f"the map of {show(key.text)}", reading)) for key, value in named(got, reading)]
    return tuple(MapLock(lan, pairs) for lan, pairs in sorted(read) if pairs)


def _pairs(node: Node, what: str, reading: Reading) -> tuple[MappedPrefix, ...]:
    got = table(node, what, reading, HINT)
    found = []
    for key, value in named(got, reading) if got is not None else ():
        own, seen = prefix_of(key.text, key.where, what, reading), prefix(value, what, reading)
        if own is None or seen is None:
            continue
        if (own.version, own.prefixlen) == (seen.version, seen.prefixlen):
            found.append(MappedPrefix(own, seen))
        else:
            reading.note("W102", value.where, f"{what} is no 1:1 map: `{own}` cannot be `{seen}`.", HINT)
    return tuple(found)


def _delegated(node: Node, what: str, reading: Reading) -> tuple[DelegatedLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    found = []
    for lan, value in named(got, reading):
        by_source = table(value, f"the LAN {show(lan.text)}", reading, HINT)
        for source, held in named(by_source, reading) if by_source is not None else ():
            given = prefix(held, f"what {show(lan.text)} has", reading)
            if given is not None:
                found.append(DelegatedLock(lan.text, source.text, given))
    return tuple(sorted(found, key=lambda one: (one.lan, one.source)))


def _followed(node: Node, what: str, reading: Reading) -> tuple[FollowedLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    read = [(key.text, prefix(value, f"what {show(key.text)} has", reading)) for key, value in named(got, reading)]
    return tuple(FollowedLock(device, seen) for device, seen in sorted(read) if seen is not None)


def _by_family(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(address for family in FAMILIES for address in addresses if address.version == family)


HOST_KEYS: dict[str, Key[Any]] = {
    "addresses": Key(_addresses_of, required=True),
    "devices": Key(_devices, required=True),
    "chains": Key(_chains),
    "maps": Key(_maps),
    "delegated": Key(_delegated),
    "followed": Key(_followed),
}


def _guests(node: Node, what: str, reading: Reading) -> tuple[GuestLock, ...] | None:
    got = table(node, what, reading, HINT)
    if got is None:
        return None
    read = [
        (key.text, _addresses_of(value, f"the device {show(key.text)}", reading)) for key, value in named(got, reading)
    ]
    return tuple(GuestLock(name, _by_family(addresses)) for name, addresses in sorted(read) if addresses)


def _hosts(node: Node, what: str, reading: Reading) -> tuple[HostLock, ...] | None:
    got = table(node, what, reading, HINT)
    return None if got is None else tuple(_host(key, value, reading) for key, value in named(got, reading))


def _host(key: Scalar, node: Node, reading: Reading) -> HostLock:
    values = entry(node, f"the host {show(key.text)}", reading, HOST_KEYS, key.where) or {}
    return HostLock(
        key.text,
        _by_family(values.get("addresses", ())),
        values.get("devices", ()),
        values.get("chains", ()),
        values.get("maps", ()),
        values.get("delegated", ()),
        values.get("followed", ()),
    )


LOCK_KEYS: dict[str, Key[Any]] = {
    "lock": Key(integer(FORMAT, FORMAT, "W102"), required=True),
    "devices": Key(_guests),
    "hosts": Key(_hosts, required=True),
}


def parse_lock(data: bytes, file: str) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """Read a lock file; None when a finding is an error."""
    reading = Reading(file)
    _, root = read_tree(data, reading)
    if root is None:
        return None, _as_lock_findings(reading.found)
    values = entry(root, "the lock", reading, LOCK_KEYS, Where(file, 1, 1)) or {}
    lock = Lock(tuple(sorted(values.get("hosts", ()), key=lambda host: host.name)), values.get("devices", ()))
    found = _as_lock_findings(reading.found) or _twice(lock, Spots(file, root), root)
    return None if has_errors(found) else lock, found


def _as_lock_findings(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Turn what is wrong with the words of a lock into the one finding that fits: nobody writes it by hand."""
    return in_order(one if one.code < "W010" else finding("W102", one.where, one.says, HINT) for one in found)


def _twice(lock: Lock, spots: Spots, root: Table) -> tuple[Diagnostic, ...]:
    """Find what the lock gives to two: addresses in the network, names and ports on a host."""
    found = []
    holders: dict[object, str] = {}

    def claim(thing: object, what: str, holder: str, where: Where) -> None:
        first = holders.setdefault(thing, holder)
        if first is not holder:
            says = f"{what} is given to {first} and to {holder}."
            hint = "Delete the entry that came later and run `warren lock FILE`, which allots it anew."
            found.append(finding("W103", where, says, hint))

    for guest in lock.guests:
        for at, address in enumerate(guest.addresses):
            claim(address, f"`{address}`", f"`{guest.name}`", spots(None, "devices", guest.name, at))
    for host in lock.hosts:
        for at, address in enumerate(host.addresses):
            claim(address, f"`{address}`", f"`{host.name}`", spots(None, "hosts", host.name, "addresses", at))
        for device in host.devices:
            where = spots(None, "hosts", host.name, "devices", device.name)
            claim((host.name, device.port), f"Port {device.port} of `{host.name}`", f"`{device.name}`", where)
            peer = f"`{device.peer}`" if device.peer else "the peers that share one"
            claim((host.name, "peer", device.peer), f"The device for {peer}", f"`{device.name}`", where)
        for chain in host.chains:
            for at, address in enumerate(chain.addresses):
                where = spots(None, "hosts", host.name, "chains", chain.portal, at)
                claim(address, f"`{address}`", f"the chain `{chain.portal}`", where)
        for held in host.maps:
            for pair in held.prefixes:
                where = spots(None, "hosts", host.name, "maps", held.lan, str(pair.own))
                claim(pair.seen, f"`{pair.seen}`", f"the LAN `{host.name}.{held.lan}`", where)
    return in_order(found)
