"""Routes, rules and LANs' devices in the words of ip(8): for batches, scripts, plans and traces."""

from __future__ import annotations

from collections.abc import Iterator

from warren.model.prefix import Prefix
from warren.model.state import MAIN, Action, LanLink, LinkKind, Route, RouteKind, Rule

_TABLE_NAMES = {MAIN: "main", 255: "local", 253: "default"}


def table_word(table: int) -> str:
    """Name a routing table as ip does."""
    return _TABLE_NAMES.get(table, str(table))


def route_words(route: Route) -> str:
    """Write what stands behind `ip route add`; zero prefixes are written out, which tells their family."""
    words = [] if route.kind is RouteKind.UNICAST else [route.kind.value]
    words.append(str(route.prefix))
    if route.via is not None:
        words += ["via", *(["inet6"] if route.via.version != route.prefix.version else []), str(route.via)]
    if route.device:
        words += ["dev", route.device]
    words += ["table", table_word(route.table)]
    if route.source is not None:
        words += ["src", str(route.source)]
    if route.metric:
        words += ["metric", str(route.metric)]
    if route.mtu:
        words += ["mtu", str(route.mtu)]
    return " ".join([*words, "proto", str(route.protocol)])


def rule_words(rule: Rule) -> str:
    """Write what stands behind `ip rule add`; the family is an option of ip itself (`-4`, `-6`)."""
    words = ["pref", str(rule.priority)]
    if rule.invert:
        words.append("not")
    if rule.source is not None:
        words += ["from", prefix_word(rule.source)]
    if rule.destination is not None:
        words += ["to", prefix_word(rule.destination)]
    if rule.iif:
        words += ["iif", rule.iif]
    if rule.oif:
        words += ["oif", rule.oif]
    if rule.mark or rule.mark_mask:
        mask = f"/{rule.mark_mask:#x}" if rule.mark_mask not in (0, 0xFFFFFFFF) else ""
        words += ["fwmark", f"{rule.mark:#x}{mask}"]
    if rule.ipproto:
        words += ["ipproto", rule.ipproto]
    if rule.sport:
        words += ["sport", str(rule.sport)]
    if rule.dport:
        words += ["dport", str(rule.dport)]
    if rule.opaque:
        words.append(rule.opaque)
    words += ["lookup", table_word(rule.table)] if rule.action is Action.LOOKUP else [rule.action.value]
    if rule.suppress_prefixlength >= 0:
        words += ["suppress_prefixlength", str(rule.suppress_prefixlength)]
    return " ".join([*words, "protocol", str(rule.protocol)])


def lan_link_lines(link: LanLink, before: LanLink | None = None) -> Iterator[str]:
    """Write the lines of `ip -batch` that make a LAN's device, or alter the ports of a bridge that is there."""
    if link.kind is LinkKind.VLAN:
        yield f"link add link {link.of} name {link.name} type vlan id {link.id}"
    elif link.kind is LinkKind.BRIDGE and before is None:
        yield f"link add name {link.name} type bridge"
    had = before.ports if before is not None else ()
    yield from (f"link set dev {port} nomaster" for port in had if port not in link.ports)
    yield from (f"link set dev {port} master {link.name}" for port in link.ports if port not in had)
    if before is None:
        yield f"link set dev {link.name} up"


def drop_lan_link_line(link: LanLink) -> str:
    """Write the line that takes it back."""
    return f"link set dev {link.name} down" if link.kind is LinkKind.RAISED else f"link del dev {link.name}"


def prefix_word(prefix: Prefix) -> str:
    """Write a prefix as people do: a single address without its length."""
    return str(prefix.network_address) if prefix.num_addresses == 1 else str(prefix)
