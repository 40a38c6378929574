"""Links, addresses, routes and rules as iproute2 lists them (ip-link(8), ip-route(8), ip-rule(8)).

Read with `-N`, so that no /etc/iproute2/rt_tables of the owner's gives our tables or protocols other names.
Changes are made elsewhere, by commands; nothing here writes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any

from warren.model.change import Command
from warren.model.prefix import FAMILIES, Address, Family, Interface, Prefix, prefix_from
from warren.model.state import MAIN, Action, Route, RouteKind, Rule
from warren.sys.errors import HostError
from warren.sys.run import Run, run

_PROTOCOLS = {"2": "kernel", "3": "boot", "4": "static", "9": "ra", "16": "dhcp", "186": "bgp", "188": "ospf"}
_KINDS = {
    "1": RouteKind.UNICAST,
    "2": RouteKind.LOCAL,
    "3": RouteKind.BROADCAST,
    "4": RouteKind.ANYCAST,
    "5": RouteKind.MULTICAST,
    "6": RouteKind.BLACKHOLE,
    "7": RouteKind.UNREACHABLE,
    "8": RouteKind.PROHIBIT,
    "9": RouteKind.THROW,
}
_ACTIONS = {
    "6": Action.BLACKHOLE,
    "7": Action.UNREACHABLE,
    "8": Action.PROHIBIT,
    "blackhole": Action.BLACKHOLE,
    "unreachable": Action.UNREACHABLE,
    "prohibit": Action.PROHIBIT,
}
_IP_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp"}
_FOREVER = 2**32 - 1  # seconds, as the kernel writes a lifetime without end
MANY = 20_000  # routes of one table that are still read one by one
_V6_METRIC = 1024  # what IPv6 gives a route without one; 0 in our model


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """One device as the kernel has it; `kind` is `wireguard`, `tun`, `veth`, …, or empty for hardware.

    `master` is the bridge that it is a port of; a VLAN has its number and the device that it is `of`.
    """

    name: str
    kind: str
    mtu: int
    up: bool
    mac: str
    addresses: tuple[Interface, ...]
    master: str = ""
    of: str = ""
    vlan: int = 0
    running_out: tuple[Interface, ...] = ()  # of these, those whose lifetime ends: nothing begins with them any more

    @property
    def lasting(self) -> tuple[Interface, ...]:
        """The addresses that are here to stay."""
        return tuple(address for address in self.addresses if address not in self.running_out)


def links(run: Run = run) -> tuple[LinkSeen, ...]:
    """List every device with its addresses, in the kernel's order."""
    return tuple(_link(entry) for entry in _json(run, "-d", "addr", "show"))


def routes(
    family: Family, *, table: int | None = None, protocol: int | None = None, run: Run = run
) -> tuple[Route, ...]:
    """List one family's routes of one table, or of all; `protocol` is filtered by the kernel.

    Without a protocol, the routing daemons' part of a table with more than MANY routes is left out: a host that
    carries the internet's whole table has a million.
    """
    chosen = ["proto", str(protocol)] if protocol is not None else []
    listed = _json(run, f"-{family.value}", "route", "show", "table", "all" if table is None else str(table), *chosen)
    if protocol is None:
        listed = _bounded(listed)
    return tuple(route for entry in listed for route in _routes(entry, family, table or MAIN, protocol))


def default_routes(family: Family, run: Run = run) -> tuple[Route, ...]:
    """List one family's default routes of the main table, whatever else is in it."""
    listed = _json(run, f"-{family.value}", "route", "show", "default")
    return tuple(route for entry in listed for route in _routes(entry, family, MAIN, None))


def rules(run: Run = run) -> tuple[Rule, ...]:
    """List the policy rules of both families, in the order in which the kernel asks them."""
    found: list[Rule] = []
    for family in FAMILIES:
        found += [_rule(entry, family) for entry in _json(run, f"-{family.value}", "rule", "show")]
    return tuple(found)


