"""Apply, apply again, take down: on real kernels, with what belongs to others left as it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.boxes import difference
from tests.sys.foreign import furnish, outside
from tests.sys.site import ANYWHERE, Site, lock_of, site
from warren.core.plan import describe
from warren.model.endpoint import Endpoint
from warren.model.prefix import Family
from warren.model.state import Backend
from warren.sys import journal, register
from warren.sys.apply import down
from warren.sys.errors import HostError

pytestmark = pytest.mark.lab


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        yield made


def take_down(here: Site, name: str, owner: str = "portals") -> None:
    here[name].call(partial(down, owner, here[name].machine))


def test_a_portal_carries_packets_and_leaves_no_trace(here: Site) -> None:
    """The client's packets come out at paris, and after `down` every listing is what it was."""
    before = {name: here[name].picture() for name in ("nyc", "paris")}
    network = here.default()

    here.up(network)

    for target in ANYWHERE:
        here["client"].sh(f"ping -c1 -W8 {target}")
    assert here.apply(network, "nyc").items == ()
    assert here.prepare(network, "nyc").plan.items == ()
    for name in ("nyc", "paris"):
        take_down(here, name)
        assert difference(before[name], here[name].picture()) == ""
        left = [path.name for path in here[name].state.rglob("*") if path.is_file()]
        assert sorted(left) == ["lock", "register.json"]


def test_a_crowded_host_stays_as_it_was(here: Site, tmp_path: Path) -> None:
    """Docker, ufw, Tailscale, wg-quick and hand-made things: looked at, named, and not touched."""
    nyc, client, plain = here["nyc"], here["client"], here.default()
    furnish(nyc, tmp_path)
    before = nyc.picture()

    told = describe(here.prepare(plain, "nyc").plan)

    assert difference(before, nyc.picture()) == ""  # plan reads only
    assert "! docker filters forwarded ipv4 packets, and drops what it does not know (ip filter FORWARD" in told
    assert "! docker filters forwarded ipv6 packets, and drops what it does not know (ip6 filter FORWARD" in told
    assert "iptables -I DOCKER-USER -i portals-paris" in told
    here.up(plain)
    assert difference(outside(before), outside(nyc.picture())) == ""
    assert not client.ok(f"ping -c2 -W1 {ANYWHERE[0]}")  # as the plan said

    consenting = here.network(*plain.portals, firewall="docker")
    assert "docker filters" not in describe(here.prepare(consenting, "nyc").plan)
    here.apply(consenting, "nyc")

    for target in ANYWHERE:
        client.sh(f"ping -c1 -W8 {target}")
    assert here.apply(consenting, "nyc").items == ()
    take_down(here, "nyc")
    assert difference(before, nyc.picture()) == ""


def test_consent_to_a_firewall_that_is_not_all_there(here: Site) -> None:
    """Docker without IPv6 has no hook in ip6tables; without Docker there is none at all. Both are said."""
    nyc, network = here["nyc"], here.network(*here.default().portals, firewall="docker")
    here.apply(network, "nyc")
    assert "docker has no chains for ipv4 here" in describe(here.prepare(network, "nyc").plan)
    nyc.sh("iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER; iptables -P FORWARD DROP")

    told = describe(here.prepare(network, "nyc").plan)
    here.apply(network, "nyc")

    assert "docker has no chains for ipv6 here" in told
    assert "docker has no chains for ipv4 here" not in told
    assert nyc.sh("iptables -S DOCKER-USER").count("warren-portals/") == 2
    nyc.sh("iptables -F DOCKER-USER")
    here.apply(network, "nyc")
    assert nyc.sh("iptables -S DOCKER-USER").count("warren-portals/") == 2
    take_down(here, "nyc")
    assert "warren" not in nyc.sh("iptables -S")


