"""`dns:` in compiled hosts: who is asked by which device, what is put in front, and where each question would go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from warren.core.compile import compile_network
from warren.core.dns_config import DnsConfig, read_config
from warren.core.load import load
from warren.core.render.dnsmasq import resolving_lines
from warren.core.resolving import Resolving, Upstream
from warren.core.verify import verify
from warren.core.world import place_world, surroundings_of
from warren.model.diagnostic import Severity
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.named_set import NamedSet
from warren.model.network import Network
from warren.model.state import MAIN, HostState, Program, Service

FILE = """
network: smart
hub: cloud
overlay: [10.77.0.0/24, "fd77:7:7::/64"]
hosts:
  cloud: {{endpoint: "{endpoint}:51820", uplink: eth0, lans: {{eth9: {{address: 10.9.0.1/24}}}}}}
  tokyo: {{endpoint: "198.51.100.8:51820", uplink: eth0}}
  home:
    uplink: wan
    lans: {{lan: {{address: 192.168.16.1/24}}, iot: {{address: 192.168.17.1/24}}}}
portals:
{portals}
expect:
{expects}
"""
KEYS = {name: PublicKey("A" * 42 + letter + "=") for name, letter in (("cloud", "E"), ("tokyo", "I"), ("home", "M"))}


def loaded(*portals: str, expects: str = "", endpoint: str = "198.51.100.7") -> tuple[Network, Lock]:
    """Make a network of portals as the file has them."""
    text = FILE.format(
        portals="".join(f"  - {{{one}}}\n" for one in portals), expects=expects or "  []", endpoint=endpoint
    )
    found = load(text.encode(), None, "smart.yaml", make_key=lambda name: KEYS[name])
    assert found.network is not None and found.lock is not None, found.text()
    return found.network, found.lock


def compiled(*portals: str, endpoint: str = "198.51.100.7") -> dict[str, HostState]:
    network, lock = loaded(*portals, endpoint=endpoint)
    world = place_world(network, lock)
    return compile_network(
        network, lock, {one.name: surroundings_of(world, network, one.name) for one in network.hosts}
    )


def service(state: HostState, name: str) -> Service:
    return next(one for one in state.services if one.name == name)


def servers(state: HostState, name: str) -> list[str]:
    return [line for line in service(state, name).config.splitlines() if line.startswith("server=")]


def judge(state: HostState, name: str) -> DnsConfig:
    return read_config(service(state, name).config)


def test_plain_resolvers_are_asked_by_the_tunnels_device() -> None:
    home = compiled("from: home.lan, exit: cloud, dns: [9.9.9.9, '2620:fe::fe', '9.9.9.10:5353']")["home"]

    assert servers(home, "lan-lan") == [
        "server=9.9.9.9@smart-cloud",
        "server=2620:fe::fe@smart-cloud",
        "server=9.9.9.10#5353@smart-cloud",
    ]
    assert {rule.table for rule in home.rules if rule.oif == "smart-cloud"} == {
        route.table for route in home.routes if route.device == "smart-cloud" and not route.prefix.prefixlen
    }
    assert home.dns == ()


def test_a_resolver_within_the_network_is_found_by_its_routes() -> None:
    home = compiled("from: home.lan, exit: tokyo, dns: 10.9.0.53")["home"]

    assert servers(home, "lan-lan") == ["server=10.9.0.53"]


def test_the_exit_answers_on_tunnels_only() -> None:
    states = compiled("from: home.lan, exit: cloud, dns: exit")

    assert servers(states["home"], "lan-lan") == ["server=10.77.0.1"]
    lines = service(states["cloud"], "exit-names").config.splitlines()
    assert [line for line in lines if "interface" in line] == ["interface=smart", "except-interface=lo"]
    assert "no-resolv" not in lines
    assert not states["tokyo"].services


def test_two_sides_are_judged_by_a_program_between() -> None:
    home = compiled(
        "from: home.lan, exit: cloud, except: [45.12.0.0/14, domain:bank.example], "
        "dns: {domestic: 223.5.5.5, trusted: 'tls://8.8.8.8#dns.google', domestic_names: cn}"
    )["home"]
    told = judge(home, "dns-lan")

    assert servers(home, "lan-lan") == [f"server={told.address}"]
    assert [(str(one.resolver), one.domestic, one.device) for one in told.asked] == [
        ("223.5.5.5", True, "wan"),
        ("tls://8.8.8.8#dns.google", False, "smart-cloud"),
    ]
    assert told.domestic_names == ("cn", "bank.example")
    assert [str(prefix) for prefix in told.domestic] == ["45.12.0.0/14"]
    assert told.judged and not told.fast and told.address.is_loopback


def test_each_lan_has_a_judge_of_its_own_that_others_do_not_move() -> None:
    lan, iot = (f"from: home.{name}, exit: cloud, dns: 'tls://9.9.9.9'" for name in ("lan", "iot"))
    both, alone = compiled(lan, iot)["home"], compiled(lan)["home"]

    assert judge(both, "dns-lan").address != judge(both, "dns-iot").address
    assert judge(both, "dns-lan").address == judge(alone, "dns-lan").address
    assert not judge(alone, "dns-lan").judged


def test_the_hosts_own_programs_are_pointed_at_a_loopback_address() -> None:
    home = compiled("from: home, exit: cloud, dns: {domestic: 223.5.5.5, trusted: exit, domestic_set: 45.12.0.0/14}")[
        "home"
    ]
    (config,) = home.dns

    assert config.servers == (ip_address("127.77.0.1"),)
    assert f"listen-address={config.servers[0]}" in service(home, "own-names").config
    asked = [rule for rule in home.rules if rule.oif == "wan"]
    assert {(rule.table, str(rule.destination), rule.ipproto, rule.dport) for rule in asked} == {
        (MAIN, "223.5.5.5/32", "udp", 53),
        (MAIN, "223.5.5.5/32", "tcp", 53),
    }


def test_a_host_steered_by_names_has_them_resolved_at_its_exit() -> None:
    states = compiled("from: home, exit: cloud, except: ['domain:bank.example']")

    assert servers(states["home"], "own-names") == ["server=10.77.0.1"]
    assert states["home"].dns and service(states["cloud"], "exit-names")


def test_with_several_exits_a_rule_leads_to_the_resolvers_port() -> None:
    states = compiled(
        "from: home.lan, exit: [cloud, tokyo], dns: [9.9.9.9]", "from: home.iot, exit: [tokyo, cloud], dns: exit"
    )
    home = states["home"]
    led = [rule for rule in home.rules if rule.dport == 53]

    assert servers(home, "lan-lan") == ["server=9.9.9.9"]
    assert {(str(rule.destination), rule.ipproto, rule.iif) for rule in led} == {
        ("9.9.9.9/32", "udp", "lo"),
        ("9.9.9.9/32", "tcp", "lo"),
    }
    devices = {route.device for route in home.routes if route.table == led[0].table}
    assert devices == {"", "smart-cloud", "smart-tokyo"}  # and behind both, nothing
    assert servers(home, "lan-iot") == ["server=10.77.0.2", "server=10.77.0.1"]
    assert "strict-order" in service(home, "lan-iot").config


EXPECTS = """  - {{from: home.lan, resolves: {{name: example.org, by: {by}}}}}
  - {{from: home.lan, resolves: {{name: example.org}}, blocked: true, when: {{down: [{down}]}}}}
