"""`hosts:`: keys, endpoints, uplinks, LANs.

A host of which some value is wrong is kept with a stand-in, so that the rest of the file is not also said to
be wrong; with any error, what is read here goes no further than `check`.
"""

from __future__ import annotations

from typing import Any

from warren.core.parse.endpoints import endpoint
from warren.core.parse.knock import knock
from warren.core.parse.lans import lans
from warren.core.parse.names import check_name, device, secret_path
from warren.core.parse.reading import (
    Key,
    KnownHost,
    Reading,
    each,
    entry,
    flag,
    integer,
    named,
    nothing,
    port,
    scalar,
    show,
    table,
    word,
)
from warren.core.parse.tree import Node, Scalar, Table
from warren.model.endpoint import Endpoint
from warren.model.host import Host
from warren.model.key import KEY_BYTES, PublicKey, decode_key, looks_private

MTU_LOWEST, MTU_HIGHEST = 576, 65455  # RFC 791's least, and an IP packet's most less WireGuard's overhead
FIREWALLS = {name: name for name in ("docker", "ufw", "firewalld")}


def public_key(node: Node, what: str, reading: Reading) -> PublicKey | None:
    """Read a public key; what it says is never repeated, for it may be a private one."""
    text = scalar(node, what, reading, "kJx0…= (44 characters)")
    if text is None:
        return None
    try:
        raw = decode_key(text.text)
    except ValueError as error:
        says = f"This is no WireGuard key: {error}."
        reading.note("W031", text.where, says, "Copy the whole public key again, from `warren keys pub` or `wg show`.")
        return None
    if raw == bytes(KEY_BYTES):
        says = "This is the key of 32 zero bytes, which nobody has."
        reading.note("W032", text.where, says, "Put the host's own public key here.")
    elif looks_private(raw):
        says = "This is a private key; a public key belongs here."
        hint = "Whoever read this file knows it now: make a new pair (`warren keys gen`) and put its public key here."
        reading.note("W033", text.where, says, hint)
    else:
        return PublicKey(text.text)
    return None


def psks(node: Node, what: str, reading: Reading) -> tuple[tuple[str, str], ...] | None:
    """Read the files of preshared keys by peer."""
    got = table(node, what, reading, "Write `{PEER: /etc/warren/PEER.psk}`.")
    if got is None:
        return None
    found = [(key.text, secret_path(value, f"`{show(key.text)[1:-1]}`", reading)) for key, value in named(got, reading)]
    return tuple((peer, path) for peer, path in found if path is not None)


REFLECTED = {"mdns": "mdns"}


HOST_KEYS: dict[str, Key[Any]] = {
    "key": Key(public_key),  # its absence is for check to note: the lab makes keys
    "endpoint": Key(endpoint),
    "uplink": Key(device, required=True),
    "lans": Key(lans),
    "port": Key(port),
    "mtu": Key(integer(MTU_LOWEST, MTU_HIGHEST)),
    "psk": Key(psks),
    "private_key": Key(secret_path),
    "firewall": Key(word(FIREWALLS)),
    "reflect": Key(each(word(REFLECTED), single=True)),
    "knock": Key(knock),
    "port_mapping": Key(flag),
}


def hosts(node: Node, what: str, reading: Reading) -> tuple[Host, ...] | None:
    """Read all hosts."""
    got = table(node, what, reading, "Write one host per line: `nyc: {key: …, uplink: eth0}`.")
    if got is None:
        return None
    if not got.pairs:
        reading.note("W011", got.where, "The network has no hosts.", "Add at least one under `hosts:`.")
    return tuple(_host(key, value, reading) for key, value in named(got, reading, "W014", "The host"))


def _host(key: Scalar, node: Node, reading: Reading) -> Host:
    name = key.text
    check_name(key, "A host", reading)
    before = len(reading.found)
    values = entry(node, f"the host {show(name)}", reading, HOST_KEYS, key.where) or {}
    broken = len(reading.found) > before
    reading.hosts[name] = KnownHost(values.get("lans", ()), broken)
    written = node.by_key if isinstance(node, Table) else {}
    # Stand-ins for what was written and is wrong; `.invalid` is nobody's (RFC 2606).
    if "key" not in values and ("key" in written or not (isinstance(node, Table) or nothing(node))):
        values["key"] = PublicKey(f"(the broken key of {name})")
    if "endpoint" in written and "endpoint" not in values:
        values["endpoint"] = Endpoint(f"{name}.invalid", 51820)
    return Host(
        name=name,
        key=values.get("key", PublicKey("")),
        endpoint=values.get("endpoint"),
        uplink=values.get("uplink", "?"),
        lans=values.get("lans", ()),
        port=values.get("port"),
        mtu=values.get("mtu"),
        psk=values.get("psk", ()),
        private_key=values.get("private_key", "/etc/warren/private.key"),
        firewall=values.get("firewall"),
        reflect=tuple(dict.fromkeys(values.get("reflect", ()))),
        knock=values.get("knock"),
        port_mapping=values.get("port_mapping", True),
        at=key.where,
    )