def test_somebody_altered_what_is_ours(here: Site) -> None:
    """`nft flush ruleset`, a rule deleted, a route deleted: seen by plan, put right by apply."""
    nyc, network = here["nyc"], here.default()
    here.apply(network, "nyc")
    whole = nyc.picture()
    table = register.load(nyc.machine.store).ledger("portals").table("near")

    for damage in (
        "nft flush ruleset",
        "nft add rule inet warren-portals forward counter accept",
        "nft flush chain inet warren-portals forward",
        "ip rule del pref 7700",
        "ip -6 rule add pref 7700 lookup 9 protocol 77",
        f"ip route flush table {table}",
        f"ip route add 10.1.0.0/16 dev eth0 table {table} proto 77",
        "ip link set portals-paris mtu 1400",
        "ip link set portals-paris down",
        "ip addr add 10.99.0.1/32 dev portals-paris",
        "wg set portals-paris fwmark 5",
        "wg set portals-paris listen-port 5000",
        "wg set portals-paris peer $(wg genkey | wg pubkey) allowed-ips 10.9.0.0/16",
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.portals-paris.rp_filter=1",
        "ip link del portals-paris",
    ):
        nyc.sh(damage)
        assert here.prepare(network, "nyc").plan.items, damage
        here.apply(network, "nyc")
        assert here.prepare(network, "nyc").plan.items == (), damage
        assert difference(whole, nyc.picture()) == "", damage


def test_a_device_of_somebody_else_is_not_taken(here: Site) -> None:
    """The name is in use: refused before anything changes."""
    here["nyc"].sh("ip link add portals-paris type bridge")
    before = here["nyc"].picture()

    with pytest.raises(HostError, match="portals-paris is there already, and not warren's"):
        here.apply(here.default(), "nyc")

    assert difference(before, here["nyc"].picture()) == ""


def test_a_name_that_stands_for_nothing_yet_keeps_no_other_tunnel_down(tmp_path: Path) -> None:
    """The peer is made without an endpoint, and said; once the name is known the next apply sets it."""
    with site(tmp_path, "nyc", "paris", "tokyo") as here:
        nyc, plain = here["nyc"], here.default()
        nyc.sh("mkdir -p /run/u /run/w; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc")
        nyc.sh("echo 'nameserver 127.0.0.1' > /etc/resolv.conf")
        hosts = (
            here.hosts["nyc"],
            here.hosts["paris"],
            replace(here.hosts["tokyo"], endpoint=Endpoint("tokyo.example", 51820)),
        )
        named = replace(plain, hosts=hosts)

        began = time.monotonic()
        applied = here.apply(named, "nyc")
        assert time.monotonic() - began < 30
        assert applied.unfound == (Endpoint("tokyo.example", 51820),)
        assert "tokyo.example stands for no address now, so tokyo cannot be dialled" in applied.missed[0]
        tokyo = f"{here.hosts['tokyo'].key}\t"
        assert f"{tokyo}(none)" in nyc.sh("wg show all endpoints")
        here.apply(plain, "paris")
        locked = lock_of(named).by_name["paris"]
        nyc.sh(f"ping -c1 -W8 {locked.addresses[0]}")

        again = here.apply(named, "nyc")
        assert (again.items, again.unfound) == ((), applied.unfound)
        nyc.sh("echo '203.0.113.30 tokyo.example' >> /etc/hosts")
        found = here.apply(named, "nyc")
        assert (len(found.items), found.missed) == (1, ())
        assert f"{tokyo}203.0.113.30:51820" in nyc.sh("wg show all endpoints")
        assert here.prepare(named, "nyc").plan.items == ()

        # A declared endpoint that is another now is set as soon as it can be, though the peer has one.
        moved = replace(named, hosts=(*hosts[:2], replace(hosts[2], endpoint=Endpoint("moved.example", 51820))))
        assert here.apply(moved, "nyc").unfound
        assert f"{tokyo}203.0.113.30:51820" in nyc.sh("wg show all endpoints")
        nyc.sh("echo '203.0.113.31 moved.example' >> /etc/hosts")
        assert here.apply(moved, "nyc").missed == ()
        assert f"{tokyo}203.0.113.31:51820" in nyc.sh("wg show all endpoints")


def test_a_lost_memory_is_no_lost_host(here: Site) -> None:
    """Without its state directory warren knows its own by number, name and key."""
    network = here.default()
    here.apply(network, "nyc")
    whole = here["nyc"].picture()
    journal.forget(here["nyc"].machine.store, "portals")

    here.apply(network, "nyc")
    assert difference(whole, here["nyc"].picture()) == ""
    assert here.prepare(network, "nyc").plan.items == ()


