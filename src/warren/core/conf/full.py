"""A full tunnel: everything but the tunnel's own outer packets goes in, wg-quick's way without its leaks.

    lookup main, but no default        the LAN and whatever else has a route of its own
    not fwmark N lookup N              the rest, unless it is an outer packet (marked N by WireGuard)
    N: default dev IF                  and behind it `unreachable`: when the device dies, nothing leaves in clear

`suppress_prefixlength` is 1 where wg-quick has 0, for two reasons. `wg-quick down` of any other tunnel deletes every
rule with a 0, and a route 0.0.0.0/1 in main (DHCP option 121, OpenVPN's def1) would lead everything past the tunnel.

In nft: packets for the tunnel's address that come in elsewhere are dropped (CVE-2019-14899), and the mark of outer
packets is kept with their flow and put on the answers, which otherwise fail the reverse-path check. Only marks that
are ours are put on: wg-quick overwrites those of all UDP packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.core.conf.conf import Conf
from warren.core.conf.numbers import Numbers
from warren.model.firewall import (
    MANGLE,
    RAW,
    Addr,
    Chain,
    CtMark,
    Drop,
    FibType,
    Hook,
    IfName,
    L4Proto,
    Mark,
    NftRule,
    SetCtMark,
    SetMark,
    Table,
)
from warren.model.prefix import Family, Interface, Prefix, family_of, host_prefix
from warren.model.state import BEHIND, MAIN, HostState, Route, RouteKind, Rule, Sysctl
from warren.model.surroundings import Surroundings

SUPPRESSED = 1
WHOLE = 0xFFFFFFFF
SRC_VALID_MARK = "net.ipv4.conf.all.src_valid_mark"


def table_routes(conf: Conf, numbers: Numbers, defaults: Sequence[Prefix]) -> Iterator[Route]:
    """Give the defaults of the tunnel's own table, and what stands behind them."""
    for default in defaults:
        yield Route(default, numbers.table, conf.name)
        yield Route(default, numbers.table, kind=RouteKind.UNREACHABLE, metric=BEHIND)


def full_rules(numbers: Numbers, families: Sequence[Family]) -> tuple[Rule, ...]:
    """Give the rules of a full tunnel, in the order in which the kernel asks them."""
    rules: list[Rule] = []
    for family in families:
        for mark in dict.fromkeys((numbers.table, *numbers.others)):
            rules.append(Rule(family, numbers.exempt, MAIN, mark=mark, mark_mask=WHOLE))
        rules.append(Rule(family, numbers.place, MAIN, suppress_prefixlength=SUPPRESSED))
        rules.append(Rule(family, numbers.place + 1, numbers.table, mark=numbers.table, mark_mask=WHOLE, invert=True))
    return tuple(rules)


def full_table(conf: Conf, numbers: Numbers, families: Sequence[Family], addresses: Sequence[Interface]) -> Table:
    """Give the nft table of a full tunnel."""
    own = [address for address in addresses if family_of(address) in families]
    return Table(
        name=HostState("", conf.owner).table_name,
        chains=(
            Chain("preraw", tuple(_off_path(conf.name, address) for address in own), Hook("filter", "prerouting", RAW)),
            Chain("premangle", (_restore(numbers.table),), Hook("filter", "prerouting", MANGLE)),
            Chain("postmangle", (_save(numbers.table),), Hook("filter", "postrouting", MANGLE)),
        ),
    )


def full_sysctls(families: Sequence[Family], surroundings: Surroundings) -> tuple[Sysctl, ...]:
    """Give the settings of a full tunnel: the reverse-path check of IPv4 must look at marks."""
    if Family.IPV4 not in families or surroundings.read_only_sysctls:
        return ()
    return (Sysctl(SRC_VALID_MARK, "1", "answers to outer packets must pass the reverse-path check"),)


def _off_path(device: str, address: Interface) -> NftRule:
    return NftRule(
        (
            IfName("iif", (device,), negate=True),
            Addr("daddr", family_of(address), (host_prefix(address.ip),)),
            FibType("saddr", "local", negate=True),
        ),
        (Drop(),),
        "for the tunnel's address, but not out of the tunnel",
    )


def _restore(mark: int) -> NftRule:
    return NftRule((L4Proto(("udp",)), CtMark(WHOLE, mark)), (SetMark(WHOLE, mark),), "an answer to our outer packets")


def _save(mark: int) -> NftRule:
    return NftRule((L4Proto(("udp",)), Mark(WHOLE, mark)), (SetCtMark(WHOLE, mark),), "our outer packets")
