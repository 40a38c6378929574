"""The typed firewall interpreted: every match and statement, and how verdicts travel between chains."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from warren.core.walk.conntrack import Flow
from warren.core.walk.fib import Fib, kernel_routes, loopback_routes
from warren.core.walk.hooks import Nat, Ruleset, Verdict
from warren.core.walk.packet import Packet
from warren.model import firewall as fw
from warren.model.prefix import FAMILIES, Family
from warren.model.trace import Firewall, Step

FOUR, SIX = Family.IPV4, Family.IPV6
HERE = ip_address("192.168.21.1")


def fibs() -> dict[Family, Fib]:
    from ipaddress import ip_interface

    own = kernel_routes("lan0", [ip_interface("192.168.21.1/24"), ip_interface("fd21::1/64")])
    return {family: Fib(family, [], [*loopback_routes(family), *own], ["lan0", "eth0"]) for family in FAMILIES}


def packet(source: str = "192.168.21.9", to: str = "1.1.1.1", proto: str = "tcp", **more: object) -> Packet:
    one, other = ip_address(source), ip_address(to)
    made = Packet(
        Family(one.version), int(one), int(other), proto, 40000, 443, iif="lan0", oif="eth0", mac="02:00:00:00:00:01"
    )
    made.flow = Flow(made.tuple(), made.answer().tuple())
    for name, value in more.items():
        setattr(made, name, value)
    return made


def run(rules: tuple[fw.NftRule, ...], one: Packet, *more: fw.Chain) -> tuple[Verdict, list[Step], Nat]:
    sets = (
        fw.Set("tunnels", fw.SetType.IFNAME, ("wg0", "wg1")),
        fw.Set("near4", fw.SetType.IPV4, (ip_network("10.0.0.0/8"), ip_network("192.168.0.0/16"))),
    )
    base = fw.Chain("base", rules, fw.Hook("filter", "forward", 0))
    steps: list[Step] = []
    nat = Nat()
    one.fib = fibs()[one.family]
    return Ruleset(fw.Table("warren-x", sets, (base, *more))).run("base", one, steps, nat), steps, nat


def matches(match: fw.Match, one: Packet) -> bool:
    return run((fw.NftRule((match,), (fw.Drop(),)),), one)[0] is Verdict.DROP


REPLYING = packet(replying=True)
UNTRACKED = packet(flow=None)


@pytest.mark.parametrize(
    ("match", "hit", "miss"),
    [
        (fw.IfName("iif", ("lan0",)), packet(), packet(iif="eth0")),
        (fw.IfName("oif", fw.SetRef("tunnels")), packet(oif="wg1"), packet()),
        (fw.IfName("oif", fw.SetRef("tunnels"), negate=True), packet(), packet(oif="wg1")),
        (fw.Addr("saddr", FOUR, fw.SetRef("near4")), packet(), packet("8.8.8.8")),
        (fw.Addr("daddr", FOUR, (ip_network("1.1.1.0/24"),)), packet(), packet(to="1.1.2.1")),
        (
            fw.Addr("daddr", FOUR, (ip_network("1.1.1.0/24"),), negate=True),
            packet(to="1.1.2.1"),
            packet("fd21::9", "2600::1"),
        ),
        (fw.EtherSource(("02:00:00:00:00:01",)), packet(), packet(mac="02:00:00:00:00:02")),
        (fw.NfProto(SIX), packet("fd21::9", "2600::1"), packet()),
        (fw.L4Proto(("udp", "icmp")), packet(proto="icmp"), packet()),
        (fw.L4Proto(("ipv6-icmp",)), packet("fd21::9", "2600::1", "icmp"), packet(proto="icmp")),
        (fw.L4Proto(("tcp",), negate=True), packet(proto="udp"), packet()),
        (fw.Port("tcp", "dport", (80, (400, 500))), packet(), packet(proto="udp")),
        (fw.Port("tcp", "sport", (443,)), packet(sport=443), packet()),
        (fw.TcpSyn(), packet(), packet(proto="udp")),
        (fw.CtState(("new",)), packet(), REPLYING),
        (fw.CtState(("established", "related")), REPLYING, packet()),
        (fw.CtState(("new",), negate=True), UNTRACKED, packet()),
        (fw.CtDirection("reply"), REPLYING, UNTRACKED),
        (fw.CtDirection("original"), packet(), UNTRACKED),
        (fw.CtStatus("snat"), packet(flow=Flow((), (), snat=True)), packet()),  # type: ignore[arg-type]
        (fw.Mark(0x3F000000, 0x3E000000), packet(mark=0x3E000051), packet()),
        (fw.Mark(0x3F000000, 0, negate=True), packet(mark=0x01000000), packet(mark=0x51)),
        (fw.CtMark(0x3F000000, 0x3E000000), packet(flow=Flow((), (), mark=0x3E000000)), packet()),  # type: ignore[arg-type]
        (fw.FibType("daddr", "local"), packet(to="192.168.21.1"), packet()),
        (fw.FibType("daddr", "broadcast"), packet(to="192.168.21.255"), packet()),
        (fw.FibType("daddr", "unicast", negate=True), packet(to="224.0.0.1"), packet()),
        (fw.FibType("daddr", "local"), packet("fd21::9", "fd21::1"), packet("fd21::9", "fd21::2")),
        (fw.Icmp6Type(("nd-neighbor-solicit",)), None, packet("fd21::9", "2600::1", "icmp")),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Packet) else "",
)
def test_a_match_holds_and_does_not(match: fw.Match, hit: Packet | None, miss: Packet) -> None:
    assert hit is None or matches(match, replace(hit))
    assert not matches(match, replace(miss))


def test_ipv6_asks_the_whole_way_for_an_address_type() -> None:
    """IPv4 asks table local alone: an address without a route is unicast there, but unreachable in IPv6."""
    not_unicast = fw.FibType("daddr", "unicast", negate=True)

    assert matches(not_unicast, packet("fd21::9", "2600::1"))
    assert not matches(not_unicast, packet())


def test_marks_are_set_under_their_mask() -> None:
    one = packet(mark=0x51)
    run((fw.NftRule((), (fw.SetMark(0x3F000000, 0x3E000000), fw.SetCtMark(0x3F000000, 0x01000000))),), one)

    assert one.flow is not None
    assert (one.mark, one.flow.mark) == (0x3E000051, 0x01000000)


def test_a_mark_is_restored_through_a_map_of_chains() -> None:
    restore = fw.NftRule((), (fw.CtMarkVmap(0x3F000000, ((0x3E000000, "uplink"),)),))
    uplink = fw.Chain("uplink", (fw.NftRule((), (fw.SetMark(0x3F000000, 0x3E000000),)),))
    one = packet(flow=Flow((), (), mark=0x3E000000))  # type: ignore[arg-type]
    run((restore, fw.NftRule((), (fw.Drop(),))), one, uplink)

    assert one.mark == 0x3E000000


def test_accept_ends_the_chain_and_return_goes_back() -> None:
    drop = fw.NftRule((), (fw.Drop(),))
    inner = fw.Chain("inner", (fw.NftRule((), (fw.Return(),)), drop))

    assert run((fw.NftRule((), (fw.Accept(),)), drop), packet())[0] is Verdict.ACCEPT
    assert run((fw.NftRule((), (fw.Jump("inner"),)),), packet(), inner)[0] is Verdict.CONTINUE
    assert run((fw.NftRule((), (fw.Jump("inner"),)), drop), packet(), inner)[0] is Verdict.DROP


def test_goto_does_not_come_back() -> None:
    drop = fw.NftRule((), (fw.Drop(),))
    inner = fw.Chain("inner", (fw.NftRule((), (fw.Counter(),)),))

    assert run((fw.NftRule((), (fw.Goto("inner"),)), drop), packet(), inner)[0] is Verdict.CONTINUE


def test_a_reject_tells_its_rule() -> None:
    verdict, steps, _ = run((fw.NftRule((), (fw.Counter(), fw.Reject()), "not for us"),), packet())

    assert verdict is Verdict.REJECT
    assert steps == [Firewall("warren-x", "base", "not for us", "reject with icmpx admin-prohibited")]


def test_nat_is_asked_for_and_ends_the_chain() -> None:
    snat = fw.NftRule((), (fw.Snat(HERE),))
    verdict, _, nat = run((snat, fw.NftRule((), (fw.Masquerade(),))), packet())

    assert (verdict, nat.to, nat.masquerade) == (Verdict.ACCEPT, int(HERE), False)


@pytest.mark.parametrize(
    ("statement", "moved"),
    [
        (fw.SnatPrefix(ip_network("10.99.21.0/24")), "10.99.21.9"),
        (fw.SnatPrefix(ip_network("10.168.0.0/16")), "10.168.21.9"),
        (fw.DnatPrefix(ip_network("9.9.9.0/24")), "9.9.9.1"),
    ],
)
def test_a_prefix_keeps_the_machines_number(statement: fw.Statement, moved: str) -> None:
    _, steps, nat = run((fw.NftRule((), (statement, fw.Drop())),), packet())

    assert nat.to == int(ip_address(moved))
    assert "prefix to" in steps[0].does  # type: ignore[union-attr]
