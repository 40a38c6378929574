"""A table with every kind of match and statement of model/firewall.py, and a namespace to try text in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from tests.core.render.namespace import ALONE
from warren.model import firewall as fw
from warren.model.prefix import Family

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell() -> Shell:
    """Run a shell script in a network namespace of its own, gone when the script ends."""

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*ALONE, "sh", "-euc", script, "sh", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def every_kind() -> fw.Table:
    """Every node of the firewall model at least once."""
    v4, v6 = Family.IPV4, Family.IPV6
    sets = (
        fw.Set(
            "near4",
            fw.SetType.IPV4,
            (ip_network("10.0.0.0/25"), ip_network("10.0.0.128/25"), ip_network("10.0.0.0/16")),
        ),
        fw.Set("near6", fw.SetType.IPV6, (ip_network("fd77::/64"), ip_network("fe80::/10"))),
        fw.Set("tunnels", fw.SetType.IFNAME, ("wn-0", "wn1")),
        fw.Set("macs", fw.SetType.ETHER, ("02:00:5e:00:00:32",)),
        fw.Set("empty4", fw.SetType.IPV4),
        fw.Set("own_tcp", fw.SetType.PORT, ("22", "8000-8100", "8050-8200")),
    )
    mask = 0x3F000000
    prerouting = (
        fw.NftRule((fw.Mark(mask, 0x3E000000, negate=True),), (fw.SetMark(mask, 0),), 'say "hello", →' + "x" * 130),
        fw.NftRule(
            (fw.IfName("iif", ("eth0",)), fw.Port("udp", "dport", (51820, 51821, (1, 9), (5, 12)))),
            (fw.Goto("mark-63"),),
        ),
        fw.NftRule(
            (fw.FibType("daddr", "local"), fw.FibType("saddr", "unicast", negate=True)), (fw.Counter(), fw.Drop())
        ),
        fw.NftRule(
            (fw.IfName("iif", ("eth0", "eth1"), negate=True), fw.CtDirection("reply")),
            (fw.CtMarkVmap(mask, ((0x01000000, "mark-1"), (0x3F000000, "mark-63"))),),
        ),
        fw.NftRule((fw.CtMark(mask, 0x01000000),), (fw.Jump("mark-1"),)),
        fw.NftRule((fw.Addr("saddr", v4, (ip_network("10.1.0.0/24"), ip_network("10.1.0.0/16"))),), (fw.Return(),)),
        fw.NftRule((fw.Addr("daddr", v6, (ip_network("fd00::1/128"),), negate=True),), (fw.Accept(),)),
        fw.NftRule((fw.Addr("daddr", v4, fw.SetRef("near4")),), (fw.Return(),)),
        fw.NftRule((fw.Addr("daddr", v4, fw.SetRef("empty4"), negate=True),), (fw.Counter(),)),
        fw.NftRule((fw.EtherSource(("02:00:5e:00:00:32",)),), (fw.SetCtMark(mask, 0x02000000),)),
        fw.NftRule((fw.NfProto(v6), fw.L4Proto(("tcp", "udp", "ipv6-icmp"))), (fw.Counter(),)),
        fw.NftRule((fw.L4Proto(("tcp",), negate=True),), (fw.Counter(),)),
        fw.NftRule((fw.Icmp6Type(("nd-neighbor-solicit", "nd-router-advert")),), (fw.Return(),)),
        fw.NftRule((fw.CtState(("new", "related")), fw.CtStatus("dnat")), (fw.CtMarkToMark(),)),
        fw.NftRule(
            (fw.CtState(("established",), negate=True), fw.CtStatus("snat", negate=True)), (fw.CtMarkToMark(save=True),)
        ),
        fw.NftRule((fw.Addr("saddr", v4, ()),), (fw.Drop(),), "never"),
        fw.NftRule(
            (fw.Addr("saddr", v6, (), negate=True), fw.IfName("oif", (), negate=True)), (fw.Counter(),), "all of v6"
        ),
    )
    forward = (
        fw.NftRule((fw.TcpSyn(), fw.IfName("oif", fw.SetRef("tunnels"))), (fw.MssClamp(),)),
        fw.NftRule(
            (fw.IfName("iif", fw.SetRef("tunnels"), negate=True), fw.L4Proto(("tcp",))),
            (fw.Reject(fw.RejectWith.RESET),),
        ),
        fw.NftRule((fw.Port("tcp", "sport", (22,)),), (fw.Reject(fw.RejectWith.NO_ROUTE),)),
        fw.NftRule((), (fw.Counter(), fw.Reject())),
    )
    ip4, ip6 = IPv4Address("192.0.2.9"), IPv6Address("2001:db8::9")
    dstnat = (
        fw.NftRule((fw.NfProto(v4), fw.Port("tcp", "dport", (80,))), (fw.Dnat(IPv4Address("192.0.2.9"), 8080),)),
        fw.NftRule((fw.NfProto(v6), fw.Port("tcp", "dport", (80,))), (fw.Dnat(IPv6Address("2001:db8::9"), 8080),)),
        fw.NftRule((fw.NfProto(v6), fw.Port("tcp", "dport", (81,))), (fw.Dnat(IPv6Address("2001:db8::9")),)),
        _mapped("daddr", "10.99.1.0/24", fw.DnatPrefix(ip_network("192.168.1.0/24"))),
        _mapped("daddr", "10.99.2.7/32", fw.DnatPrefix(ip_network("192.168.2.7/32"))),
        _mapped("daddr", "fd99:1::/64", fw.DnatPrefix(ip_network("fd11:1::/64"))),
        fw.NftRule((fw.Port("tcp", "dport", fw.SetRef("own_tcp")),), (fw.Return(),)),
        fw.NftRule(
            (fw.TcpOpens(),),
            (fw.DnatMap("tcp", v4, (fw.PortTo(25, 25, ip4, 2525), fw.PortTo(90, 99, ip4, 80))),),
        ),
        fw.NftRule((), (fw.DnatMap("udp", v6, (fw.PortTo(25, 25, ip6), fw.PortTo(90, 99, ip6))),)),
        fw.NftRule((fw.EchoRequest(v4),), (fw.Dnat(ip4),)),
        fw.NftRule((fw.EchoRequest(v6),), (fw.Dnat(ip6),)),
    )
    srcnat = (
        fw.NftRule((fw.IfName("oif", ("wn1",)), fw.NfProto(v4)), (fw.Snat(IPv4Address("10.77.0.1")),)),
        fw.NftRule((fw.IfName("oif", ("wn1",)), fw.NfProto(v6)), (fw.Snat(IPv6Address("fd77::1")),)),
        fw.NftRule((fw.IfName("oif", ("eth0",)), fw.Mark(0xFFFFFFFF, 7)), (fw.Masquerade(),)),
        _mapped("saddr", "192.168.1.0/24", fw.SnatPrefix(ip_network("10.99.1.0/24"))),
        _mapped("saddr", "192.168.2.6/31", fw.SnatPrefix(ip_network("10.99.2.6/31"))),
        _mapped("saddr", "fd11:1::/64", fw.SnatPrefix(ip_network("fd99:1::/64"))),
    )
    chains = (
        fw.Chain("mark-1", (fw.NftRule((), (fw.SetMark(mask, 0x01000000),)),)),
        fw.Chain("mark-63", (fw.NftRule((), (fw.SetMark(0xFFFFFFFF, mask),)),)),
        fw.Chain("prerouting", prerouting, fw.Hook("filter", "prerouting", fw.OUR_MANGLE)),
        fw.Chain("output", (fw.NftRule((), (fw.Counter(),)),), fw.Hook("route", "output", fw.OUR_MANGLE)),
        fw.Chain("forward", forward, fw.Hook("filter", "forward", fw.OUR_MANGLE)),
        fw.Chain(
            "input",
            (fw.NftRule((fw.IfName("iif", ("lo",)),), (fw.Accept(),)),),
            fw.Hook("filter", "input", fw.OUR_MANGLE),
        ),
        fw.Chain("dstnat", dstnat, fw.Hook("nat", "prerouting", fw.DSTNAT)),
        fw.Chain("srcnat", srcnat, fw.Hook("nat", "postrouting", fw.SRCNAT)),
    )
    return fw.Table("warren-every-kind", sets, chains)


def _mapped(field: str, prefix: str, to: fw.Statement) -> fw.NftRule:
    """A rule that maps a prefix to one as long."""
    whole = ip_network(prefix)
    return fw.NftRule((fw.Addr(field, Family(whole.version), (whole,)),), (to,))