def test_two_networks_on_one_host(here: Site) -> None:
    """Neither touches the other, whichever comes and goes first."""
    nyc = here["nyc"]
    empty = nyc.picture()
    first, second = here.default(), here.second()
    here.up(first)
    alone = nyc.picture()

    here.up(second)
    both = nyc.picture()
    assert {line for line in alone.splitlines() if "proto 77" in line} <= set(both.splitlines())
    nyc.sh("ping -c1 -W8 10.88.0.2")
    here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    assert here.prepare(first, "nyc").plan.items == ()
    assert here.prepare(second, "nyc").plan.items == ()

    take_down(here, "nyc", "second")
    assert difference(alone, nyc.picture()) == ""
    here.apply(second, "nyc")
    take_down(here, "nyc", "portals")
    nyc.sh("ping -c1 -W8 10.88.0.2")
    assert here.prepare(second, "nyc").plan.items == ()
    take_down(here, "nyc", "second")
    assert difference(empty, nyc.picture()) == ""


FULL = """[Interface]
PrivateKey = KEY
Address = 10.200.0.1/24, fd20::1/64
[Peer]
PublicKey = PEER
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 203.0.113.77:51820
"""


def test_a_full_tunnel_of_wg_quick_that_starts_later(here: Site, tmp_path: Path) -> None:
    """Its rules land in front of ours: nothing leaks; the next apply stands in front of them; both go cleanly."""
    nyc, client, network = here["nyc"], here["client"], here.default()
    before = nyc.picture()
    here.up(network)
    client.sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    conf = tmp_path / "full.conf"
    conf.write_text(FULL)
    userspace = "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick"
    nyc.sh(
        f'k=$(wg genkey); p=$(wg genkey | wg pubkey); sed -i "s|KEY|$k|;s|PEER|$p|" {conf}; {userspace} up {conf} 2>&1'
    )
    theirs = outside(nyc.picture())
    assert not client.ok(f"ping -c1 -W1 {ANYWHERE[0]}")

    assert "ip rule pref 769" in describe(here.prepare(network, "nyc").plan)
    here.apply(network, "nyc")

    for target in ANYWHERE:
        client.sh(f"ping -c1 -W8 {target}")
    assert difference(theirs, outside(nyc.picture())) == ""
    assert here.prepare(network, "nyc").plan.items == ()
    nyc.sh(f"{userspace} down {conf} 2>&1")
    client.sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    take_down(here, "nyc")
    left = difference(before, nyc.picture()).replace("net.ipv4.conf.all.src_valid_mark", "")
    assert not [line for line in left.splitlines()[2:] if "src_valid_mark" not in line]


def test_two_networks_with_portals_on_one_host(here: Site) -> None:
    """The LAN leaves by one network, the host's own traffic by the other; each with its own marks and tables."""
    nyc, inet = here["nyc"], here["inet"]
    first, second = here.default(), here.second(portal("nyc", "paris", families=(Family.IPV4,)))
    here.up(first)
    here.up(second)
    inet.sh("nft 'add table inet watch; add chain inet watch in { type filter hook input priority 0; }'")
    inet.sh(f"nft 'add rule inet watch in iifname nyc ip daddr {ANYWHERE[0]} counter'")

    here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    nyc.sh(f"ping -c1 -W8 {ANYWHERE[0]}")

    assert "packets 0 " in inet.sh("nft list table inet watch")
    take_down(here, "nyc", "second")
    here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    nyc.sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    assert "packets 1 " in inet.sh("nft list table inet watch")


def test_a_change_of_portals_and_back(here: Site) -> None:
    """From one file to another and back: the host is then what it was, and nothing of the other is left."""
    nyc = here["nyc"]
    one = here.default()
    other = here.network(portal("nyc", "paris", families=(Family.IPV4,)))
    here.apply(one, "nyc")
    first = nyc.picture()

    here.apply(other, "nyc")
    assert nyc.picture() != first
    here.apply(one, "nyc")

    assert difference(first, nyc.picture()) == ""
    assert len(register.load(nyc.machine.store).ledger("portals").tables) == 2


@pytest.mark.vm
def test_the_kernels_own_wireguard_is_taken(here: Site) -> None:
    """Where there is a module nobody needs wireguard-go."""
    here.apply(here.default(), "nyc")

    assert here.prepare(here.default(), "nyc").desired.backend is Backend.KERNEL
    assert "wireguard" in here["nyc"].sh("ip -d link show portals-paris")
    assert here.prepare(here.default(), "nyc").plan.items == ()
