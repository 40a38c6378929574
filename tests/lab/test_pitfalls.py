"""Twenty things that bit when portals were first built by hand, each held against a real kernel.

Every test is named after its pitfall. What is true of every compiled state whatever the kernel does with it is in
tests/core/compile/test_pitfalls.py, under the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.compile.networks import lock_of, portal, portals_network
from tests.kernel.foreign import ADDRESSES, FullTunnel, in_front
from tests.kernel.leaks import DEVICES, RULES, SOURCES, Watcher
from tests.kernel.portals import CHAIN, LAN, MAC, PLAIN, WIFI, answers, exits, fresh, questions
from tests.kernel.wire import Question
from tests.kernel.world import Remote, a_risen_world, a_world, rise
from warren.core.lockfile import allot
from warren.core.obstacles import find_obstacles
from warren.core.world import place_world, surroundings_of
from warren.model.prefix import FAMILIES
from warren.model.state import FRONT_PRIORITIES, HostState
from warren.model.surroundings import ForeignChain, Surroundings

pytestmark = pytest.mark.lab

NETWORK = portals_network()
PORTALS = [LAN, MAC, CHAIN, WIFI, "tokyo"]
STRICT = {"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.all.src_valid_mark": "1"}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network, up; tests leave it as they found it."""
    with a_risen_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """The portals network, up, for a test that breaks it."""
    with a_risen_world(NETWORK, lock_of(NETWORK), tmp_path_factory.mktemp("keys")) as world:
        yield world


def all_right(world: Remote, places: list[str] = PORTALS) -> None:
    """Every portal leaves where it should, in both families, by UDP and TCP."""
    asked = questions(places)
    assert answers(world, asked) == exits(world, asked), world.refusals()


def snapshot(world: Remote, host: str) -> str:
    """All of a host's routing and firewall, without what counts."""
    return world.sh(
        host,
        "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; "
        "nft -s list ruleset; wg show all allowed-ips",
    )


def test_pitfall_01_marks_come_from_no_register(standing: Remote) -> None:
    """nft 1.0.6 cannot OR two registers: the tables it was given hold constants only, and it took them."""
    for host in ("nyc", "paris", "tokyo"):
        listed = json.loads(standing.sh(host, "nft -j list table inet warren-portals"))["nftables"]
        chains = {entry["chain"]["name"] for entry in listed if "chain" in entry}
        assert chains == {chain.name for table in standing.states[host].tables for chain in table.chains}


def test_pitfall_02_nft_reads_masks_back_in_its_own_words(standing: Remote) -> None:
    """What is listed is not what was loaded, yet loading it again lists the same: so listings are what is compared."""
    first = standing.sh("nyc", "nft -s list table inet warren-portals")
    assert "0xfeffffff | 0x3e000000" in first, "loaded as 0xc0ffffff | 0x3e000000"
    (table,) = standing.states["nyc"].tables
    standing.apply(
        {"nyc": standing.states["nyc"]},
        {"nyc": replace(standing.states["nyc"], tables=(replace(table, chains=table.chains[:1]),))},
    )
    assert standing.sh("nyc", "nft -s list table inet warren-portals") == first


def test_pitfall_03_strict_filters_that_follow_marks(world: Remote) -> None:
    """src_valid_mark with strict rp_filter everywhere but on our devices: portals, sites and inbound all work."""
    for host in ("nyc", "paris", "tokyo"):
        world.sysctl(host, STRICT)
    all_right(world)
    inbound = [Question("internet", world.seen_as(name)[0], "tcp", source=fresh()) for name in ("nyc", "tokyo")]
    assert world.ask([*inbound, Question(LAN, "192.168.22.100")]) == [*(q.source for q in inbound), "192.168.21.100"]


