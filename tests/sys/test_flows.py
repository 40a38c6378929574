"""What goes on while a host is changed: sessions, counters, open TCP connections, learned endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.compile.networks import portal
from tests.sys.site import ANYWHERE, UPLINKS, Site, make_key, site
from tests.sys.talk import Echo, Talk
from warren.model.firewall import Addr, Chain, Counter, NftRule, Set, SetRef, SetType
from warren.model.network import Network
from warren.model.prefix import Family
from warren.sys.apply import apply

pytestmark = pytest.mark.lab


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "tokyo", "client") as made:
        # The owner of nyc lets his LAN out by his uplink, as every home router does.
        made["nyc"].sh(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; nft 'add table inet home; "
            "add chain inet home out { type nat hook postrouting priority srcnat; }; "
            "add rule inet home out oifname eth0 masquerade'"
        )
        yield made


def peers(here: Site, name: str) -> dict[str, list[str]]:
    """Give `wg show all dump`'s line of each peer, by its key."""
    lines = here[name].sh("wg show all dump").splitlines()
    return {words[1]: words for line in lines if len(words := line.split("\t")) == 9}


def with_psk(here: Site, network: Network, peer: str, path: Path) -> Network:
    return replace(
        network,
        hosts=tuple(
            replace(one, psk=(*one.psk, (peer, str(path)))) if one.name == "nyc" else one for one in network.hosts
        ),
    )


def test_changing_one_peer_leaves_the_others_alone(here: Site, tmp_path: Path) -> None:
    """Tokyo gets a preshared key, then goes: paris's session, counters and TCP connection live on."""
    nyc, network = here["nyc"], here.network()
    here.up(network)
    Echo(here["paris"], 7000)
    paris = here.hosts["paris"].key
    with Talk(nyc, "10.77.0.2", 7000) as four, Talk(nyc, "fd77:7:7::2", 7000) as six:
        assert (four.say("a", 15), six.say("a", 15)) == ("10.77.0.1", "fd77:7:7::1")
        before = peers(here, "nyc")[paris]

        make_key(tmp_path / "psk")
        changed = here.apply(with_psk(here, network, "tokyo", tmp_path / "psk"), "nyc")
        assert [type(item.change).__name__ for item in changed.items] == ["PutPeer"]
        assert (four.say("b"), six.say("b")) == ("10.77.0.1", "fd77:7:7::1")
        alone = replace(network, hosts=tuple(one for one in network.hosts if one.name != "tokyo"))
        here.apply(alone, "nyc")
        assert (four.say("c"), six.say("c")) == ("10.77.0.1", "fd77:7:7::1")

        after = peers(here, "nyc")
    assert list(after) == [paris]
    assert after[paris][5] == before[5]  # the same handshake
    assert int(after[paris][6]) > int(before[6])  # and its counters went on
    assert int(after[paris][7]) > int(before[7])


def test_a_roamed_peer_is_no_change(here: Site) -> None:
    """Paris is seen from another port; nyc has learned it, and neither plan nor apply takes it back."""
    nyc, network = here["nyc"], here.network()
    here.up(network)
    nyc.sh("ping -c1 -W8 10.77.0.2")
    paris = here.hosts["paris"].key
    assert peers(here, "nyc")[paris][3] == f"{UPLINKS['paris'][0]}:51820"

    # A NAT in front of paris might have given it another port.
    here["paris"].sh("wg set portals listen-port 51999; ping -c1 -W8 10.77.0.1")

    assert peers(here, "nyc")[paris][3] == "192.0.2.20:51999"
    assert here.prepare(network, "nyc").plan.items == ()
    more = here.network(portal("nyc.eth2", "tokyo"))
    here.apply(more, "nyc")
    assert peers(here, "nyc")[paris][3] == "192.0.2.20:51999"


