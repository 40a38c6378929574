"""Domains in a compiled host: sets that answers fill, a service that forgets, and rules that err towards the exit."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address as address

import pytest

from tests.core.compile.networks import lock_of, portals_network
from tests.core.sets import read_sets
from warren.core.compile import compile_network
from warren.core.compile.forgetting import FORGETTER
from warren.core.diff import diff
from warren.core.domains import KEPT, TOLD, filled, sets_name
from warren.core.render.commands import commands
from warren.core.render.dnsmasq import resolving_lines
from warren.core.render.iptables import render_restore
from warren.core.render.nft import render_table
from warren.core.resolving import Fill, Resolving
from warren.core.sets import fill
from warren.model.change import PutElements, PutService, PutTable
from warren.model.firewall import Learn
from warren.model.named_set import ListKind, ListSource, NamedSet, NameSets, SetUse
from warren.model.network import Network
from warren.model.portal import OtherDns, Portal
from warren.model.prefix import Family
from warren.model.state import HostState
from warren.sys.codec import decode, encode

PLAIN = portals_network()
NETFLIX = (SetUse("domain:netflix.com"),)


def with_first(**what: object) -> Network:
    """The portals network, whose first portal (of nyc.eth2) is another."""
    first, *others = PLAIN.portals
    portals: tuple[Portal, ...] = (replace(first, **what), *others)  # type: ignore[arg-type]
    return fill(replace(PLAIN, portals=portals), read_sets)


def compiled(network: Network) -> dict[str, HostState]:
    return compile_network(network, lock_of(network), {})


ONLY = compiled(with_first(only=NETFLIX))
EXCEPT = compiled(with_first(excepted=NETFLIX))
BARE = compiled(PLAIN)


def test_sets_are_made_where_the_portal_is_entered_and_nowhere_else() -> None:
    sets = {held.name: held for held in EXCEPT["nyc"].tables[0].sets}
    new = sets.keys() - {held.name for held in BARE["nyc"].tables[0].sets}

    assert new == {*(f"domain_netflix.com_{kind}" for kind in ("4a", "4b", "6a", "6b")), "names_turn"}
    assert all(sets[name].live and not sets[name].elements for name in new)
    assert EXCEPT["nyc"].names == (NameSets("domain_netflix.com", ("netflix.com",)),)
    assert EXCEPT["paris"] == BARE["paris"]


@pytest.mark.parametrize("state", [ONLY["nyc"], EXCEPT["nyc"]])
def test_routing_is_the_same_with_and_without(state: HostState) -> None:
    assert (state.rules, state.routes, state.interfaces) == (
        BARE["nyc"].rules,
        BARE["nyc"].routes,
        BARE["nyc"].interfaces,
    )


def test_what_is_used_stays_only_where_that_is_the_way_to_the_exit() -> None:
    def learns(state: HostState) -> int:
        rules = (rule for chain in state.tables[0].chains for rule in chain.rules)
        return sum(isinstance(one, Learn) for rule in rules for one in rule.statements)

    assert learns(ONLY["nyc"]) == 4 and learns(EXCEPT["nyc"]) == 0


def test_at_first_everything_of_only_goes_through_the_exit() -> None:
    text = render_table(ONLY["nyc"].tables[0])

    young = f"flags interval, timeout; timeout {TOLD}s; auto-merge; elements = {{ 0.0.0.0/0 }}"
    assert f"set names_young_4 {{ type ipv4_addr; {young} }}" in text
    assert text.index("ip daddr @names_young_4 return") < text.index("ip daddr @domain_netflix.com_4a")
    assert "names_young" not in render_table(EXCEPT["nyc"].tables[0])


def test_an_element_has_no_timeout_and_takes_no_room_before_it_is_there() -> None:
    text = render_table(ONLY["nyc"].tables[0])

    assert "set domain_netflix.com_4a { type ipv4_addr; size 65536; flags dynamic, timeout; }" in text
    assert "add @domain_netflix.com_4b { ip daddr } return" in text


def test_another_apply_keeps_what_was_learned() -> None:
    """The table is put anew when a portal is added; the sets, and how young they are, are left alone."""
    (before,), (after,) = (
        ONLY["nyc"].tables,
        compiled(with_first(only=(*NETFLIX, SetUse("domain:example.com", 1))))["nyc"].tables,
    )
    text = render_table(after, before)

    assert "delete set inet warren-portals domain_netflix" not in text and "flush set" not in text
    assert "delete set inet warren-portals names_young_4" not in text
    assert "elements = { 0.0.0.0/0 }" not in text
    assert "set domain_example.com_4a" in text


def test_a_country_is_refreshed_beside_names_without_touching_them() -> None:
    network = with_first(only=(SetUse("country:XX"), *NETFLIX))
    fewer = tuple(replace(one, prefixes=one.prefixes[1:]) if one.prefixes else one for one in network.named)
    before, after = compiled(network)["nyc"], compiled(replace(network, named=fewer))["nyc"]
    (item,) = diff(after, before, before)
    assert isinstance(item.change, PutElements)
    (command,) = commands((item,), "portals")

    assert "country_xx_4" in command.stdin and "netflix" not in command.stdin and "young" not in command.stdin


def test_whoever_empties_a_set_waits_until_its_twin_has_collected_for_long_enough() -> None:
    (service,) = (one for one in ONLY["nyc"].services if one.name == FORGETTER)

    assert "create element inet warren-portals names_turn { 0.0.0.0 }\nflush set" in service.config
    assert "flush set inet warren-portals domain_netflix.com_6$turn" in service.config
    assert "names_young" not in service.config
    assert TOLD < KEPT
    assert not [one for one in BARE["nyc"].services if one.name == FORGETTER]


def test_a_portal_by_name_alters_its_table_and_its_programs_and_nothing_else() -> None:
    changes = {type(item.change) for item in diff(ONLY["nyc"], BARE["nyc"], BARE["nyc"])}

    assert {PutTable, PutService} <= changes and len(changes) <= 3  # and flows that go on by another way are forgotten


def test_a_plan_says_that_at_first_everything_takes_the_exit() -> None:
    says = "for 5 minutes everything of portals that take only names leaves by their exits"
    (again,) = (
        item.reason for item in diff(ONLY["nyc"], BARE["nyc"], BARE["nyc"]) if isinstance(item.change, PutTable)
    )
    more = compiled(with_first(only=(*NETFLIX, SetUse("domain:example.com", 1))))["nyc"]
    (later,) = (item.reason for item in diff(more, ONLY["nyc"], ONLY["nyc"]) if isinstance(item.change, PutTable))

    assert again.endswith(says) and says not in later


def test_walk_sees_what_was_asked_for() -> None:
    asked = filled(
        ONLY["nyc"], (("www.netflix.com", (address("198.51.100.7"),)), ("other.net", (address("198.51.100.8"),)))
    )
    sets = {held.name: [str(one) for one in held.elements] for held in asked.tables[0].sets}

    assert sets["domain_netflix.com_4a"] == sets["domain_netflix.com_4b"] == ["198.51.100.7/32"]
    assert sets["domain_netflix.com_6a"] == sets["names_young_4"] == []


def test_a_long_domain_has_a_short_set() -> None:
    long, other = (".".join((letter * 60,) * 4) for letter in "ab")

    assert len(sets_name(f"domain:{long}")) <= 120
    assert sets_name(f"domain:{long}") != sets_name(f"domain:{other}")


def test_a_state_with_names_is_kept_by_the_journal() -> None:
    assert decode(encode(ONLY["nyc"]), HostState) == ONLY["nyc"]


def test_iptables_has_no_word_for_it() -> None:
    with pytest.raises(ValueError, match="iptables cannot put addresses into domain_netflix"):
        render_restore(ONLY["nyc"].tables[0], Family.IPV4)


def lines_of(state: HostState, service: str) -> list[str]:
    return next(one.config for one in state.services if one.name == service).splitlines()


def test_a_name_fills_every_set_that_it_is_at_or_below() -> None:
    """dnsmasq takes the longest domain that fits, and no other."""
    first, *others = PLAIN.portals
    portals = (replace(first, only=(*NETFLIX, SetUse("list:films", 1))), *others)
    films = NamedSet("list:films", domains=("film.example", "www.netflix.com"))
    lists = (ListSource("films", ("films.txt",), ListKind.DOMAINS),)
    network = fill(
        replace(PLAIN, portals=portals, lists=lists),
        lambda name, _file: films if name == films.name else NamedSet(name),
    )
    lines = [
        line.removeprefix("nftset=/") for line in lines_of(compiled(network)["nyc"], "lan-eth2") if "nftset" in line
    ]
    filled_by = {domain: held for line in lines for *domains, held in [line.split("/")] for domain in domains}
    sets = {domain: {one.split("#")[3][:-3] for one in line.split(",")} for domain, line in filled_by.items()}

    assert sets == {
        "netflix.com": {"domain_netflix.com"},
        "film.example": {"list_films"},
        "www.netflix.com": {"domain_netflix.com", "list_films"},
    }


def test_a_long_list_is_few_lines_that_dnsmasq_reads_whole() -> None:
    domains = tuple(f"{'d' * 40}{at}.example" for at in range(500))
    lines = [
        line
        for line in resolving_lines(Resolving(fills=(Fill(domains, ("4#inet#t#a", "6#inet#t#b")),)))
        if "nftset" in line
    ]

    assert max(map(len, lines)) < 1024 and len(lines) < 50
    assert tuple(domain for line in lines for domain in line.split("/")[1:-1]) == domains
    assert {line.rpartition("/")[2] for line in lines} == {"4#inet#t#a,6#inet#t#b"}


def test_a_resolver_that_fills_sets_keeps_nothing_and_tells_nothing_else() -> None:
    lines = lines_of(ONLY["nyc"], "lan-eth2")

    assert {"cache-size=0", f"max-ttl={TOLD}", "filter-rr=HTTPS,SVCB", "interface=eth2", "bind-dynamic"} <= set(lines)
    assert any(line.startswith("local=/use-application-dns.net/") for line in lines)
    assert not [one for one in BARE["nyc"].services if one.name.startswith("lan-")]


def redirects(state: HostState, chain: str, port: int) -> list[str]:
    text = render_table(state.tables[0])
    part = text.partition(f"chain {chain} {{")[2].partition("}\n")[0]
    return [line.strip() for line in part.splitlines() if f"dport {port}" in line]


def test_questions_to_other_resolvers_come_to_ours() -> None:
    """Over both families, whatever the portal's are: either tells addresses of both."""
    assert len(redirects(ONLY["nyc"], "resolve", 53)) == 4
    one_family = compiled(with_first(only=NETFLIX, families=(Family.IPV4,)))["nyc"]
    assert redirects(one_family, "resolve", 53) == redirects(ONLY["nyc"], "resolve", 53)
    assert redirects(ONLY["nyc"], "forward", 853) == []
    assert redirects(compiled(with_first(only=NETFLIX, other_dns=OtherDns.LEAVE))["nyc"], "resolve", 53) == []
    refusing = compiled(with_first(only=NETFLIX, other_dns=OtherDns.REFUSE))["nyc"]
    assert len(redirects(refusing, "resolve", 53)) == 4 and len(redirects(refusing, "forward", 853)) == 4
