"""Rules and tables of one family: which route a packet takes, as the kernel decides it.

Rules are tried by priority, the earlier made first among equals (fib_rules_lookup). A table answers with the
longest prefix, and among routes of one prefix with the lowest metric; a table without an answer, or a `throw`,
lets the next rule try; `unreachable`, `prohibit` and `blackhole` end the search (fib_table_lookup,
fib6_rule_action). Suppression passes over a route that was found and is too short, never over an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from warren.model.prefix import Address, Family, Interface, Prefix, host_prefix
from warren.model.state import MAIN, Action, Route, RouteKind, Rule
from warren.model.trace import RouteHit, RuleHit, Step

LOCAL = 255
DEFAULT = 253
LOOPBACK = "lo"
_IPV6_METRIC = 1024  # what the kernel writes for metric 0 (IP6_RT_PRIO_USER)
_ERRORS = (RouteKind.UNREACHABLE, RouteKind.BLACKHOLE, RouteKind.PROHIBIT)


@dataclass(slots=True)
class Key:
    """What a lookup knows (struct flowi): `source` None is not chosen yet; `iif` is `lo` for local packets.

    Never altered; not frozen because one is made for every lookup.
    """

    destination: int
    source: int | None
    iif: str
    oif: str = ""
    mark: int = 0
    proto: str = ""
    sport: int = 0
    dport: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup gave: the route, or None; with the rule that decided, if one did."""

    route: Route | None
    rule: Rule | None

    @property
    def usable(self) -> Route | None:
        """The route if it is one that packets can take or be delivered by."""
        return None if self.route is None or self.route.kind in _ERRORS else self.route

    @property
    def says(self) -> str:
        """Why there is no way, in words."""
        if self.route is not None:
            return f"the route for {self.route.prefix} says {self.route.kind}"
        if self.rule is not None:
            return f"rule {self.rule.priority} says {self.rule.action}"
        return "no rule leads to a route"


class RouteTable:
    """One routing table, indexed by prefix length."""

    def __init__(self, family: Family) -> None:
        self._bits = family.bits
        self._metric = 0 if family is Family.IPV4 else _IPV6_METRIC
        self._by_length: dict[int, dict[int, list[Route]]] = {}
        self._lengths: list[tuple[int, dict[int, list[Route]]]] = []

    def add(self, route: Route) -> None:
        """Put a route in, behind those of the same prefix and metric."""
        length = route.prefix.prefixlen
        known = self._by_length.get(length)
        if known is None:
            known = self._by_length[length] = {}
            by_length = sorted(self._by_length.items(), reverse=True, key=lambda entry: entry[0])
            self._lengths = [(self._bits - size, routes) for size, routes in by_length]
        same = known.setdefault(int(route.prefix.network_address) >> (self._bits - length), [])
        same.append(route)
        if len(same) > 1:
            same.sort(key=self._weight)

    def _weight(self, route: Route) -> int:
        return route.metric or self._metric

    def find(self, destination: int, oif: str) -> Route | None:
        """Give the route for a destination; with `oif`, only a route by that device will do."""
        for shift, routes in self._lengths:
            for route in routes.get(destination >> shift, ()):
                if not oif or route.device == oif or route.kind in _ERRORS:
                    return route
        return None


class _Rule:
    """A rule with its selectors as integers."""

    __slots__ = (
        *(
            "rule",
            "iif",
            "oif",
            "src",
            "src_shift",
            "dst",
            "dst_shift",
            "mark",
            "mask",
            "proto",
            "sport",
            "dport",
            "unset",
        ),
        *("invert", "lookup", "table", "suppress", "opaque"),
    )

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.iif, self.oif, self.invert, self.table = rule.iif, rule.oif, rule.invert, rule.table
        self.mask = rule.mark_mask
        self.mark = rule.mark
        self.unset = 0 if rule.family is Family.IPV4 else -1
        self.src, self.src_shift = _bits(rule.source)
        self.dst, self.dst_shift = _bits(rule.destination)
        self.proto, self.sport, self.dport = rule.ipproto, rule.sport, rule.dport
        self.lookup = rule.action is Action.LOOKUP
        self.suppress = rule.suppress_prefixlength
        self.opaque = bool(rule.opaque)

    def matches(self, key: Key) -> bool:
        """Say whether every selector holds (fib_rule_match)."""
        return self._holds(key) is not self.invert

    def _holds(self, key: Key) -> bool:
        if self.iif and self.iif != key.iif:
            return False
        if self.oif and self.oif != key.oif:
            return False
        if self.mask and (key.mark ^ self.mark) & self.mask:
            return False
        if self.src is not None:
            # IPv4 takes a source that is not chosen yet for 0.0.0.0, IPv6 lets no `from` match it.
            source = self.unset if key.source is None else key.source
            if source >> self.src_shift != self.src:
                return False
        if self.dst is not None and key.destination >> self.dst_shift != self.dst:
            return False
        if self.proto and self.proto != key.proto:
            return False
        if self.sport and self.sport != key.sport:
            return False
        return not (self.dport and self.dport != key.dport)