def _bounded(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the routes of routing daemons where a table holds more than MANY: nothing hangs on one of them."""
    sizes = Counter(entry.get("table") for entry in listed)
    if not sizes or max(sizes.values()) <= MANY:
        return listed
    kept = {None, *(number for number, word in _PROTOCOLS.items() if word not in ("bgp", "ospf"))}
    return [
        entry
        for entry in listed
        if sizes[entry.get("table")] <= MANY or entry["dst"] == "default" or entry.get("protocol") in kept
    ]


def _json(run: Run, *words: str) -> list[dict[str, Any]]:
    command = Command(("ip", "-j", "-N", *words), fine=(0, 2) if "route" in words else (0,))
    text = run(command).strip()
    if not text:
        return []  # ip says nothing for an empty list, and status 2 for a table that is not there
    try:
        listed = json.loads(text)
    except json.JSONDecodeError as error:
        raise HostError(f"`{' '.join(command.argv)}` answered with something other than JSON: {error}") from None
    return [entry for entry in listed if entry]


def _is_vlan(entry: dict[str, Any]) -> bool:
    return bool(entry.get("linkinfo", {}).get("info_kind") == "vlan")


def _link(entry: dict[str, Any]) -> LinkSeen:
    listed = [each for each in entry.get("addr_info", ()) if "local" in each]
    addresses = [ip_interface(f"{each['local']}/{each['prefixlen']}") for each in listed]
    return LinkSeen(
        name=entry["ifname"],
        kind=entry.get("linkinfo", {}).get("info_kind", ""),
        mtu=entry.get("mtu", 0),
        up="UP" in entry.get("flags", ()),
        mac=entry.get("address", "") if "LOOPBACK" not in entry.get("flags", ()) else "",
        addresses=tuple(addresses),
        master=entry.get("master", ""),
        of=entry.get("link") or "",
        vlan=entry.get("linkinfo", {}).get("info_data", {}).get("id", 0) if _is_vlan(entry) else 0,
        running_out=tuple(
            address
            for address, each in zip(addresses, listed, strict=True)
            if not each.get("preferred_life_time", 1) and each.get("valid_life_time", _FOREVER) < _FOREVER
        ),
    )


def _routes(entry: dict[str, Any], family: Family, table: int, protocol: int | None) -> Iterable[Route]:
    """Turn one listed route into one of ours, or one with several next hops into several."""
    kind = _KINDS.get(str(entry.get("type", "1")), RouteKind.UNICAST)
    metric = int(entry.get("metric", 0))
    hops: Sequence[dict[str, Any]] = entry.get("nexthops") or (entry,)
    mtu = next((int(part["mtu"]) for part in entry.get("metrics", ()) if "mtu" in part), 0)
    source = entry.get("prefsrc")
    for hop in hops:
        yield Route(
            prefix=_prefix(str(entry["dst"]), family),
            table=int(entry.get("table", table)),
            device=hop.get("dev", "") if kind not in _NOWHERE else "",
            kind=kind,
            via=_gateway(hop),
            source=ip_address(source) if source else None,
            metric=0 if family is Family.IPV6 and metric == _V6_METRIC else metric,
            mtu=mtu,
            protocol=_protocol(entry.get("protocol", "3" if protocol is None else protocol)),
        )


_NOWHERE = (RouteKind.UNREACHABLE, RouteKind.BLACKHOLE, RouteKind.PROHIBIT, RouteKind.THROW)  # IPv6 lists `dev lo`


def _gateway(hop: dict[str, Any]) -> Address | None:
    if "gateway" in hop:
        return ip_address(hop["gateway"])
    return ip_address(hop["via"]["host"]) if "via" in hop else None


def _protocol(word: object) -> int | str:
    text = str(word)
    return _PROTOCOLS.get(text) or (int(text) if text.isdecimal() else text)


def _prefix(text: str, family: Family) -> Prefix:
    if text in ("default", "all"):
        return family.everything
    return prefix_from(text)


_UNDERSTOOD = {
    *("priority", "src", "srclen", "dst", "dstlen", "iif", "oif", "fwmark", "fwmask", "table", "action", "protocol"),
    *("not", "suppress_prefixlen", "ipproto", "sport", "dport", "iif_detached", "oif_detached", "flags"),
}


def _rule(entry: dict[str, Any], family: Family) -> Rule:
    strange = {name: value for name, value in entry.items() if name not in _UNDERSTOOD}
    return Rule(
        family=family,
        priority=int(entry["priority"]),
        table=int(entry.get("table", 0)),
        action=_ACTIONS.get(str(entry.get("action", "")), Action.LOOKUP),
        iif=entry.get("iif", ""),
        oif=entry.get("oif", ""),
        source=_selector(entry, "src", family),
        destination=_selector(entry, "dst", family),
        mark=int(str(entry.get("fwmark", "0")), 0),
        mark_mask=int(str(entry.get("fwmask", "0xffffffff")), 0) if "fwmark" in entry else 0,
        invert="not" in entry,
        suppress_prefixlength=int(entry.get("suppress_prefixlen", -1)),
        ipproto=_ip_protocol(str(entry.get("ipproto", ""))),
        sport=int(entry.get("sport", 0)),
        dport=int(entry.get("dport", 0)),
        protocol=_protocol(entry.get("protocol", "kernel")),  # ip tells only what is neither kernel nor boot
        opaque=" ".join(f"{name} {value}" for name, value in sorted(strange.items())),
    )


def _selector(entry: dict[str, Any], field: str, family: Family) -> Prefix | None:
    if entry.get(field, "all") in ("all", "default"):
        return None
    return ip_interface(f"{entry[field]}/{entry.get(field + 'len', family.bits)}").network


def _ip_protocol(word: str) -> str:
    number = word.removeprefix("ipproto-")
    return _IP_PROTOCOLS.get(number, number)