"""


@pytest.mark.parametrize(
    ("portal", "by", "down"),
    [
        ("exit: cloud, dns: 9.9.9.9", "cloud", "cloud"),
        ("exit: cloud, nat: snat, dns: 9.9.9.9", "cloud", "cloud"),
        ("exit: cloud, nat: routed, dns: 9.9.9.9", "cloud", "cloud"),
        ("exit: tokyo, via: [cloud], dns: 9.9.9.9", "tokyo", "cloud"),
        ("exit: tokyo, via: [cloud], dns: 'https://9.9.9.9/dns-query'", "tokyo", "cloud"),
        ("exit: cloud, dns: exit", "cloud", "cloud"),
        ("exit: [cloud, tokyo], dns: 9.9.9.9", "cloud", "cloud, tokyo"),
        ("exit: [cloud, tokyo], dns: exit", "cloud", "cloud, tokyo"),
        ("exit: cloud, dns: {domestic: 223.5.5.5, trusted: 9.9.9.9, domestic_set: 45.12.0.0/14}", "cloud", "cloud"),
        ("exit: cloud, dns: {domestic: 223.5.5.5, trusted: exit, domestic_set: 45.12.0.0/14}", "cloud", "cloud"),
    ],
)
def test_walk_follows_every_question(portal: str, by: str, down: str) -> None:
    network, lock = loaded(f"from: home.lan, {portal}", expects=EXPECTS.format(by=by, down=down))
    world = place_world(network, lock)
    around = {one.name: surroundings_of(world, network, one.name) for one in network.hosts}
    verdicts = verify(network, lock, compile_network(network, lock, around), around, world)

    assert [f"{one.claim}: {one.says}" for one in verdicts if not one.holds] == []
    assert sum(one.claim.endswith("resolved") for one in verdicts) == 2


def test_what_is_promised_wrongly_does_not_hold() -> None:
    expects = """  - {from: home.lan, resolves: {name: example.org, by: cloud}}
  - {from: home.lan, resolves: {name: example.org, by: [home, cloud]}}
  - {from: home.lan, resolves: {name: example.org}, blocked: true}
