"""A packet's way through one host, in the kernel's order.

received   prerouting (raw, conntrack, mangle, destination NAT) → rules and tables → reverse path
             ├─ local: input (filter, source NAT) → here
             └─ forward: TTL, MTU → forward → postrouting (filter, source NAT) → device
made here  rules and tables → source → output (conntrack, reroute, destination NAT) → postrouting → device
"""

from __future__ import annotations

from dataclasses import dataclass

from warren.core.walk.conntrack import Connections
from warren.core.walk.fib import LOOPBACK, Found, Key
from warren.core.walk.gate import Doubts, End, Gate, stop
from warren.core.walk.host import HostView
from warren.core.walk.packet import Packet, to_address
from warren.core.walk.rpf import validate_source
from warren.core.walk.source import choose_source
from warren.core.walk.words import reverse_path
from warren.model.prefix import Address, Family
from warren.model.state import Route, RouteKind
from warren.model.trace import (
    Disposition,
    Local,
    Mtu,
    Rerouted,
    Sent,
    SourceChosen,
    Step,
)


@dataclass(frozen=True, slots=True)
class Out:
    """The packet leaves by a device towards a next hop."""

    device: str
    gateway: Address
    on_link: bool


@dataclass(frozen=True, slots=True)
class Here:
    """The packet is for this host."""


class HostPath:
    """One pass of one packet through one host."""

    def __init__(
        self, host: HostView, packet: Packet, connections: Connections, steps: list[Step], doubts: Doubts
    ) -> None:
        self.host = host
        self.packet = packet
        self.steps = steps
        self.doubts = doubts
        self.fib = packet.fib = host.fibs[packet.family]
        self.gate = Gate(host, packet, connections, steps, doubts)

    # --- the two ways in ---------------------------------------------------------------------------------

    def receive(self, device: str) -> Out | Here | End:
        """Take a packet in by a device."""
        packet = self.packet
        packet.iif, packet.oif = device, ""
        end = self.gate.run("prerouting")
        if end is not None:
            return end
        found = self._lookup(packet.source, device)
        route = found.usable
        if route is None:
            return stop(self.steps, Disposition.NO_ROUTE, found.says)
        if route.kind is RouteKind.LOCAL:
            return self._validate("") or self._deliver(route)
        if route.kind is not RouteKind.UNICAST:
            return stop(self.steps, Disposition.BLOCKED, f"a {route.kind} address is not forwarded to")
        if not self.host.forwards(packet.family):
            return stop(
                self.steps, Disposition.NOT_FORWARDING, f"{self.host.name} does not forward {packet.family.word}"
            )
        return self._validate(route.device) or self._forward(route)

    def make(self) -> Out | Here | End:
        """Send a packet that the host itself makes; source 0 is chosen here."""
        packet = self.packet
        packet.iif = packet.oif = ""
        found = self._lookup(packet.source or None, LOOPBACK)
        if packet.source == 0 and (found.usable is not None or packet.family is Family.IPV6):
            found = self._choose_source(found)
        route = found.usable
        if route is None:
            return stop(self.steps, Disposition.NO_ROUTE, found.says)
        if packet.source == 0:
            word = packet.family.word
            return stop(self.steps, Disposition.NO_ADDRESS, f"{self.host.name} has no {word} address to send from")
        if route.kind is RouteKind.LOCAL:
            self.steps.append(Local(to_address(packet.destination, packet.family), route.device))
            return Here()
        packet.oif = route.device
        too_big = self._fit(route)
        if too_big is not None:
            return too_big
        mark = packet.mark
        end = self.gate.run("output")
        if end is not None:
            return end
        if packet.mark != mark:
            self.steps.append(Rerouted(packet.mark))
            found = self._lookup(packet.source, LOOPBACK)
            route = found.usable
            if route is None:
                return stop(self.steps, Disposition.NO_ROUTE, found.says)
            packet.oif = route.device
        return self.gate.run("postrouting", route) or self._out(route)

    def _choose_source(self, found: Found) -> Found:
        """Give the packet a source. IPv6 then asks once more, with it, if there was no route without."""
        packet = self.packet
        chosen = choose_source(self.host, packet.family, found.usable, packet.destination)
        if chosen is None:
            return found
        packet.source, by = chosen
        self.steps.append(SourceChosen(to_address(packet.source, packet.family), by))
        # TCP's connect asks twice in IPv4 (ip_route_connect); IPv6 keeps what it found (ip6_dst_lookup_tail).
        if found.usable is not None and (packet.proto != "tcp" or packet.family is Family.IPV6):
            return found
        return self._lookup(packet.source, LOOPBACK, quiet=found.usable is not None)

    # --- routing -----------------------------------------------------------------------------------------

    def _lookup(self, source: int | None, iif: str, quiet: bool = False) -> Found:
        packet = self.packet
        proto = "ipv6-icmp" if packet.proto == "icmp" and packet.family is Family.IPV6 else packet.proto
        oif = packet.bound if iif == LOOPBACK else ""
        key = Key(packet.destination, source, iif, oif, packet.mark, proto, packet.sport, packet.dport)
        return self.fib.lookup(key, None if quiet else self.steps, self.doubts.way)

    def _validate(self, oif: str) -> End | None:
        packet = self.packet
        if packet.family is not Family.IPV4:
            return None
        held = self.host.devices.get(packet.iif)
        judged = validate_source(
            self.fib,
            packet,
            oif,
            self.host.ipv4_setting(packet.iif, "rp_filter"),
            bool(self.host.ipv4_setting(packet.iif, "src_valid_mark")),
            bool(self.host.ipv4_setting(packet.iif, "accept_local")),
            held is not None and any(address.version == 4 for address in held.addresses),
        )
        self.steps.append(judged)
        return None if judged.passed else stop(self.steps, Disposition.RPF_DROP, reverse_path(judged))

    def _deliver(self, route: Route) -> Here | End:
        end = self.gate.run("input")
        if end is not None:
            return end
        self.steps.append(Local(to_address(self.packet.destination, self.packet.family), route.device))
        return Here()

    def _forward(self, route: Route) -> Out | End:
        packet = self.packet
        packet.oif = route.device
        packet.ttl -= 1
        if packet.ttl <= 0:
            return stop(self.steps, Disposition.LOOPED, "the hop limit ran out")
        return self._fit(route) or self.gate.run("forward") or self.gate.run("postrouting", route) or self._out(route)

    def _fit(self, route: Route) -> End | None:
        """Hold the packet against the device's MTU, or the route's; IPv4 without DF is cut in pieces."""
        packet = self.packet
        device = self.host.devices.get(route.device)
        mtu = route.mtu or (device.mtu if device is not None else 65536)
        if packet.size <= mtu:
            if mtu < packet.carries:
                self.steps.append(Mtu(route.device, mtu, packet.size, True))
                packet.carries = mtu
            return None
        packet.carries = min(packet.carries, mtu)
        cut = packet.family is Family.IPV4 and not packet.df
        self.steps.append(Mtu(route.device, mtu, packet.size, cut, "cut in pieces" if cut else ""))
        if cut:
            return None
        return stop(self.steps, Disposition.MTU_EXCEEDED, f"{packet.size} bytes do not fit {route.device} ({mtu})")

    def _out(self, route: Route) -> Out:
        gateway = route.via or to_address(self.packet.destination, self.packet.family)
        self.steps.append(Sent(route.device, gateway))
        return Out(route.device, gateway, route.via is None)
