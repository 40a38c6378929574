"""WireGuard's ports of a host that is knocked at: who has not knocked meets what nobody listening would look like.

    knock ──► the agent ──► knocked4, knocked6 ──► input: udp dport WireGuard's, ct state established?  in
                 traceroute's ─────┘                                             in by a tunnel?        in
                 (prerouting, by the kernel alone)                               in one of the sets?    in
                                                                                 else                   closed

A flow that WireGuard has answered is established, so it goes on when its address leaves the set, and the answers to
what this host dials itself come in. Closed looks like any other port of the host at which nobody listens: an ICMP
error, or silence where somebody else's firewall drops what it does not know. The table can only close: without it the
ports are open, which is the safe side for who has to get in.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.here import Here
from warren.model.firewall import (
    Admit,
    Counter,
    CtState,
    Drop,
    FibType,
    HopsLeft,
    IfName,
    NftRule,
    Port,
    Reject,
    RejectWith,
    Set,
    SetRef,
    SetType,
    Unknocked,
)
from warren.model.knock import Knock
from warren.model.prefix import Family

KNOCKED = {Family.IPV4: SetRef("knocked4"), Family.IPV6: SetRef("knocked6")}
MOST = 4096  # addresses that are let in at once
_TYPES = {Family.IPV4: SetType.IPV4, Family.IPV6: SetType.IPV6}
_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6), "legacy4": (4,), "legacy6": (6,)}


def knocked_sets(here: Here) -> tuple[Set, ...]:
    """Give the live sets of addresses that are let in."""
    knock = here.host.knock
    if knock is None:
        return ()
    return tuple(
        Set(KNOCKED[family].name, _TYPES[family], live=True, timeout=knock.open_for, points=MOST)
        for family in here.usable
    )


def knocks(here: Here) -> tuple[str, ...]:
    """Name the peers at which this host knocks: those that it dials."""
    return tuple(peer.name for peer in here.peers if peer.knock is not None and peer.endpoint is not None)


def hear_traceroute(here: Here, ours: IfName) -> Iterator[NftRule]:
    """Let an address in that sends to one of traceroute's ports, with a TTL that ends here; not if it comes by `ours`.

    In front of everything that sends packets elsewhere. The kernel then answers as it would without this.
    """
    if here.host.knock is None or here.host.knock.traced is None:
        return
    ports = Port("udp", "dport", _without(here.host.knock, wireguard_ports(here)))
    for family in here.usable:
        matches = (ports, HopsLeft(family, 1), FibType("daddr", "local"), ours)
        yield NftRule(matches, (Admit(KNOCKED[family], family),), "a knock of traceroute, which anybody can make")


def close(here: Here, ours: IfName) -> Iterator[NftRule]:
    """Close WireGuard's ports to new flows of who has not knocked; not if they come by `ours`."""
    if here.host.knock is None:
        return
    ports = Port("udp", "dport", wireguard_ports(here))
    for family in here.usable:
        closed = Drop() if _dropped_anyway(here, family) else Reject(RejectWith.PORT)
        matches = (ports, CtState(("established",), negate=True), Unknocked(family, KNOCKED[family]), ours)
        yield NftRule(matches, (Counter(), closed), "WireGuard answers only addresses that knocked")


def wireguard_ports(here: Here) -> tuple[int, ...]:
    """List the ports of our devices."""
    return tuple(sorted({device.port for device in here.locked.devices if device.name in here.devices}))


def _without(knock: Knock, taken: tuple[int, ...]) -> tuple[int | tuple[int, int], ...]:
    """Give traceroute's ports but WireGuard's own: a peer next door sends there with any TTL."""
    assert knock.traced is not None
    first, last = knock.traced
    left: list[int | tuple[int, int]] = []
    for port in taken:
        if first <= port <= last:
            left += [(first, port - 1)] if port > first else []
            first = port + 1
    return (*left, (first, last)) if first <= last else tuple(left)


def _dropped_anyway(here: Here, family: Family) -> bool:
    """Say whether another firewall of the host drops what it does not know: then an answer would stand out."""
    return any(
        chain.hook == "input" and chain.policy == "drop" and family in _FAMILIES.get(chain.family, ())
        for chain in here.surroundings.chains
    )