def _bits(prefix: Prefix | None) -> tuple[int | None, int]:
    if prefix is None or prefix.prefixlen == 0:
        return None, 0
    shift = prefix.max_prefixlen - prefix.prefixlen
    return int(prefix.network_address) >> shift, shift


class Fib:
    """All rules and tables of a family on one host."""

    def __init__(self, family: Family, rules: Iterable[Rule], routes: Iterable[Route], devices: Iterable[str]) -> None:
        """Index them. Routes whose device is not among `devices` do not exist; rules keep the given order."""
        self.family = family
        self.tables: dict[int, RouteTable] = {}
        present = {LOOPBACK, *devices}
        for route in routes:
            if route.prefix.version == family and (not route.device or route.device in present):
                self.add(route)
        known = [rule for rule in rules if rule.family == family]
        self._rules = [
            _Rule(rule) for rule in sorted([*_missing(known, family), *known], key=lambda rule: rule.priority)
        ]
        self.marked = any(rule.mark_mask for rule in known if rule.protocol != 77)

    def add(self, route: Route) -> None:
        """Put a route into its table."""
        self.tables.setdefault(route.table, RouteTable(self.family)).add(route)

    def lookup(self, key: Key, steps: list[Step] | None = None, doubts: list[str] | None = None) -> Found:
        """Find the route for a key, telling each rule that matched in `steps`.

        A matching rule with a selector that warren does not understand is passed over and named in `doubts`.
        """
        for rule in self._rules:
            if not rule.matches(key):
                continue
            if rule.opaque:
                if doubts is not None:
                    doubts.append(f"rule {rule.rule.priority}: {rule.rule.opaque}")
                continue
            if not rule.lookup:
                if steps is not None:
                    steps.append(RuleHit(rule.rule, str(rule.rule.action)))
                return Found(None, rule.rule)
            table = self.tables.get(rule.table)
            route = table.find(key.destination, key.oif) if table is not None else None
            if route is None or route.kind is RouteKind.THROW:
                continue
            if route.kind not in _ERRORS and route.prefix.prefixlen <= rule.suppress:
                if steps is not None:
                    steps.append(RuleHit(rule.rule, f"the route for {route.prefix} is suppressed"))
                continue
            if steps is not None:
                steps.append(RuleHit(rule.rule))
                steps.append(RouteHit(route))
            return Found(route, rule.rule)
        return Found(None, None)

    def local_route(self, address: int) -> Route | None:
        """Find what table local says of an address: local, broadcast, or nothing."""
        table = self.tables.get(LOCAL)
        return table.find(address, "") if table is not None else None

    def is_local(self, address: int) -> bool:
        """Say whether an address is one of the host's own."""
        route = self.local_route(address)
        return route is not None and route.kind is RouteKind.LOCAL


def _missing(rules: list[Rule], family: Family) -> list[Rule]:
    """Give the kernel's own rules where the observer left them out."""
    built_in = [(0, LOCAL), (32766, MAIN)] + ([(32767, DEFAULT)] if family is Family.IPV4 else [])
    if any((rule.priority, rule.table) in built_in for rule in rules):
        return []
    return [Rule(family, priority, table, protocol="kernel") for priority, table in built_in]


def kernel_routes(device: str, addresses: Iterable[Interface]) -> list[Route]:
    """Give the routes that the kernel makes for a device's addresses: local, broadcast and on-link ones.

    IPv4 on-link routes carry the address as source; IPv6 ones have metric 256. A /32 or /128 has no on-link
    route of its own but in IPv6, where it has one too.
    """
    found = []
    for address in addresses:
        ip: Address = address.ip
        net = address.network
        found.append(Route(host_prefix(ip), LOCAL, device, RouteKind.LOCAL, source=ip, protocol="kernel"))
        if ip.version == 6:
            found.append(Route(net, MAIN, device, metric=256, protocol="kernel"))
        elif net.prefixlen < 32:
            found.append(Route(net, MAIN, device, source=ip, protocol="kernel"))
            if net.prefixlen < 31:
                found.append(
                    Route(host_prefix(net.broadcast_address), LOCAL, device, RouteKind.BROADCAST, protocol="kernel")
                )
    return found


def loopback_routes(family: Family) -> list[Route]:
    """Give table local's routes for the loopback addresses."""
    prefix = IPv4Network("127.0.0.0/8") if family is Family.IPV4 else IPv6Network("::1/128")
    return [Route(prefix, LOCAL, LOOPBACK, RouteKind.LOCAL, protocol="kernel")]
