"""One host in the fabric: what the passes that compile it share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.core.compile.fabric import Fabric, by_family
from warren.core.compile.guests import Guests, guests_of
from warren.core.compile.ledger import exit_table, gateway_mark
from warren.core.compile.mtu import Uplinks
from warren.core.compile.openings import Opening, openings
from warren.core.compile.portals import dedicated_peers, identity, ways_from, ways_of, ways_through
from warren.core.compile.publishes import kept_gateways
from warren.model.delegate import Delegate
from warren.model.host import Host
from warren.model.lock import HostLock
from warren.model.mapped import MappedPrefix
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import FAMILIES, Address, Family, Prefix, aggregate, family_of, overlaps
from warren.model.surroundings import Ledger, Surroundings


@dataclass(frozen=True)
class Here:
    """A host, its surroundings and the numbers of its ledger."""

    fabric: Fabric
    host: Host
    surroundings: Surroundings
    ledger: Ledger

    @property
    def locked(self) -> HostLock:
        """What the lock allotted to the host."""
        return self.fabric.locked(self.host.name)

    @property
    def usable(self) -> tuple[Family, ...]:
        """The families this host's kernel speaks."""
        return FAMILIES if self.surroundings.ipv6 else (Family.IPV4,)

    @cached_property
    def carried(self) -> tuple[Family, ...]:
        """The families our tunnels carry here."""
        return tuple(family for family in self.fabric.network.families if family in self.usable)

    @cached_property
    def peers(self) -> tuple[Host, ...]:
        """The hosts this one has a tunnel with."""
        return self.fabric.peers(self.host.name)

    def meets(self, peer: str) -> bool:
        """Say whether the agent finds a peer at a rendezvous server."""
        return self.fabric.network.meet(self.host.name, peer)

    @cached_property
    def dedicated(self) -> tuple[str, ...]:
        """The peers held on devices of their own."""
        return dedicated_peers(self.fabric.network, self.host.name)

    def device(self, peer: str) -> str:
        """Name the device that holds a peer."""
        return self.fabric.device(self.host.name, peer)

    def exit_table(self, peer: str) -> int:
        """Give the table of a peer that has a device of its own."""
        return self.ledger.table(exit_table(self.device(peer)))

    @cached_property
    def chosen_exits(self) -> tuple[str, ...]:
        """The peers among which the agent chooses the exits of portals, each once."""
        return tuple(dict.fromkeys(way.hops[1] for way in self.leaving if way.portal.by_agent))

    @property
    def bound_to(self) -> tuple[str, ...]:
        """The peers by whose devices programs of this host send what they have bound to them (SO_BINDTODEVICE).

        The kernel then looks for a route by that device alone, and has none until a rule leads to the exit's table.
        """
        asking = (way for way in self.entering if way.portal.dns is not None and not way.portal.by_agent)
        return tuple(dict.fromkeys((*self.chosen_exits, *(way.hops[1] for way in asking))))

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """All our devices that have a peer, the shared one first."""
        used = {self.device(peer.name) for peer in self.peers} | {guests.device for guests in self.guests}
        return tuple(device.name for device in self.locked.devices if device.name in used)

    @cached_property
    def guests(self) -> tuple[Guests, ...]:
        """The devices of `devices:` whose tunnel ends here, by the host they dial."""
        return guests_of(self.fabric, self.host.name)

    @property
    def uplinks(self) -> Uplinks:
        """The MTU of our uplink, if it is there."""
        link = self.surroundings.link_by_name.get(self.host.uplink)
        return {self.host.name: link.mtu} if link is not None else {}

    @cached_property
    def entering(self) -> tuple[Way, ...]:
        """The portals entered here."""
        return ways_from(self.fabric.network, self.host.name)

    @cached_property
    def leaving(self) -> tuple[Way, ...]:
        """The ways of those portals, one for each of their exits."""
        return tuple(way for each in self.entering for way in ways_of(self.fabric.network, each.portal))

    @cached_property
    def through(self) -> tuple[tuple[Way, int], ...]:
        """The portals that come in by a tunnel, and at which hop we stand."""
        return ways_through(self.fabric.network, self.host.name)

    @cached_property
    def gateways(self) -> tuple[str, ...]:
        """The gateways from which packets with any source come here: what they publish with its source kept."""
        return kept_gateways(self.fabric.network, self.host.name)

    @cached_property
    def openings(self) -> tuple[Opening, ...]:
        """What we publish as gateway."""
        return openings(self.fabric, self.host.name)

    def opened_by(self, gateway: str) -> tuple[Opening, ...]:
        """Give what a gateway publishes of ours."""
        return tuple(one for one in openings(self.fabric, gateway) if one.publish.to.host == self.host.name)

    def gateway_mark(self, gateway: str) -> int:
        """Give the mark of connections that came in from a gateway, and of the packets that answer them."""
        return self.ledger.mark(gateway_mark(gateway))

    @property
    def exits_own_traffic(self) -> bool:
        """Whether a portal takes the host's own traffic."""
        return any(way.portal.source.kind is PlaceKind.HOST for way in self.entering)

    @property
    def is_hub(self) -> bool:
        """Whether hosts that cannot dial one another meet here."""
        return self.fabric.network.hub == self.host.name

    @cached_property
    def own_lans(self) -> tuple[Prefix, ...]:
        """The prefixes of our LANs, announced or not."""
        return tuple(prefix for lan in self.host.lans for prefix in lan.prefixes if family_of(prefix) in self.usable)

    @cached_property
    def own_addresses(self) -> frozenset[Address]:
        """Our own addresses: in the tunnels, and on our LANs."""
        return frozenset((*self.locked.addresses, *(one.ip for lan in self.host.lans for one in lan.addresses)))

    @cached_property
    def announced(self) -> tuple[Prefix, ...]:
        """The LAN prefixes that the others reach here."""
        return self.fabric.announced.get(self.host.name, ())

    @property
    def delegates(self) -> tuple[Delegate, ...]:
        """What the network delegates, from here, to here or elsewhere."""
        return self.fabric.network.delegates

    @cached_property
    def proxied(self) -> tuple[Prefix, ...]:
        """The prefixes of our uplink's own link that machines behind a tunnel have addresses of."""
        return tuple(
            way.portal.source.prefix
            for way, at in self.through
            if way.portal.delegated and way.portal.source.prefix is not None
            for one in self.delegates
            if one.proxy and (one.to, one.source) == (way.portal.source.host, self.host.name)
        )

    @cached_property
    def mapped(self) -> tuple[MappedPrefix, ...]:
        """The subnets of our LANs that the others reach under another prefix."""
        return tuple(
            pair
            for pair in self.fabric.mapped(self.host.name)
            if pair.seen in self.announced and pair.own.version in self.carried
        )

    @cached_property
    def open_lans(self) -> tuple[Prefix, ...]:
        """The prefixes of our LANs that the others reach under the same: what tunnels may send to as it is."""
        seen = {pair.seen for pair in self.mapped}
        return tuple(prefix for prefix in self.announced if prefix not in seen)

    @cached_property
    def yielded(self) -> tuple[Prefix, ...]:
        """Prefixes we leave alone because the uplink's own network overlaps them.

        A traveller's café may use a subnet that some site of the network uses too. The café's gateway and
        resolver must stay within reach, so that site is not reached from here (`plan` says so).
        """
        on_link = self.surroundings.on_link(self.host.uplink)
        own = {*self.own_lans, *self.proxied}
        return tuple(prefix for prefix in on_link if prefix not in own and prefix.prefixlen > 0)

    def yields(self, prefix: Prefix) -> bool:
        """Say whether a prefix of the network gives way to the uplink's own network."""
        return any(overlaps(prefix, other) for other in self.yielded)

    def near(self, family: Family) -> tuple[Prefix, ...]:
        """The network's prefixes, merged, as far as they are reached from here."""
        return self._near[family]

    @cached_property
    def _near(self) -> dict[Family, tuple[Prefix, ...]]:
        everything = self.fabric.everything
        if not self.yielded or not any(self.yields(prefix) for prefix in everything):
            return self.fabric.near
        return by_family(aggregate(prefix for prefix in everything if not self.yields(prefix)))

    @cached_property
    def apart(self) -> tuple[Prefix, ...]:
        """Prefixes of our LANs that the network does not count as near: contested, or of a family it lacks."""
        near = {prefix for prefix, _ in self.fabric.uncontested.get(self.host.name, ())}
        return tuple(prefix for prefix in self.own_lans if prefix not in near)

    def chain(self, way: Way) -> tuple[Address, ...]:
        """The addresses that an addressed portal's traffic carries after its entry; none if it needs none."""
        return self.fabric.chain_addresses(way.hops[0], identity(way.portal)) if way.addressed else ()

    def seen_sources(self, portal: Portal) -> tuple[Prefix, ...]:
        """The prefixes of a portal's source as the hosts after its entry know them."""
        return tuple(self.fabric.seen(portal.source.host, prefix) for prefix in self.source_prefixes(portal))

    def source_prefixes(self, portal: Portal) -> tuple[Prefix, ...]:
        """The prefixes of a portal's source at its entry; its LAN's for a MAC, overlay addresses for a host."""
        source = portal.source
        if source.prefix is not None:
            return (source.prefix,)
        entry = self.fabric.network.by_name[source.host]
        if source.kind is PlaceKind.HOST:
            return self.fabric.addresses(source.host)
        return entry.lan(source.lan).prefixes