@pytest.mark.parametrize("host", ["nyc", "tokyo"])
def test_pitfall_04_a_foreign_full_tunnel_was_there_first(tmp_path: Path, host: str) -> None:
    """wg-quick's full tunnel with strict filters: outer packets come in, exits and portals answer, all as before."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path) as world:
        for name in ("nyc", "paris", "tokyo"):
            world.sysctl(name, STRICT)
        tunnel = FullTunnel(world, host, tmp_path)
        tunnel.serve()
        tunnel.up()
        assert world.ask([Question(host, fresh(), timeout=6)]) == [ADDRESSES[0]]
        rise(world)
        places = [place for place in PORTALS if not (host == "nyc" and place == CHAIN)]  # CHAIN's IPv6 has no portal
        all_right(world, [place for place in places if not (host == "tokyo" and place == "tokyo")])
        assert world.ask([Question("tokyo", fresh()), Question(CHAIN, fresh())]) == [
            world.seen_as("nyc")[0],
            world.seen_as("tokyo")[0],
        ]


def test_pitfall_05_connection_marks_on_every_datagram(standing: Remote) -> None:
    """wg-quick's premangle rule copies connection marks onto UDP: ours come after, from a clean sheet."""
    standing.sh(
        "nyc",
        """nft -f - <<'END'
        table inet quick {
            chain premangle {
                type filter hook prerouting priority mangle;
                meta l4proto udp meta mark set ct mark
            }
        }
END""",
    )
    flow = Question(LAN, fresh(), answer=1)
    assert standing.ask([flow]) == [standing.seen_as("paris")[0]]
    all_right(standing, [LAN, MAC, WIFI])
    stream = standing.start_flood(MAC, fresh(), 7000, rate=100)
    assert standing.flood_answers(stream, 20) >= 20, "established flows keep their way"
    standing.stop_flood(stream)
    standing.sh("nyc", "nft delete table inet quick")


@pytest.mark.parametrize("host", ["nyc", "tokyo"])
def test_pitfall_06_foreign_rules_land_in_front_of_ours(world: Remote, tmp_path: Path, host: str) -> None:
    """wg-quick started later stands in front: nothing leaks, and a second copy of our rules mends it."""
    before = snapshot(world, host)
    tunnel = FullTunnel(world, host, tmp_path)
    tunnel.serve()
    tunnel.up()
    assert "7699:\tnot from all fwmark 0xca6c lookup 51820" in world.sh(host, "ip rule")
    counted = Watcher(world).probe()
    assert counted == dict.fromkeys(counted, 0)

    old = world.states[host]
    new = world.compile(more={host: in_front()})[host]
    assert {rule.priority in FRONT_PRIORITIES for rule in new.rules} == {True, False}
    world.apply({host: new}, {host: old})
    world.meet()
    all_right(world, [LAN, MAC, WIFI] if host == "nyc" else [LAN, MAC, WIFI, CHAIN])
    assert world.ask([Question("tokyo", fresh())]) == [world.seen_as("nyc")[0]]

    tunnel.down()
    world.apply({host: old}, {host: new})
    world.meet()
    all_right(world)
    assert snapshot(world, host) == before


def test_pitfall_07_wg_quick_down_deletes_rules_that_read_like_its_own(world: Remote, tmp_path: Path) -> None:
    """Its `down` deletes every rule `from all lookup main suppress_prefixlength 0`: none of ours reads so."""
    for host in ("nyc", "tokyo"):
        before = snapshot(world, host)
        tunnel = FullTunnel(world, host, tmp_path)
        tunnel.serve()
        tunnel.up()
        tunnel.down()
        world.sh("internet", "ip link del srv")
        assert snapshot(world, host) == before
    world.meet()
    all_right(world)


