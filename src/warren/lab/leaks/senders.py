"""Who sends, to whom, and where that may be seen.

A *sender* is a place of the network, a family and addresses that nobody else sends to, so that a packet is known by
where it goes even when it carries nothing. There are three kinds:

    a portal's source    it may be seen on tunnels, on the devices of its own LAN, and on its exit's uplink
    near                 to a prefix of the network itself: by tunnels, or not at all
    control              nobody's portal: it is seen on the uplink, or silence there would prove nothing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from warren.core.verify.leaks import strangers
from warren.core.walk import spot_of
from warren.core.walk.course import OnLan
from warren.lab.lab import Lab
from warren.lab.topology import client_space, host_space
from warren.model.dns import Privacy
from warren.model.named_set import SetUse
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import IfDown
from warren.model.prefix import FAMILIES, Address, Family, covers, host_prefix
from warren.model.world import Client, HostNode, NatNode

TARGETS = 3  # addresses of its own that each sender has: of streams, of questions, of whatever is odd
STREAM, QUESTION, ODD = range(TARGETS)


@dataclass(frozen=True, slots=True)
class Sender:
    """A place that sends, in one family; `targets` are nobody else's.

    `space` is where its sockets are made and `host` the machine whose uplink is watched for it. `kind` is the portal's
    (`lan`, `prefix`, `address`, `mac`, `own`), `near` or `control`. `exits` may have it on their uplinks. `client` is
    None for a host itself. `resolver` is whom it asks for names, if they may leave by its exits alone.
    """

    name: str
    kind: str
    family: Family
    space: str
    host: str
    targets: tuple[Address, ...]
    exits: frozenset[str] = frozenset()
    client: Client | None = None
    way: Way | None = None
    spots: frozenset[tuple[str, str]] = frozenset()
    address: Address | None = None
    resolver: Address | None = None

    @property
    def own(self) -> Address:
        """The address that its packets have where they are written by hand: a host's is that of its tunnels."""
        assert self.address is not None, "only portals' sources write packets by hand"
        return self.address

    @property
    def bound(self) -> bool:
        """Whether it is held to something: all but controls are."""
        return self.kind != "control"

    @property
    def portal(self) -> bool:
        """Whether it is a portal's source."""
        return self.way is not None

    @property
    def by_table(self) -> bool:
        """Whether only nft knows it: one machine by its MAC."""
        return self.kind == "mac"

    @property
    def lan(self) -> str:
        """The device of its host by which its packets come in; empty for the host's own."""
        return self.client.lan if self.client is not None else ""


_KINDS = {PlaceKind.LAN: "lan", PlaceKind.MAC: "mac", PlaceKind.HOST: "own"}


def senders_of(lab: Lab) -> tuple[Sender, ...]:
    """List all that send in a lab: every portal's source, the network's own prefixes, and a control on every uplink."""
    return tuple(_Finding(lab).all())