"""
    dns = "dns: {domestic: 223.5.5.5, trusted: 9.9.9.9, domestic_set: 45.12.0.0/14, privacy: fast}"
    network, lock = loaded(f"from: home.lan, exit: cloud, {dns}", expects=expects)
    world = place_world(network, lock)
    around = {one.name: surroundings_of(world, network, one.name) for one in network.hosts}
    told = verify(network, lock, compile_network(network, lock, around), around, world)[:3]

    assert [one.says for one in told] == [
        "its questions leave by cloud, home",
        "",
        "its questions leave by cloud, home",
    ]


def test_an_upstream_in_dnsmasqs_words() -> None:
    lines = list(resolving_lines(Resolving((Upstream(ip_address("9.9.9.9"), "wg0", 54, ("a.example", "b.example")),))))

    assert "server=/a.example/b.example/9.9.9.9#54@wg0" in lines


def test_programs_are_known_by_name() -> None:
    assert Program.RESOLVER.value == "warren-dns" and len(Program.RESOLVER.value) < 16  # as /proc tells it


@pytest.mark.parametrize(
    ("dns", "asked"),
    [
        ("exit", "server=/cloud.example.net/9.9.9.9@wan"),
        ("{domestic: 223.5.5.5, trusted: exit, domestic_set: 45.12.0.0/14}", "server=/cloud.example.net/223.5.5.5@wan"),
    ],
)
def test_the_names_of_endpoints_are_not_asked_through_the_tunnels_that_they_are_for(dns: str, asked: str) -> None:
    home = compiled(f"from: home, exit: cloud, dns: {dns}", endpoint="cloud.example.net")["home"]
    address = asked.rpartition("/")[2].partition("@")[0]

    assert asked in servers(home, "own-names")
    assert {str(rule.destination) for rule in home.rules if rule.oif == "wan"} == {f"{address}/32"}
    guard = next(chain for table in home.tables for chain in table.chains if chain.name == "own_guard_1")
    assert sum("asked directly" in rule.comment for rule in guard.rules) == 2


def test_other_lans_ask_for_endpoints_like_for_anything() -> None:
    home = compiled("from: home.lan, exit: cloud, dns: 9.9.9.9", endpoint="cloud.example.net")["home"]

    assert servers(home, "lan-lan") == ["server=9.9.9.9@smart-cloud"]


def test_lists_of_names_stand_for_what_they_hold() -> None:
    def read(name: str, _file: object) -> NamedSet:
        return NamedSet(name, domains=("a.cn", "b.cn")) if name == "list:home" else NamedSet(name)

    portal = "from: home.lan, exit: cloud, dns: {domestic: 223.5.5.5, trusted: 9.9.9.9, domestic_set: 45.12.0.0/14, "
    portals = f"  - {{{portal}domestic_names: ['list:home', cn]}}}}"
    text = FILE.format(portals=portals, expects="  []", endpoint="198.51.100.7")
    text += "lists: {home: {from: home.txt, kind: domains}}\n"
    found = load(text.encode(), None, "smart.yaml", make_key=lambda name: KEYS[name], sets=read)
    assert found.network is not None and found.lock is not None, found.text()
    world = place_world(found.network, found.lock)
    around = {"home": surroundings_of(world, found.network, "home")}

    home = compile_network(found.network, found.lock, around)["home"]
    assert judge(home, "dns-lan").domestic_names == ("a.cn", "b.cn", "cn")


def test_names_alone_do_not_say_what_is_domestic() -> None:
    dns = "except: ['domain:bank.example'], dns: {domestic: 223.5.5.5, trusted: 9.9.9.9}"
    text = FILE.format(portals=f"  - {{from: home.lan, exit: cloud, {dns}}}", expects="  []", endpoint="198.51.100.7")
    found = load(text.encode(), None, "smart.yaml", make_key=lambda name: KEYS[name])

    assert [one.code for one in found.diagnostics if one.severity is Severity.ERROR] == ["W198"]
