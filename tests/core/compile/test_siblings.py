"""Portals that begin with the same tunnel, and families that tunnels do not carry."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from tests.core.compile.networks import OVERLAY, host, lan, lock_of, portal
from warren.core.compile import compile_network
from warren.core.render.nft_words import rule_text
from warren.model.firewall import Snat
from warren.model.network import Network
from warren.model.prefix import Family
from warren.model.state import BEHIND, Route, RouteKind


def family_of_three(*portals: object) -> Network:
    """a, behind a NAT, with a LAN; b and c in public."""
    hosts = (
        host("a", "", lan("lan1", "192.168.2.1/24", "fd12::1/64")),
        host("b", "198.51.100.2"),
        host("c", "198.51.100.3"),
    )
    return Network("three", OVERLAY, hosts, portals=tuple(portals))  # type: ignore[arg-type]


def test_a_narrow_portal_beside_a_wide_chain_keeps_its_own_exit() -> None:
    """Both leave a by the tunnel to b. Only b can tell them apart, by addresses that each has alone."""
    chain = portal("a.lan1", "c", via=("b",))
    narrow = portal("a.lan1=192.168.2.5/32", "b", families=(Family.IPV4,))
    network = family_of_three(chain, narrow)

    table = compile_network(network, lock_of(network), {})["a"].tables[0]
    (srcnat,) = [one for one in table.chains if one.name == "srcnat"]
    given = [rule.statements[0].to for rule in srcnat.rules if isinstance(rule.statements[0], Snat)]

    assert [str(address) for address in given[:2]] == ["10.77.0.5", "10.77.0.4"]  # the narrow one is asked first


def test_a_relay_lets_out_by_itself_only_what_ends_there() -> None:
    """Without a's table the chain's packets come to b with addresses of the LAN, or of a: b must not know these."""
    network = family_of_three(portal("a.lan1", "c", via=("b",)), portal("a", "b"))
    table = compile_network(network, lock_of(network), {})["b"].tables[0]
    (door,) = [one for one in table.chains if one.name == "from_tunnels"]
    told = [str(rule.matches) for rule in door.rules if rule.comment == "exit for these sources"]

    assert told
    assert not any("192.168.2.0" in text or "10.77.0.1/32" in text for text in told)


def test_lans_of_a_family_that_tunnels_do_not_carry_are_refused() -> None:
    """An overlay of IPv4 alone: a's IPv6 LAN is reached by nobody, and leaves nobody's uplink either."""
    network = replace(family_of_three(), overlay=OVERLAY[:1])
    state = compile_network(network, lock_of(network), {})["b"]
    (near,) = {route.table for route in state.routes}

    fence = Route(ip_network("fd12::/64"), near, kind=RouteKind.UNREACHABLE, metric=BEHIND)
    assert fence in state.routes
    assert 'ip6 daddr fd12::/64 oifname != "lo" goto far_guard' in [
        rule_text(rule) for chain in state.tables[0].chains for rule in chain.rules if chain.name == "postrouting"
    ]
