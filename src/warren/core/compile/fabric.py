"""What compiling needs to know of the whole network, worked out once for all hosts.

The fabric answers two questions for any pair of hosts: on which device does one hold the other, and which
prefixes does it reach through it. Prefixes carried by the hub are merged, because in a network of 1,000 hosts
each host would otherwise hold 1,000 of them for its one peer.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from ipaddress import ip_address

from warren.core.compile.portals import dedicated_peers, identity, ways_through
from warren.core.compile.shared import SharedRoutes
from warren.core.delegates import grant
from warren.model.host import Host
from warren.model.lock import HostLock, Lock
from warren.model.mapped import MappedPrefix
from warren.model.network import Network
from warren.model.prefix import (
    FAMILIES,
    Address,
    Family,
    Prefix,
    Span,
    aggregate,
    covers,
    family_of,
    host_prefix,
    merge,
    prefixes_of,
    span_of,
    subtract,
)


class Fabric:
    """One network with its lock, indexed."""

    def __init__(self, network: Network, lock: Lock) -> None:
        self.network = grant(network, lock)
        self.lock = lock
        self.shared = SharedRoutes()

    def locked(self, host: str) -> HostLock:
        """Give what the lock allotted to a host."""
        return self.lock.by_name[host]

    # --- who is whose peer -------------------------------------------------------------------------------

    def peers(self, host: str) -> tuple[Host, ...]:
        """List the hosts that this one has a tunnel with, in the file's order."""
        return tuple(
            peer
            for peer in self.network.hosts
            if peer.name != host and self.network.next_hop(host, peer.name) == peer.name
        )

    def device(self, host: str, peer: str) -> str:
        """Name the device on which a host holds a peer."""
        return self.locked(host).device(peer if peer in self._dedicated(host) else "").name

    def port(self, host: str, peer: str) -> int:
        """Give the port a peer dials: the endpoint's own, or that of the device kept for the peer."""
        endpoint = self.network.by_name[host].endpoint
        if peer in self._dedicated(host) or endpoint is None:
            return self.locked(host).device(peer if peer in self._dedicated(host) else "").port
        return endpoint.port

    def _dedicated(self, host: str) -> frozenset[str]:
        known = self._dedicated_by_host.get(host)
        if known is None:
            known = self._dedicated_by_host[host] = frozenset(dedicated_peers(self.network, host))
        return known

    @cached_property
    def _dedicated_by_host(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def endpoint_family(self) -> dict[str, Family | None]:
        """The family of each literal endpoint; None for a DNS name, absent without an endpoint."""
        return {host.name: _literal(host.endpoint.host) for host in self.network.hosts if host.endpoint}

    # --- who owns which prefixes -------------------------------------------------------------------------

    @cached_property
    def uncontested(self) -> dict[str, tuple[tuple[Prefix, bool], ...]]:
        """The LAN prefixes of each host, as the network knows them, that overlap no other host's; and who is closed.

        A LAN that is not mapped is contested by another host's that is, too: what came from the one would have a
        source at the other that is a neighbour's there.
        """
        owned = [
            (host.name, prefix, lan.seen(prefix), lan.closed)
            for host in self.network.hosts
            for lan in host.lans
            for prefix in lan.prefixes
        ]
        contested = _contested([(owner, prefix) for owner, own, seen, _ in owned for prefix in (own, seen)])
        found: dict[str, list[tuple[Prefix, bool]]] = {}
        for owner, _, seen, closed in owned:
            if seen not in contested:
                found.setdefault(owner, []).append((seen, closed))
        return {owner: tuple(prefixes) for owner, prefixes in found.items()}

    @cached_property
    def announced(self) -> dict[str, tuple[Prefix, ...]]:
        """The LAN prefixes of each host that the others reach: uncontested, not closed, of a family tunnels carry.

        Those of a mapped LAN are the ones that it is known by.
        """
        families = self.network.families
        return {
            owner: tuple(prefix for prefix, closed in prefixes if not closed and prefix.version in families)
            for owner, prefixes in self.uncontested.items()
        }

    def seen(self, host: str, prefix: Prefix) -> Prefix:
        """Give what other hosts call a part of a host's LANs: itself, unless its LAN is mapped."""
        for one in self.mapped(host):
            found = one.outward(prefix)
            if found is not None:
                return found
        return prefix

    def mapped(self, host: str) -> tuple[MappedPrefix, ...]:
        """List the subnets of a host's LANs that others know by another prefix."""
        return self._mapped.get(host, ())

    @cached_property
    def _mapped(self) -> dict[str, tuple[MappedPrefix, ...]]:
        return {
            host.name: maps
            for host in self.network.hosts
            if (maps := tuple(pair for lan in host.lans for pair in lan.mapped))
        }

    def addresses(self, host: str) -> tuple[Prefix, ...]:
        """Give a host's overlay addresses as host prefixes."""
        return self._addresses[host]

    @cached_property
    def _addresses(self) -> dict[str, tuple[Prefix, ...]]:
        return {host.name: tuple(host_prefix(address) for address in host.addresses) for host in self.lock.hosts}

    def guest_addresses(self, device: str) -> tuple[Prefix, ...]:
        """Give the overlay addresses of a device of `devices:` as host prefixes."""
        return tuple(host_prefix(address) for address in self.lock.guest_by_name[device].addresses)

    @cached_property
    def _guests(self) -> dict[str, tuple[Prefix, ...]]:
        """For each host the addresses of the devices whose tunnel ends there."""
        found: dict[str, tuple[Prefix, ...]] = {}
        for device in self.network.devices:
            found[device.into] = found.get(device.into, ()) + self.guest_addresses(device.name)
        return found

    def belongings(self, host: str) -> tuple[Prefix, ...]:
        """Give the prefixes that are reached at a host: its overlay addresses, its devices' and announced LANs."""
        return self.addresses(host) + self._guests.get(host, ()) + self.announced.get(host, ())

    def reached(self, host: str, peer: str) -> tuple[Prefix, ...]:
        """List the prefixes that a host reaches through a peer, those the peer carries as hub included."""
        carried = tuple(prefix for prefixes in self.carried(host, peer) for prefix in prefixes)
        return self.belongings(peer) + carried + self.chains_back(host, peer)

    def carried(self, host: str, peer: str) -> tuple[tuple[Prefix, ...], ...]:
        """Give the prefixes that a peer carries for a host as its hub, in groups that hosts share.

        Hosts of a large network differ only in the group that their own prefixes are cut out of; what is made
        of a group can be kept for the next host.
        """
        if peer != self.network.hub or self.network.by_name[host].endpoint is not None:
            return ()
        own: dict[Family, list[Span]] = {family: [] for family in FAMILIES}
        for prefix in self.belongings(host):
            own[family_of(prefix)].append(span_of(prefix))
        groups: list[tuple[Prefix, ...]] = []
        for family, span, prefixes in self._behind_hub:
            cut = [mine for mine in own[family] if mine[0] <= span[1] and span[0] <= mine[1]]
            groups.append(tuple(prefixes_of(subtract([span], cut), family)) if cut else prefixes)
        return tuple(groups)

    def chains_back(self, host: str, peer: str) -> tuple[Prefix, ...]:
        """List the chain addresses whose replies a host hands back to a peer: its previous hop on their way."""
        return tuple(
            host_prefix(address)
            for way, at in ways_through(self.network, host)
            if way.addressed and way.hops[at - 1] == peer
            for address in self.chain_addresses(way.hops[0], identity(way.portal))
        )

    def chain_addresses(self, entry: str, portal: str) -> tuple[Address, ...]:
        """Give the overlay addresses a chained portal's traffic is rewritten to at its entry."""
        return self.locked(entry).chain(portal).addresses

    @cached_property
    def everything(self) -> tuple[Prefix, ...]:
        """The prefixes of the whole network: the overlay and every uncontested LAN.

        A LAN that is closed, or of a family that tunnels do not carry, is among them, so that packets for it are
        refused at once instead of leaving by an uplink.
        """
        return (*self.network.overlay, *(prefix for held in self.uncontested.values() for prefix, _ in held))

    @cached_property
    def near(self) -> dict[Family, tuple[Prefix, ...]]:
        """Those prefixes by family, merged: none is more specific than a route to any part of it."""
        return by_family(aggregate(self.everything))

    # --- what the hub carries ----------------------------------------------------------------------------

    @cached_property
    def _behind_hub(self) -> tuple[tuple[Family, Span, tuple[Prefix, ...]], ...]:
        """All that hosts without endpoint own, as merged spans, each with the prefixes it splits into."""
        spans: dict[Family, list[Span]] = {family: [] for family in FAMILIES}
        for host in self.network.hosts:
            if host.endpoint is None:
                for prefix in self.belongings(host.name):
                    spans[family_of(prefix)].append(span_of(prefix))
        return tuple(
            (family, span, tuple(prefixes_of([span], family))) for family in FAMILIES for span in merge(spans[family])
        )


def by_family(prefixes: Iterable[Prefix]) -> dict[Family, tuple[Prefix, ...]]:
    """Sort prefixes into their families, each in the order given."""
    held = tuple(prefixes)
    return {family: tuple(prefix for prefix in held if prefix.version == family) for family in FAMILIES}


def _literal(host: str) -> Family | None:
    try:
        return family_of(ip_address(host))
    except ValueError:
        return None


def _contested(owned: Iterable[tuple[str, Prefix]]) -> frozenset[Prefix]:
    """List the prefixes that share an address with a prefix of another host.

    Prefixes overlap only by nesting: sorted by first address and length, those that hold one stand on a stack.
    """
    owners: dict[Prefix, set[str]] = {}
    for owner, prefix in owned:
        owners.setdefault(prefix, set()).add(owner)
    found = {prefix for prefix, held_by in owners.items() if len(held_by) > 1}
    around: list[Prefix] = []
    for prefix in sorted(owners, key=lambda prefix: (prefix.version, span_of(prefix)[0], prefix.prefixlen)):
        while around and not covers(around[-1], prefix):
            around.pop()
        for outer in around:
            if owners[outer] | owners[prefix] != owners[outer] & owners[prefix]:
                found |= {outer, prefix}
        around.append(prefix)
    return frozenset(found)
