"""The reverse-path filter, as fib_validate_source() of the kernel does it (net/ipv4/fib_frontend.c).

The kernel looks up the way back to the source: with the outgoing device as `iif` when the packet is to be
forwarded, `lo` when it is for this host; with the packet's mark only under src_valid_mark. Strict (1) wants the
way back to use the device the packet came in by, loose (2) wants any way back at all; the stronger number of
`all` and the device counts, and 2 is looser than 1. A source that is one of our own addresses is a martian
even with the filter off. IPv6 has none of this.
"""

from __future__ import annotations

from warren.core.walk.fib import LOOPBACK, Fib, Key
from warren.core.walk.packet import Packet, to_address
from warren.model.state import RouteKind
from warren.model.trace import ReversePath

OFF, STRICT, LOOSE = 0, 1, 2


def validate_source(
    fib: Fib, packet: Packet, oif: str, mode: int, use_mark: bool, accept_local: bool, has_address: bool
) -> ReversePath:
    """Judge a packet's source; `oif` is where it would leave, or empty when it is for this host."""
    key = Key(
        packet.source,
        packet.destination,
        iif=oif or LOOPBACK,
        mark=packet.mark if use_mark else 0,
        proto=packet.proto,
        sport=packet.dport,
        dport=packet.sport,
    )
    found = fib.lookup(key)
    route = found.usable

    def verdict(passed: bool, back: str, why: str = "") -> ReversePath:
        return ReversePath(packet.iif, mode, passed, to_address(packet.source, packet.family), back, why)

    if route is None:
        return verdict(mode == OFF, "", found.says)
    if route.kind is not RouteKind.UNICAST:
        if route.kind is RouteKind.LOCAL and accept_local:
            return verdict(True, LOOPBACK, "our own address, which accept_local lets pass")
        return verdict(False, "", f"a {route.kind} address here: a martian")
    if route.device == packet.iif:
        return verdict(True, route.device)
    if not has_address:
        return verdict(mode == OFF, route.device, f"{packet.iif} has no address")
    return verdict(mode != STRICT, route.device)
