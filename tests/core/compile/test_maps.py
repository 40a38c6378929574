"""Mapped LANs, compiled: the network has the mapped prefix only, and the host whose LAN it is translates both ways."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal
from warren.core.compile import compile_network
from warren.core.compile.fabric import Fabric
from warren.core.diff import diff
from warren.core.render.nft_words import rule_text
from warren.model.change import Forget
from warren.model.host import Lan
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.portal import Nat
from warren.model.state import HostState, RouteKind
from warren.model.surroundings import Surroundings

OWN, NYC, PARIS = (ip_network(prefix) for prefix in ("192.168.1.0/24", "10.99.1.0/24", "10.99.2.0/24"))


def mapped(name: str, *addresses: str, to: tuple[str, ...]) -> Lan:
    return replace(lan(name, *addresses), maps=tuple(ip_network(prefix) for prefix in to))


def sites(*portals: object, paris_mapped: bool = True, nyc_closed: bool = False) -> Network:
    """nyc and paris with the same LAN, and tokyo, the hub."""
    both = ("192.168.1.1/24", "fd11::1/64")
    nyc = replace(mapped("eth1", *both, to=("10.99.1.0/24", "fd99:1::/64")), closed=nyc_closed)
    paris = mapped("eth1", *both, to=("10.99.2.0/24", "fd99:2::/64") if paris_mapped else ())
    hosts = (host("nyc", "198.51.100.1", nyc), host("paris", "", paris), host("tokyo", "203.0.113.30"))
    return Network("maps", OVERLAY, hosts, hub="tokyo", portals=portals)  # type: ignore[arg-type]


def states(network: Network) -> dict[str, HostState]:
    return compile_network(network, lock_of(network), {})


def chain(state: HostState, name: str) -> list[str]:
    return [rule_text(rule) for c in state.tables[0].chains if c.name == name for rule in c.rules]


def held(state: HostState, peer: str) -> set[str]:
    return {
        str(prefix)
        for interface in state.interfaces
        for one in interface.peers
        if one.name == peer
        for prefix in one.allowed_ips
    }


def test_others_know_the_mapped_prefix_only() -> None:
    compiled = states(sites())
    routes = {str(r.prefix) for r in compiled["tokyo"].routes if r.kind is RouteKind.UNICAST}

    assert {"10.99.1.0/24", "fd99:1::/64"} <= held(compiled["paris"], "nyc")
    assert {"10.99.1.0/24", "fd99:2::/64", "10.99.2.0/24"} <= routes
    assert "192.168.1.0/24" not in held(compiled["paris"], "nyc") | held(compiled["tokyo"], "nyc") | routes


def test_the_owner_translates_both_ways_and_admits_what_was_mapped() -> None:
    nyc = states(sites())["nyc"]

    assert chain(nyc, "mapped") == [
        'iifname "maps" ip daddr 10.99.1.0/24 dnat ip prefix to 192.168.1.0/24 comment "the network knows '
        '192.168.1.0/24 as this"',
        'iifname "maps" ip6 daddr fd99:1::/64 dnat ip6 prefix to fd11::/64 comment "the network knows fd11::/64 as '
        'this"',
    ]
    # The map comes before whatever else is done to sources that others could not answer.
    assert [text.split(" comment")[0] for text in chain(nyc, "repair")] == [
        "ip saddr 192.168.1.0/24 snat ip prefix to 10.99.1.0/24",
        "ip6 saddr fd11::/64 snat ip6 prefix to fd99:1::/64",
        "ip saddr != @ours4 snat ip to 10.77.0.1",
        "ip6 saddr != @ours6 snat ip6 to fd77:7:7::1",
    ]
    (admits,) = [text for text in chain(nyc, "from_tunnels") if "192.168.1.0/24" in text]
    assert admits.startswith("ct status dnat ip daddr 192.168.1.0/24 return")


def test_only_the_owner_has_a_nat_chain_for_it() -> None:
    assert not any(c.name == "mapped" for c in states(sites())["tokyo"].tables[0].chains)


def test_a_lan_that_overlaps_a_mapped_one_and_has_no_map_is_not_announced() -> None:
    """Its machines would come to the other site with addresses that are neighbours' there."""
    fabric = Fabric(sites(paris_mapped=False), Lock())

    assert fabric.announced["nyc"] == (NYC, ip_network("fd99:1::/64"))
    assert fabric.announced.get("paris", ()) == ()


def test_a_closed_lan_is_announced_under_no_prefix() -> None:
    compiled = states(sites(nyc_closed=True))

    assert not {"10.99.1.0/24", "192.168.1.0/24"} & held(compiled["paris"], "nyc")
    assert chain(compiled["nyc"], "mapped") == []


def test_a_portal_keeps_the_mapped_source_as_far_as_its_exit() -> None:
    part = portal("nyc.eth1=192.168.1.64/26", "paris", nat=Nat.ROUTED)
    compiled = states(sites(part))

    (entitled,) = [text for text in chain(compiled["paris"], "srcnat") if "masquerade" in text]
    assert "ip saddr 10.99.1.64/26" in entitled
    (guarded,) = [text for text in chain(compiled["nyc"], "forward") if "192.168.1.64/26" in text]
    assert 'iifname "eth1" ip saddr 192.168.1.64/26 goto guard_1' in guarded


def test_a_family_that_tunnels_do_not_carry_is_not_translated() -> None:
    network = replace(sites(), overlay=OVERLAY[:1])
    compiled = compile_network(network, lock_of(network), {"nyc": Surroundings(ipv6=False, stated=True)})

    assert not any("ip6" in text for text in chain(compiled["nyc"], "mapped") + chain(compiled["nyc"], "repair"))


def test_flows_that_had_another_source_end_and_no_others() -> None:
    """What leaves by the uplink keeps the source it had: the LAN's downloads go on."""
    plain = replace(sites(), hosts=tuple(replace(h, lans=()) for h in sites().hosts))
    before, after = states(plain)["nyc"], states(sites())["nyc"]
    forgotten = [item.change.flows for item in diff(after, before) if isinstance(item.change, Forget)]

    assert {(str(flows.source), str(flows.destination)) for flows in forgotten if flows.source.version == 4} == {
        ("192.168.1.0/24", "10.77.0.0/24"),
        ("192.168.1.0/24", "10.99.1.0/24"),
        ("192.168.1.0/24", "10.99.2.0/24"),
    }
