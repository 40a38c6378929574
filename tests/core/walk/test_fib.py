"""Rules and tables: each test is a case that `ip route get` decided (test_fib_oracle.py asks it thousands more)."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from warren.core.walk.fib import Fib, Key, kernel_routes
from warren.model.prefix import Family
from warren.model.state import BEHIND, MAIN, Action, Route, RouteKind, Rule
from warren.model.trace import RuleHit

FOUR, SIX = Family.IPV4, Family.IPV6


def fib(*things: Rule | Route, family: Family = FOUR, devices: tuple[str, ...] = ("eth0", "wg0", "lan0")) -> Fib:
    rules = [thing for thing in things if isinstance(thing, Rule)]
    return Fib(family, rules, [thing for thing in things if isinstance(thing, Route)], devices)


def via(prefix: str, device: str, table: int = MAIN, metric: int = 0) -> Route:
    return Route(ip_network(prefix), table, device, metric=metric)


def ask(of: Fib, to: str, source: str | None = None, iif: str = "lan0", mark: int = 0, oif: str = "") -> str:
    key = Key(int(ip_address(to)), None if source is None else int(ip_address(source)), iif, oif, mark)
    found = of.lookup(key)
    return found.usable.device if found.usable is not None else "-"


def test_the_longest_prefix_wins_then_the_lowest_metric() -> None:
    routes = fib(via("0.0.0.0/0", "eth0"), via("10.0.0.0/8", "lan0", metric=9), via("10.0.0.0/8", "wg0", metric=5))

    assert (ask(routes, "1.1.1.1"), ask(routes, "10.1.1.1")) == ("eth0", "wg0")


def test_an_unreachable_stands_behind_a_device() -> None:
    """As long as the device is there it does nothing; with the device its route goes."""
    table = (via("::/0", "wg0", 7701), Route(ip_network("::/0"), 7701, kind=RouteKind.UNREACHABLE, metric=BEHIND))
    rules = (Rule(SIX, 7778, 7701), via("::/0", "eth0"))

    assert ask(fib(*table, *rules, family=SIX), "2600::1") == "wg0"
    assert ask(fib(*table, *rules, family=SIX, devices=("eth0",)), "2600::1") == "-"


def test_a_table_without_an_answer_lets_the_next_rule_try_and_so_does_throw() -> None:
    rules = (Rule(FOUR, 10, 100), Rule(FOUR, 11, 101))

    assert ask(fib(*rules, via("0.0.0.0/0", "wg0", 101)), "1.1.1.1") == "wg0"
    throw = Route(ip_network("0.0.0.0/0"), 100, kind=RouteKind.THROW)
    assert ask(fib(*rules, throw, via("0.0.0.0/0", "wg0", 101)), "1.1.1.1") == "wg0"


def test_suppression_passes_over_short_routes_but_not_over_errors() -> None:
    suppress = Rule(FOUR, 10, MAIN, suppress_prefixlength=7)
    rest = (Rule(FOUR, 11, 101), via("0.0.0.0/0", "wg0", 101))

    assert ask(fib(suppress, *rest, via("0.0.0.0/1", "eth0")), "1.1.1.1") == "wg0"
    assert ask(fib(suppress, *rest, via("1.0.0.0/8", "eth0")), "1.1.1.1") == "eth0"
    assert ask(fib(suppress, *rest, Route(ip_network("0.0.0.0/0"), MAIN, kind=RouteKind.PROHIBIT)), "1.1.1.1") == "-"


def test_a_source_not_chosen_yet_is_zero_for_ipv4_and_nothing_for_ipv6() -> None:
    four = fib(
        Rule(FOUR, 10, 100, source=ip_network("0.0.0.0/1")), via("0.0.0.0/0", "wg0", 100), via("0.0.0.0/0", "eth0")
    )
    six = fib(Rule(SIX, 10, 100, source=ip_network("::/1")), via("::/0", "wg0", 100), via("::/0", "eth0"), family=SIX)

    assert (ask(four, "1.1.1.1"), ask(six, "2600::1")) == ("wg0", "eth0")
    assert ask(six, "2600::1", "2001::1") == "wg0"


def test_not_turns_all_selectors_together() -> None:
    marked = Rule(FOUR, 10, action=Action.UNREACHABLE, mark_mask=0x3F000000, invert=True)

    assert ask(fib(marked, via("0.0.0.0/0", "eth0")), "1.1.1.1") == "eth0"
    assert ask(fib(marked, via("0.0.0.0/0", "eth0")), "1.1.1.1", mark=0x01000000) == "-"


def test_rules_of_one_priority_keep_their_order() -> None:
    routes = (via("0.0.0.0/0", "eth0", 100), via("0.0.0.0/0", "wg0", 101))

    assert ask(fib(Rule(FOUR, 5, 100), Rule(FOUR, 5, 101), *routes), "1.1.1.1") == "eth0"
    assert ask(fib(Rule(FOUR, 5, 101), Rule(FOUR, 5, 100), *routes), "1.1.1.1") == "wg0"


def test_a_device_that_is_wanted_passes_over_other_routes() -> None:
    routes = fib(via("10.0.0.0/8", "lan0"), via("0.0.0.0/0", "eth0"))

    assert ask(routes, "10.1.1.1", oif="eth0") == "eth0"


def test_iif_lo_is_for_packets_made_here() -> None:
    routes = fib(Rule(FOUR, 5, 100, iif="lo"), via("0.0.0.0/0", "wg0", 100), via("0.0.0.0/0", "eth0"))

    assert (ask(routes, "1.1.1.1", iif="lo"), ask(routes, "1.1.1.1", iif="lan0")) == ("wg0", "eth0")


def test_a_selector_that_warren_does_not_know_is_a_doubt() -> None:
    routes = fib(Rule(FOUR, 5, 100, protocol="boot", opaque="uidrange 0-0"), via("0.0.0.0/0", "eth0"))
    doubts: list[str] = []

    found = routes.lookup(Key(1, 2, "lan0"), doubts=doubts)

    assert found.usable is not None and doubts == ["rule 5: uidrange 0-0"]


def test_every_rule_that_matched_is_told() -> None:
    routes = fib(Rule(FOUR, 5, MAIN, suppress_prefixlength=7), via("0.0.0.0/0", "eth0"))
    steps: list[object] = []

    routes.lookup(Key(int(ip_address("1.1.1.1")), None, "lo"), steps)  # type: ignore[arg-type]

    told = [(step.rule.priority, step.result) for step in steps if isinstance(step, RuleHit)]
    assert told == [(5, "the route for 0.0.0.0/0 is suppressed"), (32766, "lookup")]


def test_the_kernels_own_routes_of_an_address() -> None:
    made = kernel_routes("lan0", [ip_interface("10.0.0.1/24")])

    assert [(str(route.prefix), route.table, route.kind.value) for route in made] == [
        ("10.0.0.1/32", 255, "local"),
        ("10.0.0.0/24", MAIN, "unicast"),
        ("10.0.0.255/32", 255, "broadcast"),
    ]