@pytest.mark.parametrize("target", ANYWHERE)
def test_old_flows_follow_a_change_of_path_and_the_operators_live_on(here: Site, target: str) -> None:
    """A portal comes: the LAN's old connection ends, a new one leaves in paris, and the operator notices nothing."""
    nyc, client, inet = here["nyc"], here["client"], here["inet"]
    v6 = ":" in target
    own = UPLINKS["nyc"][v6]
    # At its exit, IPv6 gets an address of paris's by NAT66.
    there = UPLINKS["paris"][v6]
    Echo(inet, 7000)
    Echo(nyc, 22)
    here.apply(here.default(), "paris")
    with Talk(inet, own, 22) as operator, Talk(client, target, 7000) as old:
        seen = operator.say("a")
        assert seen == (("2001:db8:1::1") if v6 else "198.51.100.1")
        assert old.say("a") == own

        here.apply(here.default(), "nyc")

        assert operator.say("b") == seen
        watch = "tcp dport 7000 ip6 daddr" if v6 else "tcp dport 7000 ip daddr"
        inet.sh(
            "nft 'add table inet watch; add chain inet watch in { type filter hook input priority 0; }; "
            f"add rule inet watch in iifname nyc {watch} {target} counter'"
        )
        assert old.say("b", within=1.5) is None  # it cannot move to another address, and it must not stay
        with Talk(client, target, 7000) as new:
            assert new.say("a", 15) == there
        assert "packets 0" in inet.sh("nft list table inet watch")
        assert operator.say("c") == seen


def test_the_operator_survives_a_portal_of_the_hosts_own_traffic(here: Site) -> None:
    """All that nyc itself sends leaves in paris, but what came in by the uplink is answered there."""
    nyc, inet = here["nyc"], here["inet"]
    Echo(inet, 7000)
    Echo(nyc, 22)
    network = here.network(portal("nyc", "paris"))
    with Talk(inet, UPLINKS["nyc"][0], 22) as four, Talk(inet, UPLINKS["nyc"][1], 22) as six:
        assert (four.say("a"), six.say("a")) == ("198.51.100.1", "2001:db8:1::1")

        here.up(network)

        assert (four.say("b"), six.say("b")) == ("198.51.100.1", "2001:db8:1::1")
        with Talk(nyc, ANYWHERE[0], 7000) as out:
            assert out.say("a", 15) == UPLINKS["paris"][0]
        with Talk(inet, UPLINKS["nyc"][0], 22) as later:
            assert later.say("a") == "198.51.100.1"
        assert (four.say("c"), six.say("c")) == ("198.51.100.1", "2001:db8:1::1")


def test_live_sets_survive_an_apply(here: Site) -> None:
    """What was fed into a live set is no change, and is still there when the table's chains have been replaced."""
    nyc, network = here["nyc"], here.default()
    here.apply(network, "nyc")
    plain = here.prepare(network, "nyc").desired
    (table,) = plain.tables
    fed = replace(table, sets=(*table.sets, Set("fed4", SetType.IPV4, live=True, timeout=3600)))
    counting = Chain("counting", (NftRule((Addr("daddr", Family.IPV4, SetRef("fed4")),), (Counter(),)),))
    first = replace(plain, tables=(fed,))
    second = replace(plain, tables=(replace(fed, chains=(*fed.chains, counting)),))
    nyc.call(lambda: apply(first, nyc.machine))
    nyc.sh("nft 'add element inet warren-portals fed4 { 192.0.2.7, 198.18.0.0/15 }'")

    assert nyc.call(lambda: apply(first, nyc.machine)).items == ()
    nyc.call(lambda: apply(second, nyc.machine))
    kept = nyc.sh("nft list set inet warren-portals fed4")
    assert "192.0.2.7" in kept
    assert "198.18.0.0/15" in kept

    nyc.sh("nft add rule inet warren-portals counting drop")
    nyc.call(lambda: apply(second, nyc.machine))
    assert "192.0.2.7" in nyc.sh("nft list set inet warren-portals fed4")
    assert "drop" not in nyc.sh("nft list chain inet warren-portals counting")
    nyc.call(lambda: apply(first, nyc.machine))
    assert "192.0.2.7" in nyc.sh("nft list set inet warren-portals fed4")
    assert not nyc.ok("nft list chain inet warren-portals counting")
