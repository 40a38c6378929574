"""Tunnels between two hosts: who can dial whom, and what the outer packets meet on their way.

A tunnel is up when a handshake can be walked both ways: by this side to the endpoint it knows, or by the far
side, which keeps dialling if it has a keepalive; whoever is dialled learns the other's endpoint from the
packet's source, as WireGuard does. What a pair of hosts can do does not depend on the packet inside, so each
tunnel end is worked out once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from warren.core.walk.course import Course, OnHost
from warren.core.walk.gate import End
from warren.core.walk.host import Device, HostView
from warren.core.walk.packet import Packet, to_address
from warren.core.walk.underlay import Memory
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey
from warren.model.prefix import Address, Family, family_of
from warren.model.state import Peer
from warren.model.trace import Disposition, Hop

# The handshake initiation's 148 bytes, with UDP's and IPv4's headers (WireGuard paper, section 5.4.2).
HANDSHAKE = 148 + 8 + 20
# IP header, UDP 8, data message 32 (section 5.4.6).
OVERHEAD = {Family.IPV4: 60, Family.IPV6: 80}
_PADDING = 16

Send = Callable[[OnHost, Packet, Memory, int], Course]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a tunnel: `end` says why it is not up; `carries` is the smallest MTU outer packets meet."""

    end: End | None
    far: str = ""
    far_device: str = ""
    endpoint: str = ""
    learned: bool = False
    family: Family = Family.IPV4
    carries: int = 0
    hops: tuple[Hop, ...] = ()
    doubts: tuple[str, ...] = ()