def test_pitfall_08_a_foreign_hook_clobbers_our_mark(standing: Remote) -> None:
    """The mark of a MAC portal is gone before routing: the guard by ingress rejects, nothing leaks."""
    standing.sh(
        "nyc",
        """nft -f - <<'END'
        table inet clobber {
            chain late {
                type filter hook prerouting priority dstnat;
                meta mark set 0
            }
        }
END""",
    )
    watcher = Watcher(standing, SOURCES[:2])
    counted = watcher.probe(timeout=1)
    refused = standing.ask([Question(MAC, fresh()), Question(MAC, fresh(6))])
    by_rules = standing.ask([Question(LAN, fresh()), Question(LAN, fresh(6))])
    standing.sh("nyc", "nft delete table inet clobber")
    assert counted == dict.fromkeys(counted, 0)
    assert refused == ["EHOSTUNREACH", "EACCES"]
    assert by_rules == [*standing.seen_as("paris")], "a portal by rules needs no mark"


def test_pitfall_09_our_accept_overrides_nobodys_drop(world: Remote) -> None:
    """Docker's FORWARD with policy drop stops our packets: it is named, and the owner's consent lets them pass."""
    world.sh(
        "nyc",
        """nft -f - <<'END'
        table ip filter {
            chain DOCKER-USER { return; }
            chain FORWARD {
                type filter hook forward priority filter; policy drop;
                jump DOCKER-USER
            }
        }
END""",
    )
    assert world.ask([Question(LAN, fresh(), timeout=0.7), Question(LAN, fresh(6))]) == [
        "timeout",
        world.seen_as("paris")[1],
    ]
    chain = ForeignChain("ip", "filter", "FORWARD", "forward", 0, "drop", 1, "docker")
    old = world.states["nyc"]
    blocking = [o for o in find_obstacles(old, Surroundings(chains=(chain,))) if o.blocks and "FORWARD" in o.what]
    assert blocking and any("DOCKER-USER" in obstacle.command for obstacle in blocking)

    hosts = tuple(replace(one, firewall="docker") if one.name == "nyc" else one for one in NETWORK.hosts)
    consented = world.compile(replace(NETWORK, hosts=hosts))["nyc"]
    assert {(rule.tool, rule.direction) for rule in consented.consents} >= {
        ("docker", "forward-in"),
        ("docker", "forward-out"),
    }
    in_ipv4 = tuple(rule for rule in consented.consents if rule.family == 4 and rule.direction != "input")
    world.apply({"nyc": replace(consented, consents=in_ipv4)}, {"nyc": old})
    assert world.ask([Question(LAN, fresh())]) == [world.seen_as("paris")[0]]


def test_pitfall_10_one_device_has_two_families(standing: Remote) -> None:
    """A MAC portal takes both families of its device; an address says nothing of the other, which leaves by nyc."""
    asked = questions([MAC, CHAIN])
    assert answers(standing, asked) == exits(standing, asked)
    assert standing.ask([Question(CHAIN, fresh(6))]) == [standing.seen_as("nyc")[1]]


def test_pitfall_11_a_hosts_own_traffic(tmp_path: Path) -> None:
    """Inbound is answered where it came in; DHCP, neighbours and the check of new gateways are left alone."""
    portals = (*NETWORK.portals[:4], replace(NETWORK.portals[4], families=FAMILIES))
    network = replace(NETWORK, portals=portals)
    with a_risen_world(network, lock_of(network), tmp_path) as world:
        assert world.ask([Question("tokyo", fresh()), Question("tokyo", fresh(6))]) == [*world.seen_as("nyc")]
        inbound = [
            Question("internet", to, proto, source=fresh(6 if ":" in to else 4))
            for to in world.seen_as("tokyo")
            for proto in ("tcp", "udp")
        ]
        assert world.ask(inbound) == [question.source for question in inbound]
        # Neighbour discovery begins anew, and the gateway is reached at its link-local address.
        world.sh("tokyo", "ip -6 neighbour flush dev eth0")
        assert world.ask([Question("tokyo", "fe80::1%eth0")])[0].startswith("fe80:")
        world.sh("internet", "ip -6 neighbour flush dev h2")
        assert world.ask(inbound) == [question.source for question in inbound]
        # What a DHCP client does: a gateway without a device is looked for on the uplink, not in the tunnel.
        world.sh("tokyo", "ip address add 203.0.113.99/24 dev eth0; ip address add 2001:db8:4::99/64 dev eth0 nodad")
        world.sh("tokyo", "ip route del default; ip route add default via 203.0.113.1")
        world.sh("tokyo", "ip -6 route add default via 2001:db8:4::1 metric 5")
        assert "via 203.0.113.1 dev eth0" in world.sh("tokyo", "ip route show default")
        assert "via 2001:db8:4::1 dev eth0" in world.sh("tokyo", "ip -6 route show default")
        # A lease is renewed with a server that is not on the link, by the uplink.
        server = fresh()
        uplink = world.watch("tokyo", "eth0", server)
        world.send("tokyo", (world.seen_as("tokyo")[0], 68), (server, 67))
        assert [packet.dport for packet in world.seen(uplink) if packet.outgoing] == [67]
        # Main without any default: own traffic still finds its tunnel, whose packets have the host's route.
        world.sh("tokyo", "ip route del default; ip route add 198.51.100.0/24 via 203.0.113.1")
        assert world.ask([Question("tokyo", fresh())]) == [world.seen_as("nyc")[0]]


