"""The walker: from node to node until the packet ends, and then the answer's way back.

    Walker(scene).walk(probe) → Trace
    Walker(scene).broken(fault, …).walk(probe) → the same question with something broken

Everything a walk changes (connections, mappings) is its own; what it reads is indexed once per scene and shared
by all walks, also by those with a fault, but for the hosts that the fault touches.
"""

from __future__ import annotations

from dataclasses import replace

from warren.core.domains import filled
from warren.core.walk.course import Course, OnHost, OnLan, Outside, Spot
from warren.core.walk.crossing import enter, leave
from warren.core.walk.faults import Chosen, Fault, HostDown, TunnelDown, agents_answer, break_host
from warren.core.walk.gate import End, stop
from warren.core.walk.host import HostView
from warren.core.walk.packet import Packet, to_address
from warren.core.walk.path import Here, HostPath, Out
from warren.core.walk.scene import Probe, Scene
from warren.core.walk.tunnel import Tunnels
from warren.core.walk.underlay import INTERNET, AtHost, Memory, Underlay
from warren.model.prefix import Address, Family, Interface, covers, family_of
from warren.model.state import Backend, HostState
from warren.model.surroundings import Surroundings
from warren.model.trace import (
    ARRIVED,
    Disposition,
    Header,
    Hop,
    HopKind,
    SourceChosen,
    Step,
    Trace,
)
from warren.model.world import Client

UNIQUE_LOCAL = 0xFC >> 1  # the first seven bits of fc00::/7
# Tunnels within tunnels: an outer packet that is itself wrapped this often goes round in circles.
DEEPEST = 4
# Links that carry packets where walk cannot follow.
_BEYOND = ("wireguard", "tun", "tap", "ipip", "sit", "gre", "gretap", "vti", "vti6", "xfrm", "ppp", "ip6tnl")


