"""Reading `nft monitor trace`: lines as nft 1.0.6 prints them, and the hops they make."""

from __future__ import annotations

from tests.core.compile.networks import portals_network
from tests.core.walk.scenes import Walked
from warren.core.walk import Walker
from warren.core.walk.live import Following
from warren.core.walk.told import deed, read_line, reason
from warren.model.trace import Disposition, Ended, Firewall, ForeignHook, Translated

PACKET = (
    'trace id 771360a8 inet warren-portals {chain} packet: iif "eth2" {oif}ether saddr 02:77:77:00:00:02 ip saddr '
    "192.168.21.100 ip daddr 1.1.1.1 ip dscp cs0 ip ttl 63 ip id 36038 ip protocol icmp ip length 84 icmp type "
    "echo-request icmp code net-unreachable icmp id 262 icmp sequence 1 @th,64,96 0x5f4006b00000000d5450c00 "
)
RULE = "trace id 771360a8 inet warren-portals prerouting rule {rule} (verdict {verdict})"
DROP = "trace id 771360a8 ip filter FORWARD policy drop "


def test_a_packet_line_is_its_header_and_devices() -> None:
    told = read_line(PACKET.format(chain="forward", oif='oif "portals-paris" '))

    assert told is not None and told.header is not None
    assert str(told.header) == "192.168.21.100 > 1.1.1.1 icmp"
    assert (told.header.sport, told.header.size, told.iif, told.oif) == (262, 84, "eth2", "portals-paris")


def test_an_ipv6_packet_counts_its_own_header() -> None:
    told = read_line(
        'trace id 1 inet t c packet: iif "lan0" ip6 saddr fd21::9 ip6 daddr 2600::1 ip6 dscp cs0 ip6 flowlabel 77 ip6 '
        "nexthdr tcp ip6 length 40 tcp sport 40000 tcp dport 443 tcp flags == syn "
    )

    assert told is not None and told.header is not None
    assert str(told.header) == "[fd21::9]:40000 > [2600::1]:443 tcp" and told.header.size == 80


def test_a_mask_that_nft_rewrote_is_the_one_we_wrote() -> None:
    told = read_line(
        RULE.format(rule="counter packets 3 bytes 9 ct mark set ct mark & 0xfeffffff | 0x3e000000", verdict="continue")
    )

    assert told is not None
    assert deed(told) == "connection mark 0x3e000000 under 0x3f000000"
    assert reason(told) == "ct mark set ct mark & 0xfeffffff | 0x3e000000"


def test_a_rules_comment_is_its_reason() -> None:
    told = read_line(RULE.format(rule='oifname "eth0" masquerade comment "exit for these"', verdict="accept"))

    assert told is not None and (deed(told), reason(told)) == ("masquerade", "exit for these")


def test_a_rule_that_jumps_did_nothing() -> None:
    told = read_line(RULE.format(rule='iifname "eth2" goto guard_2', verdict="goto guard_2"))

    assert told is not None and deed(told) == ""


def test_anything_else_is_not_read() -> None:
    assert read_line("") is None and read_line("Error: no such thing") is None


def test_lines_of_one_packet_make_a_hop_that_ends_where_it_was_dropped() -> None:
    view = Walker(Walked(portals_network()).scene).view("nyc")
    following = Following(view, "warren-trace-1")
    rejected = RULE.format(rule='counter packets 0 bytes 0 reject comment "by paris or not at all"', verdict="drop")
    for line in (
        PACKET.format(chain="prerouting", oif=""),
        RULE.format(rule="meta mark set meta mark & 0xc0ffffff | 0x01000000", verdict="continue"),
        "trace id 771360a8 inet warren-portals prerouting policy accept meta mark 0x01000000 ",
        PACKET.format(chain="forward", oif='oif "eth0" '),
        rejected,
    ):
        following.take(line)
    (hop,) = following.finished()

    assert (hop.ingress, hop.egress) == ("eth2", "")
    assert [step.does for step in hop.steps if isinstance(step, Firewall)] == [
        "mark 0x01000000 under 0x3f000000",
        "reject",
    ]
    ended = hop.steps[-1]
    assert isinstance(ended, Ended) and ended.disposition is Disposition.BLOCKED
    assert "by paris or not at all" in ended.says
    assert list(following.finished()) == []


def test_a_foreign_policy_is_named() -> None:
    view = Walker(Walked(portals_network()).scene).view("nyc")
    following = Following(view, "warren-trace-1")
    following.take(PACKET.format(chain="forward", oif='oif "portals-paris" '))
    following.take(DROP)
    (hop,) = following.finished()

    assert any(isinstance(step, ForeignHook) and step.chain == "ip filter FORWARD" for step in hop.steps)


def test_a_mapped_source_is_told_with_the_machines_number() -> None:
    """Nobody shows the packet after the last hook: the number is kept, the prefix is the rule's."""
    view = Walker(Walked(portals_network()).scene).view("nyc")
    following = Following(view, "warren-trace-1")
    following.take(PACKET.format(chain="postrouting", oif='oif "portals-paris" '))
    following.take(
        RULE.format(rule="ip saddr 192.168.21.0/24 snat ip prefix to 10.99.21.0/24", verdict="accept").replace(
            "prerouting", "repair"
        )
    )
    (hop,) = following.finished()

    (translated,) = [step for step in hop.steps if isinstance(step, Translated)]
    assert str(translated.before.source) == "192.168.21.100"
    assert str(translated.after.source) == "10.99.21.100"
    assert any(isinstance(step, Firewall) and step.does == "snat prefix to 10.99.21.0/24" for step in hop.steps)
