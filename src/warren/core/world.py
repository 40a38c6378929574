"""Place a network in a world of its own: what the lab builds with namespaces, and what walk reads.

    internet ─┬─ 198.51.100.10 nyc ─── its LANs, with clients
              └─ 192.0.2.1 NAT cafe ─── 100.64.0.0/24 ─── paris ─── its LANs, with clients

Every address is allotted from ranges that belong to nobody (RFC 5737 and 3849, then RFC 2544; RFC 6598 behind
NATs), in the order of the file, around whatever the network itself uses: the same file gives the same world.

A node on the internet has a single address and a gateway on the link (as many hosting providers do it), so that
two endpoints that are neighbours by their numbers need not share a wire.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface, ip_network
from itertools import chain

from warren.core.delegates import grant, whole_prefix
from warren.core.lan_clients import lan_clients
from warren.model.delegate import Delegate
from warren.model.host import Host, Lan
from warren.model.lab import LabLink, NatBox
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place
from warren.model.prefix import (
    DEFAULT_V4,
    DEFAULT_V6,
    FAMILIES,
    Address,
    Family,
    Interface,
    Prefix,
    Span,
    covers,
    family_of,
    merge,
    span_of,
)
from warren.model.state import MAIN, Backend, Route, Sysctl
from warren.model.surroundings import Link, Listener, Surroundings
from warren.model.world import Attachment, Client, HostNode, NatNode, World

GATEWAY_V4 = IPv4Address("192.0.0.1")  # the internet's own side of every link
GATEWAY_V6 = IPv6Address("fe80::1")
PUBLIC_V4 = ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/15")
PUBLIC_V6 = ip_network("2001:db8::/32")
INNER_V4 = ip_network("100.64.0.0/10")
ON_LINK = 0x10  # the last number of a host whose uplink's link has a prefix of its own; the gateway has 1
ULA = ip_network("fc00::/7")
SSHD = Listener("tcp", 22, "sshd")  # on every host of a world, as nearly everywhere
RESOLVER = ip_address("9.9.9.9")  # whom every host of a world asks for names before warren comes
DEVICE_UPLINK = "eth0"  # of a device of `devices:`, whose file does not say


def place_world(network: Network, lock: Lock | None) -> World:
    """Say where every host, NAT and LAN client stands: by the file's `lab:`, and sensibly where it is silent.

    Names that are not literal addresses stand for the (IPv4) address of the host whose endpoint they are, or for
    addresses of the internet that nobody has. KeyError for a NAT that `lab: nats:` does not have.
    """
    return _Placing(grant(network, lock) if lock is not None else network, lock).world()


def client_of(world: World, place: Place) -> Client:
    """Find the client that stands at a place of kind LAN, PREFIX or MAC; KeyError if none does.

    Everybody on a LAN has an address of the prefix that is delegated to it.
    """
    everybody = world.client_by_name.get(f"{place.host}.{place.lan}")
    known = world.client_by_name.get(str(place))
    if known is None and everybody is not None and everybody.learned and place.prefix is not None:
        return everybody
    return world.client_by_name[str(place)]


def surroundings_of(world: World, network: Network, host: str, backend: Backend = Backend.KERNEL) -> Surroundings:
    """Say what `observe` reports on a host or a device of this world before warren does anything there.

    The owner's own masquerading of the LANs is `HostNode.masquerades`, not a chain in here; the ledger is not
    given yet.
    """
    node, wanted = world.host_by_name[host], network.by_name.get(host)
    lans = wanted.lans if wanted is not None else ()
    attachment = node.attachment
    uplink = Link(node.uplink, attachment.mtu, "veth", addresses=attachment.addresses)
    links = [uplink, *(link for lan in lans for link in _lan_links(lan))]
    routes = [
        _connected(link.name, address)
        for link in links
        for address in link.addresses
        if address.network.prefixlen < family_of(address).bits or address.version == 6
    ]
    for gateway in attachment.gateways:
        everything = DEFAULT_V4 if gateway.version == 4 else DEFAULT_V6
        routes.append(Route(everything, MAIN, node.uplink, via=gateway, protocol="boot"))
    return Surroundings(
        links=tuple(links),
        routes=tuple(routes),
        sysctls=tuple(_sysctls_of(links, lans)),
        backend=backend,
        listeners=(SSHD,),
        resolvers=(RESOLVER,),
        names=world.names,
    )


def _lan_links(lan: Lan) -> Iterator[Link]:
    """Give what is there of a LAN before warren comes: its device, or what warren makes one of."""
    for device in lan.bridge or (() if lan.vlan else (lan.name,)):
        yield Link(device, 1500, "veth", addresses=() if lan.given else lan.addresses)


def _connected(device: str, address: Interface) -> Route:
    """The route that the kernel makes with an address."""
    if address.version == 4:
        return Route(address.network, MAIN, device, source=address.ip, protocol="kernel")
    return Route(address.network, MAIN, device, metric=256, protocol="kernel")


def _sysctls_of(links: list[Link], lans: tuple[Lan, ...]) -> Iterator[Sysctl]:
    """A router already forwards for its LANs; the strict reverse-path filter is the one that is hard to please."""
    forwards = "1" if lans else "0"
    yield Sysctl("net.ipv4.ip_forward", forwards)
    yield Sysctl("net.ipv6.conf.all.forwarding", forwards)
    yield Sysctl("net.ipv4.conf.all.rp_filter", "0")
    yield Sysctl("net.ipv4.conf.default.rp_filter", "1")
    yield Sysctl("net.ipv4.conf.all.src_valid_mark", "0")
    for device in (link.name for link in links):
        yield Sysctl(f"net.ipv4.conf.{device.replace('.', '/')}.rp_filter", "1")
        yield Sysctl(f"net.ipv6.conf.{device.replace('.', '/')}.accept_ra", "0")


class _Placing:
    """One run of `place_world`: what is taken so far, and what was placed."""

    def __init__(self, network: Network, lock: Lock | None) -> None:
        self.network = network
        self.lock = lock or Lock()
        self.lab = network.lab
        self.links = {link.host: link for link in self.lab.links} if self.lab else {}
        self.nats: dict[str, NatNode] = {}
        self.inner: dict[str, tuple[Prefix, ...]] = {}
        self.joined: dict[str, int] = {}  # how many stand behind a NAT
        self.names: dict[str, tuple[Address, ...]] = {}
        self.reserved = _reserved(network, lock)
        self.public = self._public_addresses()
        self.subnets = self._inner_subnets()
        self.sites = self._sites()

    def world(self) -> World:
        ways = {host.name: self._way_of(host.name, host.endpoint is not None) for host in self.network.hosts}
        ways |= {device.name: self._way_of(device.name, dialled=False) for device in self.network.devices}
        self._place_nats(ways)
        hosts = tuple(self._place_host(host, ways[host.name]) for host in self.network.hosts)
        devices = tuple(self._place_device(device.name, ways[device.name]) for device in self.network.devices)
        clients = tuple(lan_clients(self.network))
        for name in dict.fromkeys((*(one.target.name for one in self.network.expects), *self._domains())):
            if name and name not in self.names:
                self.names[name] = (next(self.public), self._public_v6())
        for server in self.network.rendezvous:
            if not _literal(server.address.host) and server.address.host not in self.names:
                self.names[server.address.host] = (next(self.public), self._public_v6())
        return World(hosts, tuple(self.nats.values()), clients, tuple(self.names.items()), devices)

    def _domains(self) -> Iterator[str]:
        """A domain of each portal that names some: what it takes, or leaves alone, must stand for something."""
        for portal in self.network.portals:
            for use in portal.uses:
                yield from self.network.named_domains(use.name)[:1]

    def _way_of(self, name: str, dialled: bool) -> tuple[NatBox, ...]:
        """The NATs in front of a host or a device, the outermost first."""
        boxes = {box.name: box for box in self.lab.nats} if self.lab else {}
        places = dict(self.lab.place) if self.lab else {}
        if name in places:
            return tuple(boxes[one] for one in places[name])
        if dialled:
            return ()
        own = f"nat-{name}"
        return (NatBox(f"{own}-own" if own in boxes else own),)

    def _place_nats(self, ways: dict[str, tuple[NatBox, ...]]) -> None:
        """Stand each NAT where the first host that names it has it; the outermost may own a literal endpoint."""
        for name, way in ways.items():
            outer = ""
            for box in way:
                if box.name not in self.nats:
                    self._place_nat(box, outer, self.network.by_name.get(name))
                outer = box.name

    def _place_nat(self, box: NatBox, outer: str, host: Host | None) -> None:
        subnet = next(self.subnets)
        inner6 = ip_network(f"{next(self.sites).network_address}/64")
        inner = (ip_interface(f"{subnet[1]}/{subnet.prefixlen}"), ip_interface(f"{inner6[1]}/64"))
        where = self._join(outer, LabLink(box.name), None if outer else host)
        self.nats[box.name] = NatNode(box, where, inner)
        self.inner[box.name] = (subnet, inner6)
        self._route_to(box.name, (inner6,))

    def _place_host(self, host: Host, way: tuple[NatBox, ...]) -> HostNode:
        outer = way[-1].name if way else ""
        link = self.links.get(host.name, LabLink(host.name))
        routed: tuple[Prefix, ...] = tuple(
            prefix for prefix in _own_prefixes(host) if prefix.version == 6 and not covers(ULA, prefix)
        )
        where = self._join(outer, link, None if way else host)
        if host.endpoint and not _literal(host.endpoint.host):
            front = self.nats[way[0].name].attachment if way else where
            seen = front.address(Family.IPV4)
            assert seen is not None
            self.names.setdefault(host.endpoint.host, (seen,))
        routed += tuple(prefix for delegate, prefix in self._delegated_from(host.name) if not delegate.proxy)
        if routed and link.ipv6:
            where = _with_routed(where, routed)
            if outer:
                self._route_to(outer, routed)
        for delegate, prefix in self._delegated_from(host.name):
            if delegate.proxy and link.ipv6:
                where = _on_link(where, prefix)
        masquerades = tuple(prefix for prefix in _own_prefixes(host) if prefix.version == 4 or covers(ULA, prefix))
        return HostNode(host.name, host.uplink, where, masquerades)

    def _delegated_from(self, host: str) -> Iterator[tuple[Delegate, Prefix]]:
        for delegate in self.network.delegates:
            prefix = whole_prefix(delegate, self.lock)
            if delegate.source == host and prefix is not None:
                yield delegate, prefix

    def _place_device(self, name: str, way: tuple[NatBox, ...]) -> HostNode:
        link = self.links.get(name, LabLink(name))
        return HostNode(name, DEVICE_UPLINK, self._join(way[-1].name if way else "", link, None))

    def _join(self, outer: str, link: LabLink, host: Host | None) -> Attachment:
        """Attach a node behind a NAT or, without one, to the internet; `host` may say with which address."""
        if outer:
            number = self.joined.get(outer, 1) + 1
            self.joined[outer] = number
            nat = self.nats[outer]
            addresses = tuple(ip_interface(f"{prefix[number]}/{prefix.prefixlen}") for prefix in self.inner[outer])
            gateways: tuple[Address, ...] = tuple(address.ip for address in nat.inner)
        else:
            literal = _literal(host.endpoint.host) if host and host.endpoint else None
            v4 = literal if isinstance(literal, IPv4Address) else next(self.public)
            v6 = literal if isinstance(literal, IPv6Address) else self._public_v6()
            addresses = (ip_interface(v4), ip_interface(v6))
            gateways = (GATEWAY_V4, GATEWAY_V6)
        if not link.ipv6:
            addresses, gateways = addresses[:1], gateways[:1]
        return Attachment(outer, addresses, gateways, mtu=link.mtu, loss=link.loss)

    def _route_to(self, nat: str, prefixes: tuple[Prefix, ...]) -> None:
        """Let all that is upstream of a NAT know that these prefixes lie behind it."""
        while nat:
            node = self.nats[nat]
            self.nats[nat] = NatNode(node.box, _with_routed(node.attachment, prefixes), node.inner)
            nat = node.attachment.upstream

    def _public_addresses(self) -> Iterator[IPv4Address]:
        for block in PUBLIC_V4:
            for address in ip_network(block).hosts():
                if isinstance(address, IPv4Address) and not self.reserved.holds(address):
                    yield address

    def _public_v6(self) -> IPv6Address:
        return IPv6Address(int(next(self.sites).network_address) + 0x10)

    def _sites(self) -> Iterator[Prefix]:
        """An IPv6 prefix for each who asks for an address."""
        for number in range(1, 1 << 16):
            site = ip_network((int(PUBLIC_V6.network_address) + (number << 80), 48))
            if not self.reserved.meets(site):
                yield site

    def _inner_subnets(self) -> Iterator[Prefix]:
        for subnet in INNER_V4.subnets(new_prefix=24):
            if not self.reserved.meets(subnet):
                yield subnet


class _Reserved:
    """The addresses that the network itself uses, as sorted spans."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self.spans: dict[int, list[Span]] = {family: [] for family in FAMILIES}
        for prefix in prefixes:
            self.spans[prefix.version].append(span_of(prefix))
        for family, spans in self.spans.items():
            self.spans[family] = merge(spans)

    def holds(self, address: Address) -> bool:
        return self.meets(ip_network(address))

    def meets(self, prefix: Prefix) -> bool:
        spans = self.spans[prefix.version]
        first, last = span_of(prefix)
        at = bisect_right(spans, last, key=lambda span: span[0])
        return at > 0 and spans[at - 1][1] >= first


