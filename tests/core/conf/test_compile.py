"""Confs become states: as wg-quick has it, except where tests/sys/test_wg_quick.py says why not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from warren.core.conf.compile import compile_conf, notes
from warren.core.conf.conf import OFF, Conf, ConfPeer
from warren.core.conf.full import SRC_VALID_MARK
from warren.core.conf.numbers import EXEMPT
from warren.model.firewall import CtMark, Drop, SetCtMark, SetMark
from warren.model.key import PublicKey, SecretRef
from warren.model.prefix import Family
from warren.model.state import (
    BEHIND,
    MAIN,
    PROTOCOL,
    Backend,
    DnsConfig,
    HostState,
    Route,
    RouteKind,
    Rule,
    Sysctl,
)
from warren.model.surroundings import Surroundings

KEY = PublicKey("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
OTHER = PublicKey("TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=")
WHOLE = 0xFFFFFFFF


def conf(*allowed: str, name: str = "wg0", addresses: tuple[str, ...] = ("10.0.0.2/24",), **more: object) -> Conf:
    peer = ConfPeer(KEY, tuple(map(ip_network, allowed)))
    return Conf(
        name=name,
        path=f"/etc/wireguard/{name}.conf",
        private_key=SecretRef(f"/etc/wireguard/{name}.conf", "PrivateKey"),
        addresses=tuple(map(ip_interface, addresses)),
        peers=(peer,),
        **more,  # type: ignore[arg-type]
    )


def shown(state: HostState) -> list[str]:
    """Write routes as `table: prefix device`, which is short to compare."""
    return [f"{route.table}: {route.prefix} {route.device or route.kind}" for route in state.routes]


def rules(state: HostState, family: Family = Family.IPV4) -> list[tuple[int, str]]:
    """Write rules in the order in which the kernel asks them."""
    words = []
    for rule in sorted(state.rules, key=lambda rule: rule.priority):
        if rule.family is family:
            mark = f"{'not ' if rule.invert else ''}fwmark {rule.mark} " if rule.mark else ""
            suppress = f" suppress {rule.suppress_prefixlength}" if rule.suppress_prefixlength >= 0 else ""
            words.append((rule.priority, f"{mark}lookup {rule.table}{suppress}"))
    return words


# --- devices ---------------------------------------------------------------------------------------------------


def test_the_device_is_what_the_conf_says() -> None:
    state = compile_conf(
        conf("10.0.0.0/24", listen_port=51820, fwmark=7, mtu=1400), Surroundings(), public_key=OTHER, host="nyc"
    )
    assert (state.host, state.owner, state.is_conf, state.backend) == ("nyc", "conf:wg0", True, Backend.KERNEL)
    (device,) = state.interfaces
    assert (device.name, device.public_key, device.listen_port, device.fwmark, device.mtu) == (
        "wg0",
        OTHER,
        51820,
        7,
        1400,
    )
    assert device.private_key == SecretRef("/etc/wireguard/wg0.conf", "PrivateKey")
    assert device.addresses == (ip_interface("10.0.0.2/24"),)
    assert device.peers[0].allowed_ips == (ip_network("10.0.0.0/24"),)


def test_addresses_keep_their_order_because_the_first_is_the_source() -> None:
    state = compile_conf(conf(addresses=("10.9.0.1/24", "10.1.0.1/24")), Surroundings())
    assert [str(address) for address in state.interfaces[0].addresses] == ["10.9.0.1/24", "10.1.0.1/24"]


@pytest.mark.parametrize(
    ("path_mtu", "addresses", "mtu"),
    [
        (None, ("10.0.0.2/24",), 1420),
        (1492, ("10.0.0.2/24",), 1412),
        (1300, ("10.0.0.2/24",), 1220),
        (1300, ("fd00::2/64",), 1280),
    ],
)
def test_the_mtu_leaves_room_for_the_outer_headers(path_mtu: int | None, addresses: tuple[str, ...], mtu: int) -> None:
    state = compile_conf(conf(addresses=addresses), Surroundings(), path_mtu=path_mtu)
    assert state.interfaces[0].mtu == mtu


def test_resolvers_are_handed_over_only_if_there_are_any() -> None:
    server = ip_address("10.0.0.53")
    assert compile_conf(conf(dns=(server,), search=("lab",)), Surroundings()).dns == (
        DnsConfig("wg0", (server,), ("lab",)),
    )
    assert compile_conf(conf(search=("lab",)), Surroundings()).dns == ()


# --- routes ----------------------------------------------------------------------------------------------------


def test_routes_go_to_main_unless_the_devices_own_subnet_covers_them() -> None:
    state = compile_conf(
        conf("10.0.0.3/32", "10.0.0.0/24", "10.0.0.0/16", "192.168.0.0/16", "fd00::3/128", "fd01::/64", "fd00::2/128",
             addresses=("10.0.0.2/24", "fd00::2/128")),
        Surroundings(),
    )  # fmt: skip
    assert shown(state) == [
        "254: 10.0.0.0/16 wg0", "254: 192.168.0.0/16 wg0", "254: fd00::3/128 wg0", "254: fd01::/64 wg0",
    ]  # fmt: skip
    assert {route.protocol for route in state.routes} == {PROTOCOL}


def test_a_lone_ipv4_address_covers_nothing() -> None:
    assert shown(compile_conf(conf("10.0.0.2/32", addresses=("10.0.0.2/32",)), Surroundings())) == [
        "254: 10.0.0.2/32 wg0"
    ]


def test_a_table_of_ones_own_gets_everything_and_no_rules() -> None:
    state = compile_conf(conf("0.0.0.0/0", "10.0.0.3/32", "::/0", table=1234), Surroundings())
    assert shown(state) == ["1234: 0.0.0.0/0 wg0", "1234: 10.0.0.3/32 wg0", "1234: ::/0 wg0"]
    assert (state.rules, state.tables, state.sysctls, state.interfaces[0].fwmark) == ((), (), (), 0)


def test_table_off_makes_no_routes() -> None:
    state = compile_conf(conf("0.0.0.0/0", "10.1.0.0/16", table=OFF, fwmark=9), Surroundings())
    assert (state.routes, state.rules, state.interfaces[0].fwmark) == ((), (), 9)


# --- full tunnels ----------------------------------------------------------------------------------------------


def test_a_full_tunnel_takes_everything_but_its_own_outer_packets() -> None:
    state = compile_conf(conf("0.0.0.0/0", "10.1.0.0/16"), Surroundings())
    assert state.interfaces[0].fwmark == 51820
    assert state.routes == (
        Route(ip_network("10.1.0.0/16"), MAIN, "wg0"),
        Route(ip_network("0.0.0.0/0"), 51820, "wg0"),
        Route(ip_network("0.0.0.0/0"), 51820, kind=RouteKind.UNREACHABLE, metric=BEHIND),
    )
    assert rules(state) == [
        (7800, "fwmark 51820 lookup 254"),
        (7998, "lookup 254 suppress 1"),
        (7999, "not fwmark 51820 lookup 51820"),
    ]
    assert rules(state, Family.IPV6) == []
    assert state.sysctls == (Sysctl(SRC_VALID_MARK, "1", state.sysctls[0].why),)


def test_both_families() -> None:
    state = compile_conf(conf("0.0.0.0/0", "::/0", addresses=("10.0.0.2/32", "fd00::2/128")), Surroundings())
    assert rules(state) == rules(state, Family.IPV6)
    (table,) = state.tables
    preraw, premangle, postmangle = table.chains
    assert table.name == "warren-conf-wg0"
    assert [rule.statements for rule in preraw.rules] == [(Drop(),), (Drop(),)]
    assert premangle.rules[0].statements == (SetMark(WHOLE, 51820),)
    assert postmangle.rules[0].statements == (SetCtMark(WHOLE, 51820),)


def test_a_device_may_have_a_name_that_no_nft_table_can_have() -> None:
    (table,) = compile_conf(conf("0.0.0.0/0", name="a=b+c.d-e"), Surroundings()).tables
    assert table.name == "warren-conf-a/3db/2bc.d-e"


def test_only_marks_that_are_ours_are_put_on_packets() -> None:
    """wg-quick restores the mark of every UDP flow, and so overwrites those of other tools."""
    (table,) = compile_conf(conf("0.0.0.0/0"), Surroundings()).tables
    assert CtMark(WHOLE, 51820) in table.chains[1].rules[0].matches


def test_an_ipv6_only_full_tunnel_leaves_ipv4_alone() -> None:
    state = compile_conf(conf("::/0", addresses=("10.0.0.2/24", "fd00::2/64")), Surroundings())
    assert rules(state) == []
    assert state.sysctls == ()
    assert len(state.tables[0].chains[0].rules) == 1


@pytest.mark.parametrize(
    ("occupied", "table"),
    [((), 51820), ((Route(ip_network("10.0.0.0/8"), 51820),), 51821), ((Route(ip_network("fd00::/8"), 51820),), 51821)],
)
def test_the_first_table_that_is_empty_for_both_families(occupied: tuple[Route, ...], table: int) -> None:
    assert compile_conf(conf("0.0.0.0/0"), Surroundings(routes=occupied)).interfaces[0].fwmark == table


def test_a_mark_of_ones_own_is_the_tables_number_too() -> None:
    state = compile_conf(conf("0.0.0.0/0", fwmark=1234), Surroundings())
    assert (state.interfaces[0].fwmark, state.routes[0].table) == (1234, 1234)


def test_two_full_tunnels_share_nothing_and_neither_carries_the_others_outer_packets() -> None:
    first = compile_conf(conf("0.0.0.0/0", name="a"), Surroundings())
    second = compile_conf(conf("0.0.0.0/0", name="b"), Surroundings(), others=(first,))
    assert second.interfaces[0].fwmark == 51821
    assert not set(first.rules) & set(second.rules)
    assert not set(first.routes) & set(second.routes)
    together = sorted(rules(first) + rules(second))
    assert together == [
        (7800, "fwmark 51820 lookup 254"),
        (7800, "fwmark 51821 lookup 254"),
        (7996, "lookup 254 suppress 1"),
        (7997, "not fwmark 51821 lookup 51821"),
        (7998, "lookup 254 suppress 1"),
        (7999, "not fwmark 51820 lookup 51820"),
    ]


def test_a_living_tunnel_keeps_its_numbers() -> None:
    first = compile_conf(conf("0.0.0.0/0", name="a"), Surroundings())
    second = compile_conf(conf("0.0.0.0/0", name="b"), Surroundings(), others=(first,))
    again = compile_conf(conf("0.0.0.0/0", "10.1.0.0/16", name="b"), Surroundings(), previous=second)
    assert again.rules == second.rules
    assert again.interfaces[0].fwmark == 51821
    named = compile_conf(conf("0.0.0.0/0", name="b", fwmark=99), Surroundings(), previous=second)
    assert (named.interfaces[0].fwmark, named.rules[1].priority) == (99, 7996)


def test_tunnels_that_come_and_go_never_leave_their_places() -> None:
    states = [compile_conf(conf("0.0.0.0/0", name="a"), Surroundings())]
    for turn in range(300):
        name = "ba"[turn % 2]
        states = [*states[-1:], compile_conf(conf("0.0.0.0/0", name=name), Surroundings(), others=states[-1:])]
        (before, after) = (min(priority for priority, _ in rules(state)[1:]) for state in states)
        assert before != after
        assert EXEMPT < after < 8000


def test_a_foreign_full_tunnel_is_kept_out_and_stood_before() -> None:
    """As real wg-quick leaves it: rules right before ours, which were gone for a moment."""
    foreign = Surroundings(
        routes=(Route(ip_network("0.0.0.0/0"), 51820, "wgq0", protocol="boot"),),
        rules=(
            Rule(Family.IPV4, 7798, MAIN, suppress_prefixlength=0, protocol="boot"),
            Rule(Family.IPV4, 7799, 51820, mark=51820, mark_mask=WHOLE, invert=True, protocol="boot"),
        ),
    )
    assert rules(compile_conf(conf("0.0.0.0/0"), foreign)) == [
        (7796, "fwmark 51821 lookup 254"),
        (7796, "fwmark 51820 lookup 254"),
        (7797, "lookup 254 suppress 1"),
        (7798, "not fwmark 51821 lookup 51821"),
    ]


def test_read_only_settings_are_not_asked_for() -> None:
    assert compile_conf(conf("0.0.0.0/0"), Surroundings(read_only_sysctls=True)).sysctls == ()


# --- a host without IPv6 ---------------------------------------------------------------------------------------


def test_a_host_without_ipv6_gets_the_rest() -> None:
    both = conf("0.0.0.0/0", "::/0", "fd01::/64", addresses=("10.0.0.2/24", "fd00::2/64"))
    state = compile_conf(both, Surroundings(ipv6=False))
    assert [str(address) for address in state.interfaces[0].addresses] == ["10.0.0.2/24"]
    assert all(route.prefix.version == 4 for route in state.routes)
    assert rules(state, Family.IPV6) == []
    assert rules(state) != []
    assert ip_network("::/0") in state.interfaces[0].peers[0].allowed_ips
    without = "IPv6 is disabled on this host: left out"
    assert notes(both, Surroundings(ipv6=False)) == (f"{without} the address fd00::2/64", f"{without} 2 IPv6 routes")
    assert notes(both, Surroundings()) == ()
    assert notes(replace(both, table=OFF), Surroundings(ipv6=False)) == (f"{without} the address fd00::2/64",)


def test_a_peer_with_the_tunnels_own_key_is_left_out_as_wireguard_does() -> None:
    """Full tunnels are judged without it, too: its routes would lead nowhere."""
    state = compile_conf(conf("0.0.0.0/0", "10.1.0.0/16"), Surroundings(), public_key=KEY)
    assert (state.interfaces[0].peers, state.routes, state.rules) == ((), (), ())
    (note,) = notes(conf("0.0.0.0/0"), Surroundings(), KEY)
    assert "this tunnel's own key" in note