def outer_size(inner: int, device_mtu: int, family: Family) -> int:
    """Give the size of the outer packet: padded to 16 bytes, but not beyond the device's MTU."""
    padded = -(-inner // _PADDING) * _PADDING
    return max(min(padded, device_mtu), inner) + OVERHEAD[family]


def inner_room(link: Link, device_mtu: int) -> int:
    """Give the largest inner packet whose outer packet fits the way in one piece."""
    room = link.carries - OVERHEAD[link.family]
    return device_mtu if room >= device_mtu else max(room // _PADDING * _PADDING, 0)


@dataclass(frozen=True, slots=True)
class _Dialled:
    """A handshake: the initiation's course, and the response's if the initiation arrived at a peer."""

    there: Course
    far_device: str = ""
    back: Course | None = None
    failed: str = ""


class Tunnels:
    """All tunnels of a scene; `send` walks an outer packet."""

    def __init__(
        self,
        views: Callable[[str], HostView],
        owners: Mapping[PublicKey, str],
        names: Mapping[str, tuple[Address, ...]],
        send: Send,
    ) -> None:
        self._views = views
        self._owners = owners
        self._names = names
        self._send = send
        self._links: dict[tuple[str, str, PublicKey, bool], Link] = {}
        self.down_hosts: Collection[str] = ()
        self.down_tunnels: Collection[frozenset[str]] = ()

    def inherit(self, other: Tunnels, changed: Collection[str]) -> None:
        """Take over the links of another scene that differs in the `changed` hosts and in what is down."""
        gone = {*changed, *self.down_hosts, *other.down_hosts}
        cut = {*self.down_tunnels, *other.down_tunnels}
        broken = gone.union(*cut)
        for key, link in other._links.items():
            ends = {key[0], self._owners.get(key[2], "")}
            if not ends & gone and frozenset(ends) not in cut and not (_passed(link.hops) - ends) & broken:
                self._links[key] = link

    def link(self, host: HostView, device: Device, peer: Peer, answering: bool, depth: int) -> Link:
        """Say whether and how packets get from a device to a peer of it.

        `answering` means that the far side has just sent, so that it is known where it dialled from.
        """
        key = (host.name, device.name, peer.public_key, answering)
        known = self._links.get(key)
        if known is None:
            known = self._links[key] = self._establish(host, device, peer, answering, depth)
        return known

    def _establish(self, host: HostView, device: Device, peer: Peer, answering: bool, depth: int) -> Link:
        called = peer.name or peer.public_key[:8]
        far_name = self._owners.get(peer.public_key)
        if far_name is None:
            return Link(End(Disposition.UNKNOWN, f"peer {called} is not of this network"))
        if frozenset((host.name, far_name)) in self.down_tunnels:
            return Link(End(Disposition.TUNNEL_DOWN, f"the tunnel {host.name}-{far_name} is down"), far_name)
        for end in (far_name, host.name):
            if end in self.down_hosts:
                return Link(End(Disposition.TUNNEL_DOWN, f"{end} is down"), far_name)
        far = self._views(far_name)
        memory = Memory()
        failures = []
        if peer.endpoint is not None:
            dialled = self._dial(host, device, peer, far, memory, depth)
            if not dialled.failed:
                return _link(dialled.there, far.name, dialled.far_device, _remote(dialled.there), learned=False)
            failures.append(f"{host.name} dials {peer.endpoint}: {dialled.failed}")
        assert device.wireguard is not None
        for far_device in far.by_key(device.wireguard.public_key):
            assert far_device.wireguard is not None
            caller = far_device.wireguard.peer(device.wireguard.public_key)
            if caller.endpoint is None or not (caller.keepalive or answering):
                continue
            dialled = self._dial(far, far_device, caller, host, memory, depth)
            if not dialled.failed and dialled.far_device == device.name and dialled.back is not None:
                return _link(dialled.back, far.name, far_device.name, _remote(dialled.back), learned=True)
            failed = dialled.failed or f"it reaches {dialled.far_device}, not {device.name}"
            failures.append(f"{far.name} dials {caller.endpoint}: {failed}")
        if peer.endpoint is None and peer.keepalive and host.state.rendezvous:
            return self._meet(host, device, peer, far, memory, depth)
        if failures:
            return Link(End(Disposition.TUNNEL_DOWN, "; ".join(failures)), far_name)
        says = f"{host.name} knows no endpoint of {far_name}, and {far_name} does not dial it"
        return Link(End(Disposition.NO_PEER_ENDPOINT, says), far_name)

    def _meet(self, host: HostView, device: Device, peer: Peer, far: HostView, memory: Memory, depth: int) -> Link:
        """Say how far packets get that go by what the two hosts' agents find.

        Both have to reach a rendezvous server. What path they find then, through their NATs or by a relay, is theirs
        to try out: what is said here is that there is one, and what the two ways to the server carry.
        """
        assert device.wireguard is not None
        far_device = next(iter(far.by_key(device.wireguard.public_key)), None)
        if far_device is None:
            return Link(End(Disposition.NO_PEER, f"{far.name} does not have {host.name} as a peer"), far.name)
        failures = []
        for server in host.state.rendezvous:
            ways = [
                self._ask(end, tunnel, server, memory, depth) for end, tunnel in ((host, device), (far, far_device))
            ]
            failed = [way for way in ways if way.failed]
            if not failed:
                carries = min(way.there.packet.carries for way in ways)
                at = f"where their agents find a way, with the help of {server}"
                family = ways[0].there.packet.family
                return Link(None, far.name, far_device.name, at, True, family, carries, tuple(ways[0].there.hops))
            failures += [way.failed for way in failed]
        says = "no rendezvous server is reached by both: " + "; ".join(dict.fromkeys(failures))
        return Link(End(Disposition.TUNNEL_DOWN, says), far.name)

    def _ask(self, host: HostView, device: Device, server: Endpoint, memory: Memory, depth: int) -> _Dialled:
        """Walk a packet from WireGuard's port to a rendezvous server."""
        assert device.wireguard is not None
        address = self._resolve(host, server.host)
        family = family_of(address) if address else Family.IPV4
        packet = Packet(family, 0, int(address) if address else 0, "udp", device.port, server.port, HANDSHAKE)
        packet.mark, packet.df = device.wireguard.fwmark, host.df
        if address is None:
            nowhere = Course(packet, OnHost(host.name))
            return _Dialled(nowhere, failed=f"the name {server.host} is not known to {host.name}")
        there = self._send(OnHost(host.name), packet, memory, depth + 1)
        if there.disposition is not Disposition.EXITED:
            return _Dialled(there, failed=f"{host.name} to {server}: {there.disposition}: {there.says}")
        return _Dialled(there)

    def _dial(
        self, caller: HostView, device: Device, peer: Peer, called: HostView, memory: Memory, depth: int
    ) -> _Dialled:
        """Walk a handshake there and back."""
        assert device.wireguard is not None and peer.endpoint is not None
        address = self._resolve(caller, peer.endpoint.host)
        packet = Packet(
            family_of(address) if address else Family.IPV4,
            0,
            int(address) if address else 0,
            "udp",
            device.port,
            peer.endpoint.port,
            HANDSHAKE,
            device.wireguard.fwmark,
            caller.df,
            knocked=called.name in caller.state.knocks,
        )
        if address is None:
            nowhere = Course(packet, OnHost(caller.name))
            return _Dialled(nowhere, failed=f"the name {peer.endpoint.host} is not known")
        there = self._send(OnHost(caller.name), packet, memory, depth + 1)
        if there.disposition is not Disposition.DELIVERED or not isinstance(there.at, OnHost):
            return _Dialled(there, failed=f"{there.disposition}: {there.says}")
        if there.at.host != called.name:
            return _Dialled(there, failed=f"that is {there.at.host}")
        far_device = called.ports.get(there.packet.dport)
        if far_device is None:
            none = f"{called.name} has no device at port {there.packet.dport}"
            return _Dialled(there, failed=f"{none}, and no port forward is known in front of it")
        held = called.devices[far_device].wireguard
        assert held is not None
        if all(known.public_key != device.wireguard.public_key for known in held.peers):
            return _Dialled(there, failed=f"{far_device} of {called.name} does not have {caller.name} as a peer")
        answer = there.packet.answer()
        answer.mark, answer.df = held.fwmark, called.df
        back = self._send(OnHost(called.name), answer, memory, depth + 1)
        if back.disposition is not Disposition.DELIVERED or back.at != OnHost(caller.name):
            return _Dialled(there, far_device, back, f"the answer is lost ({back.disposition}: {back.says})")
        return _Dialled(there, far_device, back)

    def _resolve(self, host: HostView, name: str) -> Address | None:
        """Resolve an endpoint as getaddrinfo would: an address of a family the host can send in comes first."""
        try:
            return ip_address(name)
        except ValueError:
            pass
        known = self._names.get(name, ())
        reachable = [a for a in known if host.node.attachment.address(family_of(a)) is not None]
        return next(iter((*reachable, *known)), None)


def _passed(hops: Iterable[Hop]) -> set[str]:
    """Name the nodes that packets meet, also inside other tunnels."""
    return {hop.node for hop in hops}.union(*(_passed(hop.outer) for hop in hops if hop.outer))


def _link(course: Course, far: str, far_device: str, endpoint: str, learned: bool) -> Link:
    return Link(
        None,
        far,
        far_device,
        endpoint,
        learned,
        course.packet.family,
        course.packet.carries,
        tuple(course.hops),
        (*course.doubts.way, *course.doubts.passing),
    )


def _remote(course: Course) -> str:
    """Name the endpoint a course was sent to, as its sender wrote it."""
    header = course.hops[0].header if course.hops else course.packet.header()
    address = header.destination
    text = f"[{address}]" if isinstance(address, type(to_address(0, Family.IPV6))) else str(address)
    return f"{text}:{header.dport}"