class Walker:
    """Walks packets through one scene."""

    def __init__(self, scene: Scene) -> None:
        """Take a scene; hosts are indexed when a packet first meets them."""
        self.scene = scene
        self.underlay = Underlay(scene.world)
        self._views: dict[str, HostView] = {}
        self._down: frozenset[str] = frozenset()
        self._clients: dict[tuple[str, str, int], Client] = {}
        for client in scene.world.clients:
            for address in client.addresses:
                self._clients[client.host, client.lan, int(address.ip)] = client
        self.tunnels = Tunnels(self.view, scene.owners, dict(scene.world.names), self._send)

    def view(self, name: str) -> HostView:
        """Give a host as walk sees it."""
        known = self._views.get(name)
        if known is None:
            scene = self.scene
            state = filled(scene.states.get(name) or HostState(name, "", Backend.NONE), scene.world.names)
            surroundings = scene.surroundings.get(name) or Surroundings()
            known = self._views[name] = HostView(name, state, surroundings, scene.world.host_by_name[name])
        return known

    def broken(self, *faults: Fault) -> Walker:
        """Give a walker for the same scene with faults in it."""
        other = Walker.__new__(Walker)
        other.scene, other.underlay, other._clients = self.scene, self.underlay, self._clients
        other._views = dict(self._views)
        changed = set()
        down: set[str] = set()
        cut: set[frozenset[str]] = set()
        for fault in faults:
            if isinstance(fault, HostDown):
                down.add(fault.host)
            elif isinstance(fault, TunnelDown):
                cut.add(frozenset((fault.one, fault.other)))
            else:
                changed.add(fault.host)
                view = other.view(fault.host)
                state, surroundings = break_host(fault, view.state, view.surroundings, view.node)
                other._views[fault.host] = HostView(fault.host, state, surroundings, view.node, view)
        if not any(isinstance(fault, Chosen) for fault in faults):  # what was chosen is given: no agent answers
            for name, view in self._choosing(other, down):
                state = agents_answer(name, view.state, faults)
                if state is not view.state:
                    changed.add(name)
                    other._views[name] = HostView(name, state, view.surroundings, view.node, view)
        other._down = self._down | down
        other.tunnels = Tunnels(other.view, self.scene.owners, dict(self.scene.world.names), other._send)
        other.tunnels.down_hosts = other._down
        other.tunnels.down_tunnels = {*self.tunnels.down_tunnels, *cut}
        other.tunnels.inherit(self.tunnels, changed)
        return other

    def _choosing(self, other: Walker, down: set[str]) -> list[tuple[str, HostView]]:
        """List the hosts that have an agent with something to choose, and are not cut off themselves."""
        names = [name for name, state in self.scene.states.items() if state.choices and name not in down]
        return [(name, other.view(name)) for name in names]

    # --- a walk ------------------------------------------------------------------------------------------

    def walk(self, probe: Probe) -> Trace:
        """Follow a packet there, and its answer back if it arrives."""
        family = family_of(probe.destination)
        packet = Packet(
            family,
            int(probe.source) if probe.source is not None else 0,
            int(probe.destination),
            probe.proto,
            probe.sport,
            probe.dport,
            probe.size,
            df=probe.df,
            bound=probe.device,
        )
        memory = Memory()
        there = self._go(Course(packet, probe.start), memory, 0, answering=False)
        reply = None
        if there.disposition in ARRIVED:
            answer = there.packet.answer()
            back = self._go(Course(answer, there.at), memory, 0, answering=True)
            reply = self._trace(back, wanted=probe.start)
        return self._trace(there, reply)

    def _trace(self, course: Course, reply: Trace | None = None, wanted: Spot | None = None) -> Trace:
        disposition, says = course.disposition or Disposition.UNKNOWN, course.says
        if wanted is not None and disposition in ARRIVED and not _same_node(course.at, wanted):
            disposition, says = Disposition.LOST, f"the answer ends at {course.node}, which never asked"
        presumed = None
        doubts = course.doubts.way + (course.doubts.passing if disposition in ARRIVED else [])
        if doubts:
            presumed, disposition, says = disposition, Disposition.UNKNOWN, ", ".join(dict.fromkeys(doubts))
        return Trace(
            disposition,
            says,
            course.node,
            tuple(course.hops),
            course.packet.header(),
            course.exit,
            course.packet.carries if course.disposition in ARRIVED else 0,
            presumed,
            reply,
        )

    def _send(self, start: OnHost, packet: Packet, memory: Memory, depth: int) -> Course:
        return self._go(Course(packet, start), memory, depth, answering=False)

    def _go(self, course: Course, memory: Memory, depth: int, answering: bool) -> Course:
        seen: set[tuple[object, ...]] = set()
        if isinstance(course.at, OnLan):
            self._from_client(course, course.at.client)
        elif isinstance(course.at, Outside):
            self._from_internet(course, memory)
        while course.disposition is None:
            assert isinstance(course.at, OnHost)
            here = (course.at, course.packet.tuple())
            if here in seen or depth > DEEPEST:
                return course.end(Disposition.LOOPED, "the packet comes by here again", course.at.host)
            seen.add(here)
            self._through_host(course, course.at, memory, depth, answering)
        return course

    # --- nodes -------------------------------------------------------------------------------------------

    def _from_client(self, course: Course, client: Client) -> None:
        packet = course.packet
        own = _own_address(client, packet)
        packet.source = packet.source or (int(own.ip) if own is not None else 0)
        destination = to_address(packet.destination, packet.family)
        course.hops.append(Hop(client.name, HopKind.CLIENT, "", "eth0", packet.header(), ()))
        if own is None:
            course.end(Disposition.NO_ADDRESS, f"{client.name} has no {packet.family.word} address", client.name)
            return
        view = self.view(client.host)
        mtu = view.devices[client.lan].mtu if client.lan in view.devices else packet.carries
        packet.carries = min(packet.carries, mtu)
        if packet.size > mtu and packet.df:
            says = f"{packet.size} bytes do not fit its LAN ({mtu})"
            course.end(Disposition.MTU_EXCEEDED, says, client.name)
            return
        local = packet.family in view.fibs and view.fibs[packet.family].is_local(packet.destination)
        if covers(own.network, destination) and not local:
            self._on_lan(course, client.host, client.lan, destination)
            return
        if not any(gateway.version == packet.family for gateway in client.gateways):
            course.end(Disposition.NO_ROUTE, f"{client.name} has no {packet.family.word} gateway", client.name)
            return
        packet.mac = client.mac
        course.at = OnHost(client.host, client.lan)

    def _from_internet(self, course: Course, memory: Memory) -> None:
        course.hops.append(Hop(INTERNET, HopKind.INTERNET, "", "", course.packet.header(), ()))
        self._below(course, "", memory)
        if course.disposition is Disposition.EXITED:
            to = to_address(course.packet.destination, course.packet.family)
            course.end(Disposition.LOST, f"nobody of the network has {to} on the internet", INTERNET)

    def _below(self, course: Course, segment: str, memory: Memory) -> None:
        """Carry the packet over the world's wires from a segment on."""
        packet = course.packet
        packet.leave_host()
        arrival = self.underlay.carry(packet, segment, memory, course.hops)
        if isinstance(arrival, End):
            course.end(arrival.disposition, arrival.says, course.hops[-1].node)
        elif isinstance(arrival, AtHost) and arrival.name in self._down:
            course.end(Disposition.HOST_DOWN, f"{arrival.name} is cut off", arrival.name)
        elif isinstance(arrival, AtHost) and self._unanswered(arrival.name, packet):
            to = to_address(packet.destination, packet.family)
            course.end(Disposition.LOST, f"nobody answers for {to} on the link of {arrival.name}", arrival.name)
        elif isinstance(arrival, AtHost):
            course.at = OnHost(arrival.name, self.view(arrival.name).uplink)
        else:
            course.hops.append(Hop(INTERNET, HopKind.INTERNET, "", "", packet.header(), ()))
            course.at = Outside()
            course.end(Disposition.EXITED, f"on the internet, by {course.exit}", INTERNET)

    def _unanswered(self, host: str, packet: Packet) -> bool:
        """Say whether a packet is for an address of the link itself that neither the host has nor answers for."""
        view = self.view(host)
        to = to_address(packet.destination, packet.family)
        if not any(covers(prefix, to) for prefix in view.node.attachment.on_link):
            return False
        answers = (prefix for service in view.state.services for prefix in service.answers)
        return not view.fibs[packet.family].is_local(packet.destination) and not any(covers(p, to) for p in answers)

    def _through_host(self, course: Course, at: OnHost, memory: Memory, depth: int, answering: bool) -> None:
        packet = course.packet
        header = packet.header()
        steps, course.arriving = course.arriving, []
        result: Out | Here | End
        if packet.family not in self.view(at.host).families:
            result = stop(steps, Disposition.NO_ROUTE, f"{at.host} has {packet.family.word} disabled")
        else:
            path = HostPath(self.view(at.host), packet, memory.host(at.host), steps, course.doubts)
            result = path.receive(at.device) if at.device else path.make()
        egress, tunnelled = "", None
        if isinstance(result, Out):
            egress = result.device
            device = self.view(at.host).devices.get(egress)
            if device is not None and device.wireguard is not None:
                tunnelled = enter(course, self.view(at.host), device, self.tunnels, steps, depth, answering)
        outer = tunnelled.outer if tunnelled is not None else ()
        course.hops.append(
            Hop(at.host, self._kind(at.host), at.device, egress, _begun(header, steps), tuple(steps), outer)
        )
        end = result if isinstance(result, End) else tunnelled.end if tunnelled is not None else None
        if end is not None:
            course.end(end.disposition, end.says, at.host)
        elif tunnelled is not None and tunnelled.far is not None:
            leave(course, self.view(at.host), self.view(tunnelled.far.host), tunnelled.far)
        elif isinstance(result, Out):
            self._untunnelled(course, at.host, result, memory)
        else:
            course.at = OnHost(at.host)
            course.end(Disposition.DELIVERED, f"at {at.host}", at.host)

    def _kind(self, name: str) -> HopKind:
        return HopKind.DEVICE if any(node.name == name for node in self.scene.world.devices) else HopKind.HOST

    def _untunnelled(self, course: Course, name: str, out: Out, memory: Memory) -> None:
        host = self.view(name)
        destination = to_address(course.packet.destination, course.packet.family)
        device = host.devices.get(out.device)
        if device is not None and device.kind in _BEYOND:
            course.end(Disposition.UNKNOWN, f"leaves {name} by {out.device}, a tunnel that is not ours", name)
            return
        on_its_lan = (name, out.device, int(out.gateway)) in self._clients
        if out.device == host.uplink and not on_its_lan:
            if name in self._down:
                course.end(Disposition.HOST_DOWN, f"{name} is cut off", name)
                return
            course.exit = name
            self._below(course, host.node.attachment.upstream, memory)
        elif out.on_link:
            self._on_lan(course, name, out.device, destination)
        else:
            says = f"a router {out.gateway} on {out.device} of {name} has it now"
            course.end(Disposition.UNKNOWN, says, name)

    def _on_lan(self, course: Course, host: str, lan: str, destination: Address) -> None:
        client = self._clients.get((host, lan, int(destination)))
        if client is None:
            course.end(Disposition.LOST, f"nobody on {lan} of {host} is known to have {destination}", host)
            return
        course.packet.leave_host()
        course.hops.append(Hop(client.name, HopKind.CLIENT, "eth0", "", course.packet.header(), ()))
        course.at = OnLan(client)
        course.end(Disposition.DELIVERED, f"at {client.name}", client.name)


def _own_address(client: Client, packet: Packet) -> Interface | None:
    """Choose a client's address for a destination: of its IPv6 ones, one of the same kind (RFC 6724, rule 6)."""
    own = [address for address in client.addresses if address.version == packet.family]
    local = packet.family is Family.IPV6 and packet.destination >> 121 == UNIQUE_LOCAL
    alike = (one for one in own if one.version == 6 and (int(one.ip) >> 121 == UNIQUE_LOCAL) is local)
    return next(alike, own[0] if own else None)


def _begun(header: Header, steps: list[Step]) -> Header:
    """A packet made here begins with the source that was chosen for it."""
    chosen = next((step.source for step in steps if isinstance(step, SourceChosen)), None)
    return header if chosen is None else replace(header, source=chosen)


def _same_node(one: Spot, other: Spot) -> bool:
    if isinstance(one, OnHost) and isinstance(other, OnHost):
        return one.host == other.host
    return one == other
