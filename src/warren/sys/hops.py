"""Which way a packet takes to an address, as the kernel says now (`ip route get`, ip-route(8))."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from warren.model.change import Command
from warren.model.prefix import Address
from warren.sys import ip
from warren.sys.run import Run, run


@dataclass(frozen=True, slots=True)
class Hop:
    """A device by name and number, who is next on it, from which address packets of this host leave, the MTU.

    `source` is None where the kernel names none: then whoever sends has to choose.
    """

    device: str
    index: int
    next: Address
    source: Address | None
    mtu: int


def hops(targets: Iterable[Address], run: Run = run) -> dict[Address, Hop]:
    """Find the way to each address; those are missing to which there is none, or one by the other family's router."""
    wanted = sorted(set(targets), key=lambda one: (one.version, one))
    if not wanted:
        return {}
    mtus = {link.name: link.mtu for link in ip.links(run)}
    # Status 1 stands for addresses that cannot be reached at present.
    lines = "".join(f"route get {target}\n" for target in wanted)
    told = run(Command(("ip", "-j", "-force", "-batch", "-"), lines, fine=(0, 1)))
    found: dict[Address, Hop] = {}
    for line in told.splitlines():
        for route in json.loads(line) if line.strip() else ():
            hop = _hop(route, mtus)
            if hop is not None:
                found[ip_address(route["dst"])] = hop
    return found


def _hop(route: dict[str, Any], mtus: dict[str, int]) -> Hop | None:
    device, source = route.get("dev", ""), route.get("prefsrc")
    if "via" in route or route.get("type", "unicast") not in ("unicast", "1"):
        return None
    try:
        index = socket.if_nametoindex(device)
    except OSError:  # it has gone meanwhile
        return None
    own = next((int(part["mtu"]) for part in route.get("metrics", ()) if "mtu" in part), 0)
    following = ip_address(route.get("gateway", route["dst"]))
    return Hop(device, index, following, ip_address(source) if source else None, own or mtus.get(device, 0))