class _Finding:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.world, self.network, self.lock = lab.world, lab.network, lab.lock
        nodes: tuple[HostNode | NatNode, ...] = (*self.world.machines, *self.world.nats)
        self.taken: set[Address] = {one.ip for node in nodes for one in node.attachment.addresses}
        self.taken |= {address for _, addresses in self.world.names for address in addresses}
        self.tunnels = frozenset(
            (host_space(host.name), device)
            for host in self.network.hosts
            for device in (*(one.name for one in self.lock.by_name[host.name].devices), "lo")
        )

    def all(self) -> Iterator[Sender]:
        for way in self.network.ways:
            if way.rank == 0 and way.portal.if_down is IfDown.BLOCK and not way.portal.delegated:
                for family in way.portal.families:
                    yield from self._of_portal(way, family)
        yield from self._near()
        for node in self.world.hosts:
            for family in FAMILIES:
                yield from self._control(node.name, family)

    def _of_portal(self, way: Way, family: Family) -> Iterator[Sender]:
        source = way.portal.source
        if source.kind is PlaceKind.PREFIX and source.prefix is not None and source.prefix.version != family:
            return
        start = spot_of(self.world, source)
        client = start.client if isinstance(start, OnLan) else None
        if client is not None and client.address(family) is None:
            return
        targets = self._targets(way, family)
        if len(targets) < TARGETS:
            return
        host = way.hops[0]
        narrow = source.prefix is not None and source.prefix.num_addresses == 1
        kind = _KINDS.get(source.kind, "address" if narrow else "prefix")
        spots = {(host_space(host), client.lan)} if client is not None else set()
        spots |= {(host_space(name), self.network.by_name[name].uplink) for name in way.portal.exits}
        yield Sender(
            f"{source} {family.word}",
            kind,
            family,
            client_space(self.world, client) if client is not None else host_space(host),
            host,
            targets,
            frozenset(way.portal.exits),
            client,
            way,
            self.tunnels | spots,
            client.address(family) if client is not None else self.lock.by_name[host].address(family),
            self._resolver(way, client, family, targets),
        )

    def _resolver(
        self, way: Way, client: Client | None, family: Family, targets: tuple[Address, ...]
    ) -> Address | None:
        """Give the address at which the LAN's resolver answers in this family.

        None where its questions cannot be read or answered here (TLS), and where the owner wants unknown names to be
        asked of the domestic side, too.
        """
        dns = way.portal.dns
        if client is None or way.portal.source.kind is not PlaceKind.LAN or dns is None or dns.sealed:
            return None
        if dns.judged and (dns.privacy is Privacy.FAST or any(self._is_domestic(way, one) for one in targets)):
            return None
        addresses = (one.ip for one in self.network.by_name[way.hops[0]].lan(client.lan).addresses)
        return next((one for one in addresses if one.version == family), None)

    def _is_domestic(self, way: Way, address: Address) -> bool:
        family = Family(address.version)
        for one in way.portal.judged_by:
            prefixes = self.network.named_prefixes(one.name, family) if isinstance(one, SetUse) else (one,)
            if any(covers(prefix, host_prefix(address)) for prefix in prefixes):
                return True
        return False

    def _targets(self, way: Way | None, family: Family) -> tuple[Address, ...]:
        free = (address for address in strangers(self.network, way, family) if address not in self.taken)
        targets = tuple(islice(free, TARGETS))
        self.taken.update(targets)
        return targets

    def _near(self) -> Iterator[Sender]:
        """One sender for each overlay address, from beyond another host's tunnel, and for each far LAN's machine."""
        for family in self.network.families:
            for target in self.network.hosts:
                address = self.lock.by_name[target.name].address(family)
                if address is not None and (begin := self._who_is_not(target.name, family)) is not None:
                    yield self._to(address, begin, family)
            for client in self.world.clients:
                far = client.address(family)
                if far is None or client.name != f"{client.host}.{client.lan}" or not self._announced(client, family):
                    continue
                if (begin := self._who_is_not(client.host, family)) is not None:
                    yield self._to(client.seen(far), begin, family)

    def _to(self, address: Address, begin: Client, family: Family) -> Sender:
        lans = frozenset((host_space(host.name), lan.name) for host in self.network.hosts for lan in host.lans)
        space = client_space(self.world, begin)
        name = f"{begin.name} to {address}"
        return Sender(
            name, "near", family, space, begin.host, (address,) * TARGETS, client=begin, spots=self.tunnels | lans
        )

    def _announced(self, client: Client, family: Family) -> bool:
        """Say whether other hosts have a route to this LAN: not if it is closed or another has the same prefix."""
        host = self.network.by_name[client.host]
        lan = next(one for one in host.lans if one.name == client.lan)
        others = [p for one in self.network.hosts for other in one.lans if other is not lan for p in other.prefixes]
        own = [prefix for prefix in lan.prefixes if prefix.version == family]
        return not lan.closed and not any(
            one.overlaps(other) for one in own for other in others if one.version == other.version
        )

    def _who_is_not(self, host: str, family: Family) -> Client | None:
        """Find a machine on an open LAN of another host that has a tunnel with this one."""
        for client in self.world.clients:
            meets = client.host != host and self.network.next_hop(client.host, host) is not None
            if meets and client.name == f"{client.host}.{client.lan}" and client.address(family) is not None:
                return client
        return None

    def _control(self, host: str, family: Family) -> Iterator[Sender]:
        """A machine of a LAN without a portal, and where the host itself has one, or there is no such LAN, the host."""
        node = self.world.host_by_name[host]
        if node.attachment.address(family) is None:
            return
        taken = [way.portal for way in self.network.ways if way.hops[0] == host and family in way.portal.families]
        lans = {portal.source.lan for portal in taken if portal.source.kind is PlaceKind.LAN}
        delegated = {portal.source.prefix for portal in taken if portal.delegated}
        plain = None
        for client in self.world.clients:
            own = client.address(family)
            general = client.host == host and client.name == f"{host}.{client.lan}"
            if not general or own is None or client.lan in lans or client.learned:
                continue
            if not any(prefix is not None and covers(prefix, own) for prefix in delegated):
                plain = client
                break
        if plain is not None:
            yield self._free(f"{plain.name} {family.word}", host, family, client_space(self.world, plain), plain)
        if plain is None or any(portal.source.kind is PlaceKind.HOST for portal in taken):
            yield self._free(f"{host}'s lease {family.word}", host, family, host_space(host), None)

    def _free(self, name: str, host: str, family: Family, space: str, client: Client | None) -> Sender:
        return Sender(name, "control", family, space, host, self._targets(None, family), client=client)
