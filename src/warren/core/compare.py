"""When two things of a host are the same: what the kernel tells apart, and what counts of each as declared.

The kernel lists some things in other words than it was told (an IPv6 route without a metric has 1024, what goes
nowhere goes by lo); order never matters.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from warren.model.firewall import Table
from warren.model.prefix import Prefix
from warren.model.state import Peer, Route, RouteKind, Rule, Sysctl, WgInterface

_T = TypeVar("_T", bound=Hashable)
RouteKey = tuple[Prefix, int, int]
FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


def missing(wanted: Iterable[_T], present: Iterable[_T]) -> tuple[_T, ...]:
    """List what is wanted and not present, each once, in the order in which it is wanted."""
    there = set(present)
    return tuple(dict.fromkeys(thing for thing in wanted if thing not in there))


def by_name(interfaces: Iterable[WgInterface]) -> dict[str, WgInterface]:
    """Give devices by name."""
    return {interface.name: interface for interface in interfaces}


def same_table(one: Table, other: Table) -> bool:
    """Say whether two tables are equal, whatever has been fed to their live sets."""
    return _without_live(one) == _without_live(other)


def same_but_elements(one: Table, other: Table) -> bool:
    """Say whether two tables differ in nothing but what their sets hold."""
    return _without_elements(one) == _without_elements(other)


def _without_elements(table: Table) -> Table:
    return replace(table, sets=tuple(replace(held, elements=()) for held in table.sets))


def _without_live(table: Table) -> Table:
    sets = tuple(replace(held, elements=()) if held.live else held for held in table.sets)
    return replace(table, sets=sets)


def satisfied(setting: Sysctl, present: Mapping[str, str]) -> bool:
    """A declared setting is a floor: a larger number does as well."""
    found = present.get(setting.name, "")
    if found.isdecimal() and setting.value.isdecimal():
        return int(found) >= int(setting.value)
    return found == setting.value


def sysctl_device(name: str) -> str:
    """Give the device a kernel setting belongs to (`net.ipv4.conf.DEV.…`); empty if to none."""
    parts = name.split(".")
    return parts[3].replace("/", ".") if len(parts) > 4 and parts[2] in ("conf", "neigh") else ""


def set_along(name: str, written: Mapping[str, str]) -> str:
    """Give the value that the kernel gives a setting by itself when others are written; empty if none.

    Forwarding goes to every device and to the default for new ones, and turns IPv4's `accept_redirects` the other way
    round (ip-sysctl).
    """
    for leader in FORWARDING:
        value, version = written.get(leader, ""), leader[:9]
        if value and name.startswith(f"{version}conf.") and name.endswith(".forwarding"):
            return value
        if value and name == f"{version}conf.all.accept_redirects" and version == "net.ipv4.":
            return "0" if value != "0" else "1"
    return ""


def promote_secondaries(device: str) -> str:
    """Name the setting with which a device keeps an IPv4 subnet's other addresses when the first of them goes."""
    return f"net.ipv4.conf.{device.replace('.', '/')}.promote_secondaries"


def route_key(route: Route) -> RouteKey:
    """Give what the kernel tells two routes of a table apart by."""
    metric = route.metric or (1024 if route.prefix.version == 6 else 0)
    return route.prefix, route.table, metric


def normal_route(route: Route) -> Route:
    """The kernel shows an IPv6 route without a metric as 1024, and what goes nowhere as going by lo."""
    metric = route.metric or (1024 if route.prefix.version == 6 else 0)
    return replace(route, metric=metric, device=route.device if route.kind is RouteKind.UNICAST else "")


def plain_rule(rule: Rule) -> Rule:
    """A mark without a mask is compared whole."""
    return replace(rule, mark_mask=0xFFFFFFFF) if rule.mark and not rule.mark_mask else rule


def peer_fields(peer: Peer) -> tuple[object, ...]:
    return frozenset(peer.allowed_ips), peer.keepalive, peer.psk_fingerprint, peer.endpoint


def link_fields(interface: WgInterface) -> tuple[object, ...]:
    return interface.public_key, interface.listen_port, interface.fwmark, interface.mtu
