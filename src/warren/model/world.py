"""Where everything stands when a network is tried on one machine, or walked without one.

The same value tells the lab what to build and walk what lies between two uplinks.

          internet ── answers on any address ──┬── nyc            (on the internet)
                                               ├── cgnat ── box ── paris   (behind two NATs)
          clients on each host's LANs          ├── tokyo
                                               └── nat-phone ── phone      (a device of `devices:`)

NATs translate IPv4. IPv6 is routed through them behind a stateful firewall with the same filtering (RFC 6092),
as home routers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.model.lab import NatBox
from warren.model.mapped import MappedPrefix, address_moved
from warren.model.prefix import Address, Family, Interface, Prefix, covers


@dataclass(frozen=True, slots=True)
class Attachment:
    """How a node is joined to what is upstream of it: its addresses there and the gateways it uses.

    `upstream` is a NAT's name, or empty for the internet. `routed` prefixes are sent here by upstream too; `on_link`
    ones are the link's own: upstream asks there by neighbour discovery who has an address of them.
    """

    upstream: str
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    routed: tuple[Prefix, ...] = ()
    on_link: tuple[Prefix, ...] = ()
    mtu: int = 1500
    loss: int = 0

    def address(self, family: Family) -> Address | None:
        """Give the node's own address of a family."""
        return next((address.ip for address in self.addresses if address.version == family), None)


@dataclass(frozen=True, slots=True)
class HostNode:
    """A warren host, or a device of `devices:`; `uplink` is the device that is attached.

    `masquerades` are the LAN prefixes whose ordinary way out the host's owner translates to the uplink's
    address (not warren's doing; blueprint section 1, defaults).
    """

    name: str
    uplink: str
    attachment: Attachment
    masquerades: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class NatNode:
    """A NAT box: attached upstream, with its own addresses on the inner side."""

    box: NatBox
    attachment: Attachment
    inner: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """A machine on a LAN; its gateways are the host's own addresses there.

    `maps` are its LAN's: by them other hosts know it under another address than its own.
    What it has of `learned` prefixes, and the router it sends by, it was told by an advertisement (RFC 4862); `leased`
    is the address that it gets, with its router, by DHCP (RFC 2131).
    """

    name: str
    host: str
    lan: str
    mac: str
    addresses: tuple[Interface, ...]
    gateways: tuple[Address, ...]
    maps: tuple[MappedPrefix, ...] = ()
    learned: tuple[Prefix, ...] = ()
    leased: Interface | None = None

    def address(self, family: Family) -> Address | None:
        """Give the client's address of a family, a global one before others."""
        return next((address.ip for address in self.addresses if address.version == family), None)

    def seen(self, address: Address) -> Address:
        """Give what other hosts call one of the client's addresses: itself, if its LAN is not mapped."""
        for pair in self.maps:
            if covers(pair.own, address):
                return address_moved(address, pair.own, pair.seen)
        return address


@dataclass(frozen=True)
class World:
    """All nodes; `names` says what each DNS name of the file stands for."""

    hosts: tuple[HostNode, ...]
    nats: tuple[NatNode, ...] = ()
    clients: tuple[Client, ...] = ()
    names: tuple[tuple[str, tuple[Address, ...]], ...] = ()
    devices: tuple[HostNode, ...] = ()

    @property
    def machines(self) -> tuple[HostNode, ...]:
        """All that has an uplink and tunnels: hosts and devices."""
        return self.hosts + self.devices

    @cached_property
    def host_by_name(self) -> dict[str, HostNode]:
        """The nodes of hosts and devices by name, which are one namespace."""
        return {node.name: node for node in self.machines}

    @cached_property
    def nat_by_name(self) -> dict[str, NatNode]:
        """NAT nodes by name."""
        return {node.box.name: node for node in self.nats}

    @cached_property
    def client_by_name(self) -> dict[str, Client]:
        """Clients by name: a LAN's general client is called `host.lan`, any other as its place is written."""
        return {client.name: client for client in self.clients}

    def behind(self, host: str) -> tuple[NatNode, ...]:
        """Give the NATs in front of a host or a device, the innermost first."""
        found: list[NatNode] = []
        upstream = self.host_by_name[host].attachment.upstream
        while upstream:
            found.append(self.nat_by_name[upstream])
            upstream = found[-1].attachment.upstream
        return tuple(found)
