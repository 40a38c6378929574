"""What stands in the way is named, with the command that helps; what does not is left unsaid."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from tests.core.render.states import nyc
from warren.core.obstacles import find_obstacles
from warren.model.change import Obstacle
from warren.model.firewall import Chain, IfName, NftRule, Table
from warren.model.prefix import Family
from warren.model.state import (
    MAIN,
    Backend,
    ConsentRule,
    HostState,
    Program,
    Route,
    Rule,
    Service,
    Sysctl,
)
from warren.model.surroundings import ForeignChain, Link, Listener, Surroundings

STATE = nyc()
NOTHING = Surroundings()


def found(state: HostState = STATE, **surroundings: object) -> tuple[Obstacle, ...]:
    return find_obstacles(state, replace(NOTHING, **surroundings))  # type: ignore[arg-type]


def chain(family: str, table: str, name: str, policy: str = "drop", rules: int = 3, tool: str = "") -> ForeignChain:
    hook = "input" if "INPUT" in name.upper() else "forward"
    return ForeignChain(family, table, name, hook, 0, policy, rules, tool)


def test_an_empty_host_has_no_obstacles() -> None:
    assert found() == ()
    assert found(HostState("nyc", "portals"), chains=(chain("ip", "filter", "FORWARD", tool="docker"),)) == ()


def test_docker_is_named_with_the_exact_commands_and_the_word_of_consent() -> None:
    (obstacle,) = found(replace(STATE, consents=()), chains=(chain("ip", "filter", "FORWARD", tool="docker"),))

    assert obstacle.blocks
    assert obstacle.what.startswith("docker filters forwarded ipv4 packets, and drops")
    assert "firewall: docker" in obstacle.remedy and "hosts.nyc" in obstacle.remedy
    first = obstacle.command.splitlines()[0]
    assert first.startswith(
        "iptables -I DOCKER-USER -i portals -m comment --comment warren-portals/forward-in/portals/0"
    )
    assert len(obstacle.command.splitlines()) == 4


def test_what_the_owner_consented_to_is_no_obstacle() -> None:
    ways = ("forward-in", "forward-out")
    rules = tuple(ConsentRule("docker", Family.IPV4, way, i.name) for way in ways for i in STATE.interfaces)
    docker = chain("ip", "filter", "FORWARD", tool="docker")

    assert found(replace(STATE, consents=rules), chains=(docker,)) == ()
    assert found(replace(STATE, consents=()), chains=(replace(docker, consented=True),)) == ()
    assert len(found(replace(STATE, consents=rules[:1]), chains=(docker,))) == 1


def test_docker_lets_in_what_comes_in_so_its_input_is_nobodys_to_open() -> None:
    (obstacle,) = found(chains=(chain("ip", "filter", "INPUT", "accept", tool="docker"),))

    assert not obstacle.blocks and "iifname" in obstacle.command


def test_ufw_is_asked_for_each_family_and_for_the_ports() -> None:
    chains = tuple(chain(f, "filter", n, tool="ufw") for f in ("ip", "ip6") for n in ("INPUT", "FORWARD"))

    obstacles = found(replace(STATE, consents=()), chains=chains)

    commands = "\n".join(obstacle.command for obstacle in obstacles)
    assert len(obstacles) == 4 and all(obstacle.blocks for obstacle in obstacles)
    assert "ip6tables -I ufw6-user-input -p udp --dport 51821" in commands
    assert "iptables -I ufw-user-forward -o portals-paris" in commands


def test_firewalld_blocks_though_its_policy_is_accept() -> None:
    obstacles = found(chains=(chain("inet", "firewalld", "filter_FORWARD", "accept", 9, "firewalld"),))

    assert [obstacle.blocks for obstacle in obstacles] == [True, True]
    assert "nft 'insert rule inet firewalld filter_FORWARD" in obstacles[0].command


def test_somebodys_own_chains_are_opened_by_hand() -> None:
    nft = found(chains=(chain("inet", "mine", "fw"),))
    legacy = found(chains=(chain("legacy4", "filter", "INPUT", tool="iptables"),))

    assert 'nft insert rule inet mine fw iifname "portals" accept' in nft[0].command.splitlines()
    assert "iptables-legacy -I INPUT -p udp --dport 51820 -j ACCEPT" in legacy[0].command.splitlines()


def test_harmless_chains_are_left_unsaid() -> None:
    harmless = (
        chain("ip", "filter", "FORWARD", "accept", 0),
        chain("ip", "filter", "FORWARD", "accept", 2, "tailscale"),
        ForeignChain("ip", "nat", "POSTROUTING", "postrouting", 100, "accept", 5),
        ForeignChain("ip", "wg-quick-wg0", "preraw", "prerouting", -300, "accept", 1, "wg-quick"),
    )

    assert found(chains=harmless) == ()


def test_tailscale_matters_where_the_overlay_is_in_its_range() -> None:
    link = replace(STATE.interfaces[0], addresses=(ip_interface("100.64.0.1/32"),))

    assert found(replace(STATE, interfaces=(link,)), chains=(chain("ip", "filter", "INPUT", "accept", 2, "tailscale"),))


def test_a_host_that_forwards_nothing_does_not_care_about_forward() -> None:
    assert found(replace(STATE, sysctls=()), chains=(chain("ip", "filter", "FORWARD"),)) == ()


WG_QUICK = (
    Rule(Family.IPV4, 7698, MAIN, suppress_prefixlength=0, protocol=0),
    Rule(Family.IPV4, 7699, 51820, mark=51820, mark_mask=0xFFFFFFFF, invert=True, protocol=0),
)
FULL_TUNNEL = (Route(ip_network("0.0.0.0/0"), 51820, "wg0", protocol=3),)


def test_a_full_tunnel_started_later_stands_in_front_of_ours() -> None:
    (obstacle,) = found(rules=WG_QUICK, routes=FULL_TUNNEL)

    assert obstacle.blocks and "pref 7699 not fwmark 0xca6c lookup 51820" in obstacle.what


def test_a_second_copy_in_front_of_it_is_only_told() -> None:
    copy = tuple(replace(rule, priority=rule.priority - 100) for rule in STATE.rules)

    (obstacle,) = found(replace(STATE, rules=STATE.rules + copy), rules=WG_QUICK, routes=FULL_TUNNEL)

    assert not obstacle.blocks and "second copy" in obstacle.remedy


def test_tailscales_rules_are_no_catch_all_unless_its_table_has_a_default() -> None:
    rules = (
        Rule(Family.IPV4, 5210, MAIN, mark=0x80000, mark_mask=0xFF0000, protocol=3),
        Rule(Family.IPV4, 5270, 52, protocol=3),
    )
    routes = (Route(ip_network("100.100.100.100/32"), 52, "tailscale0", protocol=3),)
    exit_node = Route(ip_network("0.0.0.0/0"), 52, "tailscale0", protocol=3)

    assert found(rules=rules, routes=routes) == ()
    assert [obstacle.blocks for obstacle in found(rules=rules, routes=(*routes, exit_node))] == [True]


def test_rules_behind_ours_and_rules_of_marks_are_left_unsaid() -> None:
    rules = (
        Rule(Family.IPV4, 30000, 51820, protocol=0),
        Rule(Family.IPV4, 100, 51820, mark=5, mark_mask=255, protocol=0),
    )

    assert found(rules=rules, routes=FULL_TUNNEL) == ()


def test_a_network_that_is_here_too_is_told() -> None:
    (obstacle,) = found(routes=(Route(ip_network("192.168.0.0/16"), MAIN, "eth1", protocol=2),))

    assert not obstacle.blocks and "nat: snat" in obstacle.remedy
    assert "192.168.22.0/24" in obstacle.what and "eth1" in obstacle.what
    assert (
        found(routes=(Route(ip_network("192.168.99.0/24"), MAIN, "eth1"), Route(ip_network("0.0.0.0/0"), MAIN, "e")))
        == ()
    )


def test_read_only_settings_matter_only_where_they_are_wrong() -> None:
    right = tuple(replace(setting) for setting in STATE.sysctls if "portals" not in setting.name)

    obstacles = found(read_only_sysctls=True)

    assert found(read_only_sysctls=True, sysctls=right) == ()
    names = [obstacle.what.split()[0] for obstacle in obstacles]
    assert names == ["net.ipv4.ip_forward", "net.ipv6.conf.eth0.accept_ra", "net.ipv6.conf.all.forwarding"]
    assert "--sysctl net.ipv4.ip_forward=1" in obstacles[0].command
    strict = (*right, Sysctl("net.ipv4.conf.all.rp_filter", "1"))
    assert [o.what.split()[0] for o in found(read_only_sysctls=True, sysctls=strict)] == [
        "net.ipv4.conf.portals.rp_filter"
    ]


def test_a_strict_filter_that_nothing_loosens_is_told() -> None:
    strict = (Sysctl("net.ipv4.conf.all.rp_filter", "1"),)

    (obstacle,) = found(sysctls=strict)

    assert obstacle.command == "sysctl -w net.ipv4.conf.portals-paris.rp_filter=2"


def test_no_wireguard_no_programs_no_ipv6() -> None:
    lacking = found(backend=Backend.NONE, missing_programs=("nft", "conntrack", "bash"), ipv6=False)

    assert [obstacle.blocks for obstacle in lacking] == [True, True, False, False]
    assert [obstacle.command for obstacle in lacking[:3]] == [
        "apt-get install wireguard-go",
        "apt-get install nftables",
        "apt-get install conntrack",
    ]
    assert "IPv6 is disabled" in lacking[3].what


def test_networkd_is_told_to_leave_ours_alone() -> None:
    (obstacle,) = found(networkd_manages_foreign=True)

    assert obstacle.blocks and "ManageForeignRoutes=no" in obstacle.command


def test_a_link_alone_is_no_obstacle() -> None:
    ours = tuple(Link(name) for name in ("eth0", "eth1", "eth2"))
    assert found(links=(*ours, Link("docker0", kind="bridge"), Link("tailscale0", kind="tun"))) == ()


def test_a_device_the_file_names_and_the_machine_lacks_is_named_with_those_there_are() -> None:
    here = Surroundings(links=(Link("lo"), Link("enp3s0"), Link("br0")))
    table = Table(
        "warren-portals", chains=(Chain("input", (NftRule((IfName("iif", ("eth0", "lo", "portals")),), ()),)),)
    )
    state = replace(nyc(), tables=(table,))
    (found,) = [one for one in find_obstacles(state, here) if "no device called" in one.what]

    assert "eth0" in found.what and "lo" not in found.what.split()
    assert "enp3s0, br0" in found.remedy


def test_a_network_of_this_host_that_the_network_hides_is_named() -> None:
    """As a container bridge in a mapped prefix: what the near table refuses has no way past it."""
    bridge = Route(ip_network("10.77.0.128/25"), MAIN, "docker0", protocol="kernel")
    (obstacle,) = found(routes=(bridge, Route(ip_network("172.17.0.0/16"), MAIN, "br0", protocol="kernel")))

    assert not obstacle.blocks
    assert obstacle.what.startswith("10.77.0.128/25, by docker0 here, lies in 10.77.0.0/24 of the network")
    lan = Rule(Family.IPV4, 7706, MAIN, destination=ip_network("10.77.0.128/25"), suppress_prefixlength=7)
    assert found(replace(STATE, rules=(*STATE.rules, lan)), routes=(bridge,)) == ()
    device = STATE.interfaces[0].name
    assert found(routes=(Route(ip_network("10.77.0.1/32"), MAIN, device, protocol="kernel"),)) == ()


def test_a_prefix_that_gives_way_to_the_uplinks_own_network_is_named() -> None:
    """A traveller's café has the subnet of a site: its gateway stays within reach, the site does not."""
    (tokyo,) = STATE.interfaces[0].peers
    site = ip_network("10.64.3.0/24")
    held = replace(STATE.interfaces[0], peers=(replace(tokyo, allowed_ips=(*tokyo.allowed_ips, site)),))
    state = replace(STATE, interfaces=(held, *STATE.interfaces[1:]))
    cafe = Route(ip_network("10.64.0.0/22"), MAIN, "eth0", protocol="kernel")
    (obstacle,) = found(state, routes=(cafe,))

    assert not obstacle.blocks
    assert obstacle.what == "10.64.3.0/24 of tokyo is not reached from here: eth0 has 10.64.0.0/22"
    routed = replace(state, routes=(*state.routes, Route(site, 7700, "portals")))
    assert all("not reached" not in one.what for one in found(routed, routes=(cafe,)))


def test_who_has_port_53_of_every_address_is_named_where_names_are_answered() -> None:
    answering = Service("lan-eth1", Program.DNSMASQ, "interface=eth1\nbind-dynamic\ndomain-needed\n")
    state = replace(STATE, services=(answering,))
    heard = (Listener("udp", 53, "unbound"), Listener("tcp", 53, "unbound"), Listener("udp", 53, "dnsmasq"))

    (obstacle,) = found(state, listeners=heard)
    assert obstacle.what.startswith("unbound listens at port 53") and not obstacle.blocks
    assert found(listeners=heard) == ()