def _reserved(network: Network, lock: Lock | None) -> _Reserved:
    dialled = (*(host.endpoint for host in network.hosts), *(server.address for server in network.rendezvous))
    endpoints = (endpoint.host for endpoint in dialled if endpoint)
    literals = (literal for text in endpoints if (literal := _literal(text)))
    targets = (expect.target.address for expect in network.expects if expect.target.address)
    locked = (
        address
        for host in (lock.hosts if lock else ())
        for address in chain(host.addresses, *(link.addresses for link in host.chains))
    )
    lans = (
        prefix
        for host in network.hosts
        for lan in host.lans
        for prefix in (*lan.prefixes, *(pair.seen for pair in lan.mapped))
    )
    delegated = (prefix for one in network.delegates if (prefix := whole_prefix(one, lock or Lock())) is not None)
    exceptions = (prefix for portal in network.portals for prefix in portal.exceptions if prefix.prefixlen > 8)
    return _Reserved(
        chain(network.overlay, lans, delegated, exceptions, (ip_network(a) for a in chain(literals, targets, locked)))
    )


def _on_link(where: Attachment, prefix: Prefix) -> Attachment:
    """Stand on a link that has a prefix of its own: with an address of it, beside the gateway's."""
    addresses = tuple(address for address in where.addresses if address.version == 4)
    own = ip_interface(f"{prefix[ON_LINK]}/{prefix.prefixlen}")
    return replace(where, addresses=(*addresses, own), on_link=(*where.on_link, prefix))


def _own_prefixes(host: Host) -> Iterator[Prefix]:
    """The prefixes of a host's LANs that its owner gave it; what is delegated to them comes by another way."""
    return (address.network for lan in host.lans for address in lan.addresses)


def _literal(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _with_routed(where: Attachment, prefixes: tuple[Prefix, ...]) -> Attachment:
    return replace(where, routed=where.routed + prefixes)