def test_pitfall_12_living_devices_are_never_rebuilt(world: Remote) -> None:
    """A portal is added, its table and rules with it: sessions, ports and a running flow do not notice."""
    flow = world.open_flow(LAN, fresh(), 7000)
    before = world.sh("nyc", "wg show all latest-handshakes; wg show all listen-port; ip -o link show type tun")
    network = replace(NETWORK, portals=(*NETWORK.portals, portal("nyc.eth1", "paris")))
    lock = allot(network, lock_of(NETWORK))
    states = world.compile(network, lock)
    world.apply(states, world.states)
    assert world.ask([Question(PLAIN, fresh()), Question(PLAIN, fresh(6))]) == [*world.seen_as("paris")]
    assert world.echo(flow)
    assert world.sh("nyc", "wg show all latest-handshakes; wg show all listen-port; ip -o link show type tun") == before


def test_pitfall_13_segments_are_clamped_for_forwarded_and_own_tcp(standing: Remote) -> None:
    """The clamp stands in postrouting: the SYNs of LANs and of the host itself both carry the tunnel's size."""
    for place, port_of_internet, mss in ((LAN, "n0", 1400), ("tokyo", "h0", 1400), (PLAIN, "h0", 1460)):
        to = fresh()
        capture = standing.watch("internet", port_of_internet, to)
        standing.ask([Question(place, to, "tcp")])
        assert [packet.mss for packet in standing.seen(capture) if packet.syn and not packet.outgoing] == [mss], place


def test_pitfall_14_flows_survive_the_loss_of_a_tunnels_addresses(standing: Remote) -> None:
    """Sources are rewritten to a constant, not to what the device has: `masquerade` forgets flows with an address."""
    flow = standing.open_flow(CHAIN, fresh(), 7000)  # rewritten at its entry
    standing.sh(
        "nyc",
        "ip address del 10.77.0.1/32 dev portals-paris; ip link set portals-paris down; ip link set portals-paris up; "
        "ip address add 10.77.0.1/32 dev portals-paris; ip address replace fd77:7:7::1/128 dev portals-paris nodad; "
        "ip route add 0.0.0.0/0 dev portals-paris table 7701 proto 77; "
        "ip route add ::/0 dev portals-paris table 7701 proto 77",
    )
    again = [
        route for route in standing.states["nyc"].routes if route.device == "portals-paris" and route.table == 7700
    ]
    lines = "; ".join(f"ip route replace {route.prefix} dev portals-paris table 7700 proto 77" for route in again)
    standing.sh("nyc", lines)
    assert standing.echo(flow, timeout=5)


