"""What the host's programs say, as values: routes, rules, tunnels, other people's firewalls."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes, difference
from tests.sys.foreign import furnish
from warren.model.endpoint import Endpoint
from warren.model.firewall import Chain, Hook, Set, SetType, Table
from warren.model.key import decode_key, fingerprint
from warren.model.prefix import Family
from warren.model.state import Action, Backend, Route, RouteKind, Rule
from warren.sys import ip, networkd, nft, wg
from warren.sys.errors import HostError
from warren.sys.foreign import chains, parse_legacy, tool_of
from warren.sys.survey import survey

KEY = "aPxGwq8zERHQ3Q1cOZFdJ+cvJX5Ka4mLN38AyYKYF10="
PUBLIC = "oFa1OZKteCYMgdzEAsIvIts6Gd+X1bUL1N3z+ATGeXY="
OTHER = "SKN/m9Iy8KKNrhtxW+gkm17/LwyqYdspBTmW1iz0mTE="


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with boxes(tmp_path, "box") as (made,):
        made.sh("ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; ip link set v0 up")
        made.sh("ip addr add fd00::1/64 dev v0 nodad; ip link set v1 up")
        yield made


# --- iproute2 ------------------------------------------------------------------------------------------------


@pytest.mark.lab
@pytest.mark.parametrize(
    ("words", "route"),
    [
        ("10.9.0.0/24 dev v0 table 7700 proto 77", Route(ip_network("10.9.0.0/24"), 7700, "v0")),
        (
            "default via 10.0.0.2 dev v0 src 10.0.0.1 metric 5 mtu 1300 proto static",
            Route(
                ip_network("0.0.0.0/0"),
                254,
                "v0",
                via=ip_address("10.0.0.2"),
                source=ip_address("10.0.0.1"),
                metric=5,
                mtu=1300,
                protocol="static",
            ),
        ),
        (
            "unreachable default metric 4294967295 table 7701 proto 77",
            Route(ip_network("0.0.0.0/0"), 7701, kind=RouteKind.UNREACHABLE, metric=4294967295),
        ),
        (
            "unreachable ::/0 metric 4294967295 table 7701 proto 77",
            Route(ip_network("::/0"), 7701, kind=RouteKind.UNREACHABLE, metric=4294967295),
        ),
        ("fd01::/64 dev v0 table 7700 proto 77", Route(ip_network("fd01::/64"), 7700, "v0")),
        ("fd01::/64 dev v0 metric 7 proto 99", Route(ip_network("fd01::/64"), 254, "v0", metric=7, protocol=99)),
        (
            "10.8.0.0/24 via inet6 fd00::9 dev v0",
            Route(ip_network("10.8.0.0/24"), 254, "v0", via=ip_address("fd00::9"), protocol="boot"),
        ),
        ("blackhole 10.8.0.0/24", Route(ip_network("10.8.0.0/24"), 254, kind=RouteKind.BLACKHOLE, protocol="boot")),
    ],
)
def test_a_route_is_read_back(box: Box, words: str, route: Route) -> None:
    """What `ip route add` was told."""
    family = Family(route.prefix.version)
    box.sh(f"ip -{family.value} route add {words}")

    assert route in box.call(lambda: ip.routes(family))
    ours = box.call(lambda: ip.routes(family, protocol=77))
    assert (route in ours) is (route.protocol == 77)


@pytest.mark.lab
def test_several_next_hops_are_several_routes(box: Box) -> None:
    """Each by its gateway."""
    box.sh("ip route add 10.9.0.0/24 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0")

    found = [
        route.via for route in box.call(lambda: ip.routes(Family.IPV4)) if route.prefix == ip_network("10.9.0.0/24")
    ]

    assert found == [ip_address("10.0.0.2"), ip_address("10.0.0.3")]


@pytest.mark.lab
@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (
            "fwmark 0x3f000000/0x3f000000 lookup main protocol 77",
            Rule(Family.IPV4, 50, 254, mark=0x3F000000, mark_mask=0x3F000000),
        ),
        (
            "not fwmark 0/0x3f000000 unreachable protocol 77",
            Rule(Family.IPV4, 50, action=Action.UNREACHABLE, mark_mask=0x3F000000, invert=True),
        ),
        (
            "to 10.3.0.0/16 lookup main suppress_prefixlength 7 protocol 77",
            Rule(Family.IPV4, 50, 254, destination=ip_network("10.3.0.0/16"), suppress_prefixlength=7),
        ),
        (
            "iif v0 from 10.0.0.7 lookup 7701 protocol 77",
            Rule(Family.IPV4, 50, 7701, iif="v0", source=ip_network("10.0.0.7/32")),
        ),
        (
            "iif lo ipproto udp sport 68 dport 67 lookup main protocol 77",
            Rule(Family.IPV4, 50, 254, iif="lo", ipproto="udp", sport=68, dport=67),
        ),
        ("fwmark 5 lookup 9", Rule(Family.IPV4, 50, 9, mark=5, mark_mask=0xFFFFFFFF, protocol="kernel")),
        ("oif v1 blackhole protocol 77", Rule(Family.IPV4, 50, action=Action.BLACKHOLE, oif="v1")),
    ],
)
def test_a_rule_is_read_back(box: Box, words: str, rule: Rule) -> None:
    """What `ip rule add` was told."""
    box.sh(f"ip rule add pref 50 {words}")

    (found,) = (each for each in box.call(ip.rules) if each.priority == 50)

    assert found == rule


@pytest.mark.lab
def test_a_strange_rule_stays_opaque(box: Box) -> None:
    """What is not understood is carried in words, for walk to say `unknown`."""
    box.sh("ip rule add pref 50 uidrange 5-6 lookup 33")

    (found,) = (each for each in box.call(ip.rules) if each.priority == 50)

    assert found.opaque == "uid_end 6 uid_start 5"


@pytest.mark.lab
def test_names_of_tables_and_protocols_do_not_matter(box: Box, tmp_path: Path) -> None:
    """An owner who calls table 7700 `office` and protocol 77 `warren` changes nothing."""
    (tmp_path / "rt_tables").write_text("254 main\n7700 office\n")
    (tmp_path / "rt_protos").write_text("77 warren\n2 kernel\n")
    box.sh("for f in rt_tables rt_protos; do mount --bind " + str(tmp_path) + "/$f /etc/iproute2/$f; done")
    box.sh("ip route add 10.9.0.0/24 dev v0 table office proto warren; ip rule add pref 50 lookup office protocol 77")

    assert Route(ip_network("10.9.0.0/24"), 7700, "v0") in box.call(lambda: ip.routes(Family.IPV4, protocol=77))
    assert Rule(Family.IPV4, 50, 7700) in box.call(ip.rules)


@pytest.mark.lab
def test_a_huge_table_is_read_in_part(box: Box) -> None:
    """Of 30,000 routes of a routing daemon none; of people's own all."""
    lines = "".join(f"route add 10.{n >> 8}.{n & 255}.0/24 dev v0 proto 186\\n" for n in range(30000 // 256 * 256) if n)
    (box.state / "batch").write_text(lines.replace("\\n", "\n"))
    box.sh(f"ip route add 10.250.0.0/16 dev v0 proto static; ip -batch {box.state}/batch")

    found = box.call(lambda: ip.routes(Family.IPV4))

    assert len(found) < 50
    assert any(route.protocol == "static" for route in found)


# --- WireGuard -----------------------------------------------------------------------------------------------


def test_a_dump_is_read_without_its_secrets() -> None:
    """Of a preshared key its fingerprint is left, of a private one nothing."""
    text = (
        f"wg0\t{KEY}\t{PUBLIC}\t51820\t0x3f000000\n"
        f"wg0\t{OTHER}\t{KEY}\t[2001:db8::1]:5\tfd00::/64,10.9.0.0/24,10.0.0.0/8\t7\t1\t2\t25\n"
        f"wg0\t{PUBLIC}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
        "new\t(none)\t(none)\t4000\toff\n"
    )

    found = wg.parse_dump(text)

    assert KEY not in repr(found)
    device = found["wg0"]
    assert (device.public_key, device.listen_port, device.fwmark) == (PUBLIC, 51820, 0x3F000000)
    first, second = device.peers
    assert first.peer.public_key == OTHER
    assert first.peer.endpoint == Endpoint("2001:db8::1", 5)
    assert first.peer.allowed_ips == tuple(map(ip_network, ("10.0.0.0/8", "10.9.0.0/24", "fd00::/64")))
    assert first.peer.psk_fingerprint == fingerprint(decode_key(KEY))
    assert (first.peer.keepalive, first.handshake, first.received, first.sent) == (25, 7, 1, 2)
    assert (second.peer.endpoint, second.peer.allowed_ips, second.peer.psk_fingerprint) == (None, (), "")
    assert found["new"] == wg.DeviceSeen("new", "", 4000, 0)


def test_a_strange_dump_is_refused() -> None:
    """Another number of columns would shift keys into other fields."""
    with pytest.raises(HostError, match="3 columns"):
        wg.parse_dump("wg0\ta\tb\n")


@pytest.mark.lab
def test_a_dead_device_does_not_hide_the_others(box: Box) -> None:
    """A socket that wireguard-go left behind when it was killed."""
    box.sh("wireguard-go wg0 2>/dev/null; mkdir -p /run/wireguard")
    box.sh("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/wireguard/dead.sock\")'")

    found = box.call(lambda: wg.devices({"wg0", "dead"}))

    assert set(found) == {"wg0"}


# --- firewalls -----------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_a_digest_tells_touched_from_lived_in(box: Box) -> None:
    """Counters, live elements and handles come and go; a rule or an element of ours does not."""
    box.sh(
        "nft 'add table inet warren-t; add set inet warren-t fed { type ipv4_addr; }; "
        'add set inet warren-t own { type ifname; elements = { "lo" }; }; '
        "add chain inet warren-t in { type filter hook input priority 0; }; "
        "add rule inet warren-t in ip saddr @fed counter'"
    )
    live = frozenset({"fed"})

    def digest() -> str:
        listed = nft.listing("inet", "warren-t")
        assert listed is not None
        return nft.digest(listed, live)

    first = box.call(digest)
    box.sh("nft 'add element inet warren-t fed { 127.0.0.1 }'; ping -c1 127.0.0.1")
    assert box.call(digest) == first
    assert "packets 0" not in box.sh("nft list table inet warren-t")
    box.sh("nft 'add element inet warren-t own { \"x\" }'")
    second = box.call(digest)
    box.sh("nft add rule inet warren-t in counter")
    assert len({first, second, box.call(digest)}) == 3
    assert box.call(lambda: nft.listing("inet", "none")) is None


def test_what_a_listing_lacks_is_said() -> None:
    """A set, a chain, a hook."""
    listed: list[nft.Entry] = [
        {"set": {"name": "s"}},
        {"chain": {"name": "c", "hook": "input", "prio": 0}},
    ]
    table = Table("t", (Set("s", SetType.IFNAME),), (Chain("c", (), Hook("filter", "input", 0)),))

    assert nft.lacks(listed, table) == ""
    assert nft.lacks(listed[1:], table) == "the set s"
    assert nft.lacks(listed[:1], table) == "the chain c"
    moved = Table("t", chains=(Chain("c", (), Hook("filter", "forward", 0)),))
    assert nft.lacks(listed, moved) == "the chain c at the hook forward"


@pytest.mark.lab
def test_a_crowded_host_is_read_and_not_touched(box: Box, tmp_path: Path) -> None:
    """Whose each chain is; and every listing is byte for byte the same afterwards."""
    box.sh("ip link add eth0 type bridge")
    furnish(box, tmp_path)
    before = box.picture()

    seen = box.call(survey)

    assert difference(before, box.picture()) == ""
    forward = {chain.family: chain for chain in seen.chains if chain.hook == "forward"}
    assert [(forward[f].tool, forward[f].policy) for f in ("ip", "ip6")] == [("docker", "drop"), ("docker", "drop")]
    assert {chain.tool for chain in seen.chains if chain.hook == "input"} == {"ufw"}
    assert [chain.name for chain in seen.chains if chain.table == "mine"] == ["out"]
    assert {5210, 5230, 5250, 5270, 1000} <= {rule.priority for rule in seen.rules}
    assert {"docker0", "tailscale0", "wq0", "eth0"} <= set(seen.link_by_name)
    assert Route(ip_network("100.100.100.100/32"), 52, "tailscale0", protocol="boot") in seen.routes
    assert seen.sysctl("net.ipv4.conf.eth0.rp_filter") == "1"
    assert seen.backend in (Backend.KERNEL, Backend.USERSPACE)
    assert seen.ipv6


@pytest.mark.lab
def test_legacy_tables_are_read_only_where_they_are_in_use(box: Box) -> None:
    """A listing would create what it lists; the kernel says which tables there are."""
    assert not [chain for chain in box.call(chains) if chain.family.startswith("legacy")]
    assert box.sh("cat /proc/net/ip_tables_names 2>/dev/null || true") == ""
    if not box.ok("iptables-legacy -P FORWARD DROP"):
        pytest.skip("this kernel has no ip_tables")
    box.sh("iptables-legacy -N DOCKER-USER; iptables-legacy -A FORWARD -j DOCKER-USER")

    (forward,) = (chain for chain in box.call(chains) if (chain.family, chain.hook) == ("legacy4", "forward"))

    assert (forward.tool, forward.policy, forward.rules, forward.table) == ("docker", "drop", 1, "filter")


def test_the_text_of_iptables_save() -> None:
    """Policies, counts, and only built-in chains."""
    text = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING DROP [1:2]\n:DOCKER - [0:0]\n-A POSTROUTING -j MASQUERADE\n"

    first, second = parse_legacy(text, "legacy6", "nat")

    assert (first.name, first.hook, first.priority, first.policy, first.rules) == (
        "PREROUTING",
        "prerouting",
        -100,
        "accept",
        0,
    )
    assert (second.name, second.priority, second.policy, second.rules, second.tool) == (
        "POSTROUTING",
        100,
        "drop",
        1,
        "iptables",
    )


@pytest.mark.parametrize(
    ("table", "chain", "targets", "tool"),
    [
        ("filter", "FORWARD", ("ufw-before-forward", "DOCKER-USER"), "docker"),
        ("filter", "INPUT", ("ts-input", "ufw6-before-input"), "ufw"),
        ("filter", "FORWARD", ("ts-forward",), "tailscale"),
        ("firewalld", "filter_FORWARD", (), "firewalld"),
        ("wg-quick-wg0", "premangle", (), "wg-quick"),
        ("filter", "FORWARD", (), "iptables"),
        ("mine", "out", (), "nft"),
    ],
)
def test_whose_a_chain_is(table: str, chain: str, targets: tuple[str, ...], tool: str) -> None:
    """By the chains it jumps to, then by its table."""
    assert tool_of(table, chain, targets) == tool


# --- networkd ------------------------------------------------------------------------------------------------


def test_networkd(tmp_path: Path) -> None:
    """Only where it runs, and unless its owner told it to leave others alone; drop-ins have the last word."""
    (tmp_path / "etc/systemd/networkd.conf.d").mkdir(parents=True)
    (tmp_path / "run/systemd/netif").mkdir(parents=True)
    assert not networkd.manages_foreign(tmp_path)

    (tmp_path / "run/systemd/netif/state").write_text("")
    assert networkd.manages_foreign(tmp_path)

    (tmp_path / "etc/systemd/networkd.conf").write_text("[Network]\nManageForeignRoutes=no\n")
    assert networkd.manages_foreign(tmp_path)

    drop_in = tmp_path / "etc/systemd/networkd.conf.d/warren.conf"
    drop_in.write_text("[Network]\nManageForeignRoutingPolicyRules = false\n")
    assert not networkd.manages_foreign(tmp_path)

    (tmp_path / "etc/systemd/networkd.conf.d/zz.conf").write_text("[Network]\nManageForeignRoutes=yes\n")
    assert networkd.manages_foreign(tmp_path)
