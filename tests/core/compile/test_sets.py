"""Countries and lists in a compiled host: sets where they are used, no rule or route for any prefix of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.core.compile.networks import lock_of, portals_network
from tests.core.sets import XX, read_sets
from warren.core.compile import compile_network
from warren.core.diff import diff
from warren.core.plan import describe, make_plan
from warren.core.render.iptables import render_restore
from warren.core.render.iptables_words import MOST_RULES
from warren.core.render.nft import render_table
from warren.core.sets import fill
from warren.model.change import Forget
from warren.model.firewall import Table
from warren.model.named_set import ListSource, NamedSet, SetUse
from warren.model.network import Network
from warren.model.portal import Portal
from warren.model.prefix import Family, Prefix
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.sys.codec import decode, encode

PLAIN = portals_network()
MANY: tuple[Prefix, ...] = tuple(ip_network(((45 << 24) + (at << 9), 24)) for at in range(MOST_RULES + 1))


def with_first(**what: object) -> Network:
    """The portals network, whose first portal (of nyc.eth2) is another."""
    first, *others = PLAIN.portals
    portals: tuple[Portal, ...] = (replace(first, **what), *others)  # type: ignore[arg-type]
    return fill(replace(PLAIN, portals=portals, lists=(ListSource("work", ("work.txt",)),)), read_sets)


def compiled(network: Network) -> dict[str, HostState]:
    return compile_network(network, lock_of(network), {})


def table_of(state: HostState) -> Table:
    return state.tables[0]


EXCEPT = compiled(with_first(excepted=(SetUse("country:XX"), SetUse("list:work", 1))))
BARE = compiled(PLAIN)


def test_sets_are_where_they_are_used_and_nowhere_else() -> None:
    names = {held.name for held in table_of(EXCEPT["nyc"]).sets} - {held.name for held in table_of(BARE["nyc"]).sets}

    assert names == {"country_xx_4", "country_xx_6", "list_work_4", "list_work_6"}
    assert EXCEPT["paris"] == BARE["paris"] and EXCEPT["tokyo"] == BARE["tokyo"]


@pytest.mark.parametrize("use", [{"excepted": (SetUse("country:XX"),)}, {"only": (SetUse("country:XX"),)}])
def test_routing_is_the_same_with_and_without(use: dict[str, object]) -> None:
    state = compiled(with_first(**use))["nyc"]

    assert (state.rules, state.routes, state.interfaces) == (
        BARE["nyc"].rules,
        BARE["nyc"].routes,
        BARE["nyc"].interfaces,
    )


def test_a_state_with_sets_is_kept_by_the_journal() -> None:
    assert decode(encode(EXCEPT["nyc"]), HostState) == EXCEPT["nyc"]


def test_nft_is_told_the_elements_as_intervals() -> None:
    text = render_table(table_of(EXCEPT["nyc"]))

    assert f"set country_xx_4 {{ type ipv4_addr; flags interval; elements = {{ {', '.join(XX[:2])} }} }}" in text
    assert "ip daddr @country_xx_4" in text


def test_flows_end_when_the_words_change_and_not_when_the_addresses_do() -> None:
    other = with_first(excepted=(SetUse("country:XX"), SetUse("list:work", 1)))
    held = tuple(replace(one, prefixes=one.prefixes[1:] or (ip_network("50.0.0.0/16"),)) for one in other.named)
    refreshed = compiled(replace(other, named=held))["nyc"]
    now = EXCEPT["nyc"]

    assert not [item for item in diff(refreshed, now, now) if isinstance(item.change, Forget)]
    ended = [item.change.flows for item in diff(BARE["nyc"], now, now) if isinstance(item.change, Forget)]
    assert {flows.except_mark == 0 for flows in ended} == {True, False}


def test_a_plan_tells_a_large_set_by_its_name_and_size() -> None:
    network = with_first(excepted=(SetUse("country:XX"),))
    few, many = (
        compiled(replace(network, named=(NamedSet("country:XX", prefixes),)))["nyc"] for prefixes in (MANY[:50], MANY)
    )
    new = describe(make_plan(few, HostState("nyc", "portals"), None, Surroundings()))
    changed = describe(make_plan(many, few, few, Surroundings()))

    assert "+ set country_xx_4: 50 elements" in new
    assert f"~ set country_xx_4: {len(MANY):,} elements, {len(MANY) - 50:,} new, 0 gone" in changed
    assert "45.0.2.0" not in new + changed


def test_iptables_asks_a_small_set_one_by_one_and_refuses_a_large_one() -> None:
    assert "-d 45.12.0.0/14" in render_restore(table_of(EXCEPT["nyc"]), Family.IPV4)
    network = with_first(excepted=(SetUse("country:XX"),))
    large = compiled(replace(network, named=(NamedSet("country:XX", MANY),)))["nyc"]
    with pytest.raises(ValueError, match="country_xx_4 has 2,001 prefixes"):
        render_restore(table_of(large), Family.IPV4)