def test_pitfall_15_far_prefixes_leave_by_tunnels_only(world: Remote, tmp_path: Path) -> None:
    """With rules and devices gone, what is meant for another site leaves by no uplink, and by no foreign tunnel."""
    world.sh("nyc", RULES + ";" + DEVICES)
    tunnel = FullTunnel(world, "nyc", tmp_path)
    uplink = world.watch("nyc", "eth0", "192.168.22.100"), world.watch("nyc", "eth0", "fd22:22::64")
    asked = [Question(LAN, to, timeout=0.4) for to in ("192.168.22.100", "fd22:22::64")]
    assert world.ask(asked) == ["timeout", "timeout"]
    assert [world.seen(capture) for capture in uplink] == [[], []]
    tunnel.serve()
    tunnel.up()
    foreign = world.watch("nyc", "wq0", "192.168.22.100"), world.watch("nyc", "wq0", "fd22:22::64")
    assert world.ask(asked) == ["timeout", "timeout"]
    assert [world.seen(capture) for capture in foreign] == [[], []]


def test_pitfall_16_the_first_packets_that_a_peer_may_not_send(standing: Remote) -> None:
    """What the source check drops when devices come up is multicast listener reports, 76 bytes each: no harm."""
    for line in standing.refusals().splitlines():
        if "not entitled" in line:
            packets, size = (int(line.split(word)[1].split()[0]) for word in ("packets", "bytes"))
            assert size == 76 * packets, line


def test_pitfall_17_allowed_ips_are_what_was_asked_for(standing: Remote) -> None:
    """A second peer with 0/0 on one device would take it from the first: every kernel has the peers' full lists."""
    for host, state in standing.states.items():
        listed = [line.split("\t") for line in standing.sh(host, "wg show all allowed-ips").splitlines()]
        found = {(device, key): frozenset(allowed.split()) for device, key, allowed in listed}
        assert found == {
            (interface.name, peer.public_key): frozenset(str(prefix) for prefix in peer.allowed_ips)
            for interface in state.interfaces
            for peer in interface.peers
        }


def test_pitfall_18_up_and_down_are_each_others_mirror(tmp_path: Path) -> None:
    """The table comes first and goes last, in one transaction each; nothing of ours is left, all else is as it was."""
    with a_world(NETWORK, lock_of(NETWORK), tmp_path) as world:
        before = {host: snapshot(world, host) for host in ("nyc", "paris", "tokyo")}
        place = place_world(NETWORK, lock_of(NETWORK))
        surroundings = {host: surroundings_of(place, NETWORK, host) for host in before}
        states = rise(world)
        for host, state in states.items():
            was = {setting.name: setting.value for setting in surroundings[host].sysctls}
            restore = {setting.name: was[setting.name] for setting in state.sysctls if setting.name in was}
            world.apply({host: HostState(host, state.owner, state.backend)}, {host: state}, restore)
        assert {host: snapshot(world, host) for host in states} == before


def test_pitfall_19_the_sender_is_told(world: Remote) -> None:
    """Blocked is said with ICMP, by the routes when the device is gone and by the guard when the rules are."""
    world.sh("nyc", "ip link del portals-paris")
    asked = [Question(LAN, fresh(), "tcp"), Question(LAN, fresh(6), "tcp"), Question(LAN, fresh())]
    assert world.ask(asked) == ["EHOSTUNREACH", "ENETUNREACH", "EHOSTUNREACH"]
    world.sh("nyc", RULES)
    asked = [Question(LAN, fresh(), "tcp"), Question(LAN, fresh(6), "tcp")]
    assert world.ask(asked) == ["EHOSTUNREACH", "EACCES"]


def test_pitfall_20_the_internet_answers_on_any_address(standing: Remote) -> None:
    """Over UDP and TCP, in both families, and still carries packets between the hosts that stand on it."""
    asked = questions([PLAIN, "nyc"])
    assert answers(standing, asked) == exits(standing, asked)
    direct = [Question("nyc", standing.seen_as("tokyo")[0], "tcp"), Question("nyc", standing.seen_as("tokyo")[1])]
    assert standing.ask(direct) == [*standing.seen_as("nyc")]
