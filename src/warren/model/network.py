"""What the owner wants: the network file as values, every name resolved, nothing allotted yet.

`core.parse` makes it, `core.check` judges it, `core.compile` reads it. Places in the file (`at`) are kept on
what a later finding may have to point at.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from warren.model.diagnostic import Where
from warren.model.endpoint import Endpoint as Endpoint  # noqa: PLC0414  # it is a word of the network file too
from warren.model.key import PublicKey
from warren.model.mapped import MappedPrefix
from warren.model.prefix import FAMILIES, Address, Family, Interface, Prefix


@dataclass(frozen=True, slots=True)
class Lan:
    """One network behind a host: a device of the host and the host's addresses on it.

    `name` is the device. `closed` LANs are announced to nobody (blueprint section 1). `maps` are the prefixes as
    which the others see the LAN's own, as written: one for each subnet of the families that are mapped, in their
    order. With `map_auto` the lock allots them, and `core.maps` fills in what it `allotted`.
    `delegated` are addresses that warren itself gives the host there, of delegated prefixes, and `pools` what of them
    routers on the LAN may ask for (`core.delegates`).
    """

    name: str
    addresses: tuple[Interface, ...]
    closed: bool = False
    at: Where | None = None
    maps: tuple[Prefix, ...] = ()
    map_auto: bool = False
    allotted: tuple[MappedPrefix, ...] = ()
    delegated: tuple[Interface, ...] = ()
    pools: tuple[Prefix, ...] = ()

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """The subnets of the LAN, delegated ones and what is behind its routers included."""
        return (*(address.network for address in (*self.addresses, *self.delegated)), *self.pools)

    @property
    def mapped(self) -> tuple[MappedPrefix, ...]:
        """The subnets that others know by another prefix; what `check` finds fault with is left out."""
        if self.map_auto:
            return self.allotted
        return tuple(
            MappedPrefix(own, seen)
            for family in FAMILIES
            for own, seen in zip(
                dict.fromkeys(own.network for own in self.addresses if own.version == family),
                (prefix for prefix in self.maps if prefix.version == family),
                strict=False,
            )
            if own.prefixlen == seen.prefixlen
        )

    def is_mapped(self, prefix: Prefix) -> bool:
        """Say whether others know a subnet by another prefix, or will when it is allotted."""
        delegated = any(given.network == prefix for given in self.delegated)
        return (self.map_auto and not delegated) or any(pair.own == prefix for pair in self.mapped)

    def seen(self, prefix: Prefix) -> Prefix:
        """Give what others call a part of the LAN: itself, if it is not mapped."""
        return next((found for one in self.mapped if (found := one.outward(prefix)) is not None), prefix)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine warren runs on.

    `port` is the listening port of the shared device when written out. `mtu` overrides the computed MTU of
    every tunnel device. `psk` maps a peer's name to the path of the file that holds the preshared key.
    `firewall` is the owner's consent to a rule at that tool's hook.
    """

    name: str
    key: PublicKey
    endpoint: Endpoint | None = None
    uplink: str = "eth0"
    lans: tuple[Lan, ...] = ()
    port: int | None = None
    mtu: int | None = None
    psk: tuple[tuple[str, str], ...] = ()
    private_key: str = "/etc/warren/private.key"
    firewall: str | None = None
    at: Where | None = None

    def lan(self, name: str) -> Lan:
        """Find a LAN by its device name; KeyError if there is none."""
        for lan in self.lans:
            if lan.name == name:
                return lan
        raise KeyError(name)


class PlaceKind(StrEnum):
    """The forms in which a place can be written."""

    HOST = "host"
    LAN = "lan"
    PREFIX = "prefix"  # an address or a prefix of one of the host's LANs
    MAC = "mac"  # one device of a LAN
    DEVICE = "device"  # a stock WireGuard app of `devices:`
    INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Place:
    """`host`, `host.lan`, `host.prefix`, `host.lan.MAC`, `device` or `internet`.

    `lan` is filled in for a PREFIX too (the LAN that holds it); `mac` is lower case with colons. Of a DEVICE,
    `device` is its name and `host` the one its tunnel ends at.
    """

    kind: PlaceKind
    host: str = ""
    lan: str = ""
    prefix: Prefix | None = None
    mac: str = ""
    device: str = ""
    at: Where | None = None

    def __str__(self) -> str:
        if self.kind is PlaceKind.INTERNET:
            return "internet"
        if self.kind is PlaceKind.DEVICE:
            return self.device
        if self.kind is PlaceKind.HOST:
            return self.host
        if self.kind is PlaceKind.LAN:
            return f"{self.host}.{self.lan}"
        if self.kind is PlaceKind.MAC:
            return f"{self.host}.{self.lan}.{self.mac}"
        assert self.prefix is not None
        bare = self.prefix.network_address if self.prefix.num_addresses == 1 else self.prefix
        return f"{self.host}.{bare}"


class Nat(StrEnum):
    """How the source of portal traffic reaches its exit: decided by warren, rewritten, or kept."""

    AUTO = "auto"
    SNAT = "snat"
    ROUTED = "routed"


class IfDown(StrEnum):
    """What becomes of portal traffic while its tunnel is down."""

    BLOCK = "block"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class SetUse:
    """`country:CN` or `list:NAME` where a portal names destinations; `index` is its place in `except:` or `only:`."""

    name: str
    index: int = 0
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class ListFile:
    """A list of prefixes that the file names under `lists:`; `path` is relative to the network file."""

    name: str
    path: str
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """What a `SetUse` stands for: the fewest prefixes that hold its addresses, IPv4 first, none of them special.

    `missing` says why its contents could not be had, and `doubt` why they may lack something; `remedy` is for either.
    """

    name: str
    prefixes: tuple[Prefix, ...] = ()
    missing: str = ""
    doubt: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Portal:
    """Traffic that comes in at `source` leaves by the uplink of `exit`, through each host of `via` in turn.

    `families` are those the portal claims: where the overlay or the exit lacks one of them, its traffic is
    rejected with ICMP. A family not claimed (`family:` was written) is left as it was without the portal.
    `exceptions` are prefixes that keep leaving directly, and `excepted` countries and lists that do; with `only`,
    everything else does, and it is empty where it is not written. `delegated`: a delegate implies it, and neither end
    rewrites its source.
    """

    source: Place
    exit: str
    via: tuple[str, ...] = ()
    exceptions: tuple[Prefix, ...] = ()
    families: tuple[Family, ...] = FAMILIES
    nat: Nat = Nat.AUTO
    if_down: IfDown = IfDown.BLOCK
    delegated: bool = False
    at: Where | None = None
    excepted: tuple[SetUse, ...] = ()
    only: tuple[Prefix | SetUse, ...] = ()

    @property
    def uses(self) -> tuple[SetUse, ...]:
        """The countries and lists that it names."""
        return (*self.excepted, *(one for one in self.only if isinstance(one, SetUse)))

    @property
    def by_marks(self) -> bool:
        """Whether some of its destinations are exempted by marks, which a lost firewall table does not lend."""
        return bool(self.excepted or self.only)


@dataclass(frozen=True, slots=True)
class Device:
    """A stock WireGuard app: its configuration is rendered, and warren never runs on it.

    Its tunnel ends at the host `into`, through the gateway `via` where `into` cannot be dialled itself. It may
    begin flows to `reach` and nothing else; `full_tunnel`: also to the internet, by the uplink of `into`. `dns` are
    the resolvers it is told. `mtu` is the most its tunnel may carry, where its own way to the internet is narrow.
    """

    name: str
    key: PublicKey
    into: str
    via: str = ""
    reach: tuple[Place, ...] = ()
    full_tunnel: bool = False
    dns: tuple[Address, ...] = ()
    mtu: int | None = None
    at: Where | None = None


class SourceKept(StrEnum):
    """Which source a published service sees: the true client's, or an address of the gateway."""

    KEPT = "kept"
    SNAT = "snat"


@dataclass(frozen=True, slots=True)
class PortRange:
    """`tcp/8000-8100→80`: inclusive ports of one protocol, and where they lead.

    `to` is None for the same ports, else as many ports as the range holds, or one for all of them. `proto` is `tcp`,
    `udp`, or `icmp` for echo requests, which have no ports: both numbers are 0.
    """

    proto: str
    first: int
    last: int
    to: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.proto == "icmp":
            return self.proto
        own = f"{self.proto}/{_range(self.first, self.last)}"
        return own if self.to is None else f"{own}→{_range(*self.to)}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


@dataclass(frozen=True, slots=True)
class Publish:
    """Ports of the public address of `gateway` lead to `to`: a host, an address on a host's LAN, or a device.

    `ports` None is `all`: TCP, UDP, ICMP echo and other protocols, but for what the gateway itself listens on. What
    `exceptions` names stays at the gateway too, unless a narrower publish takes it.
    """

    gateway: str
    to: Place
    ports: tuple[PortRange, ...] | None = None
    exceptions: tuple[PortRange, ...] = ()
    source: SourceKept = SourceKept.KEPT
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class Delegate:
    """An IPv6 prefix that is routed to the host `source`, for LANs of the host `to`, announced there and never NATed.

    `prefix` None follows what the device `follow` of `source` has. `proxy`: the prefix is only on `source`'s own link
    (a /64), so `source` answers neighbour discovery for what is behind `to`. `downstream` is the length of the prefixes
    that routers on the first LAN may ask for (0: none).
    """

    source: str
    to: str
    lans: tuple[str, ...]
    prefix: Prefix | None = None
    follow: str = ""
    proxy: bool = False
    downstream: int = 0
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where an expectation's packet is sent: a place, an address, or a name; and to which port.

    Exactly one of `place`, `address` and `name` is set. `proto` is `tcp`, `udp` or `icmp` (the default).
    """

    place: Place | None = None
    address: Address | None = None
    name: str = ""
    proto: str = "icmp"
    port: int = 0

    def __str__(self) -> str:
        where = str(self.place) if self.place else str(self.address) if self.address else self.name
        return where if self.proto == "icmp" else f"{where} {self.proto}/{self.port}"


@dataclass(frozen=True, slots=True)
class Down:
    """What an expectation breaks first: a host, or the tunnel between two hosts (`a-b`)."""

    host: str = ""
    tunnel: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.host or "-".join(self.tunnel or ())


@dataclass(frozen=True, slots=True)
class Expect:
    """A promise about packets that `verify` proves offline and `lab test` proves with real ones.

    `arrives` is True (at the target), a place, or None; `source` is `kept`, a host's name (the packet comes
    out with an address of that host) or empty; no family means every one that both ends have.
    """

    source_place: Place
    target: Target
    exit: str = ""
    arrives: bool | Place | None = None
    blocked: bool = False
    source: str = ""
    path: tuple[str, ...] = ()
    mtu: int | None = None
    families: tuple[Family, ...] | None = None
    down: tuple[Down, ...] = ()
    at: Where | None = None


class Mapping(StrEnum):
    """RFC 4787 section 4.1."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Ports(StrEnum):
    """How a NAT picks the outside port (RFC 4787 section 4.2.1)."""

    PRESERVING = "preserving"
    SEQUENTIAL = "sequential"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class NatBox:
    """A NAT of the lab by RFC 4787; `filtering` uses the same three words as mapping; `timeout` in seconds."""

    name: str
    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Mapping = Mapping.ADDRESS_AND_PORT_DEPENDENT
    ports: Ports = Ports.PRESERVING
    timeout: int = 120
    hairpin: bool = False
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class LabLink:
    """How a host's uplink is in the lab; `loss` in percent."""

    host: str
    mtu: int = 1500
    loss: int = 0
    ipv6: bool = True


@dataclass(frozen=True, slots=True)
class Lab:
    """Where each host stands when the network is tried on one machine.

    `place` maps a host to the NATs in front of it, the outermost first; none means: on the internet.
    """

    nats: tuple[NatBox, ...] = ()
    place: tuple[tuple[str, tuple[str, ...]], ...] = ()
    links: tuple[LabLink, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """A portal and its hosts from entry to exit, the hub included where it had to step in.

    An `addressed` way has overlay addresses of its own, by which the hosts on it know its packets: a chain, and
    whatever leaves its entry by a chain's first tunnel, which could be taken for the chain.
    """

    portal: Portal
    hops: tuple[str, ...]
    addressed: bool = False

    @property
    def chained(self) -> bool:
        """Whether there is a relay on the way: more than one tunnel."""
        return len(self.hops) > 2


@dataclass(frozen=True)
class Network:
    """One network file. No slots: the indexes below are computed once, on first use."""

    name: str
    overlay: tuple[Prefix, ...]
    hosts: tuple[Host, ...]
    hub: str = ""
    portals: tuple[Portal, ...] = ()
    expects: tuple[Expect, ...] = ()
    lab: Lab | None = None
    devices: tuple[Device, ...] = ()
    publishes: tuple[Publish, ...] = ()
    delegates: tuple[Delegate, ...] = ()
    lists: tuple[ListFile, ...] = ()
    named: tuple[NamedSet, ...] = ()
    file: str = "network.yaml"

    @cached_property
    def by_name(self) -> dict[str, Host]:
        """Hosts by name."""
        return {host.name: host for host in self.hosts}

    @cached_property
    def named_by_name(self) -> dict[str, NamedSet]:
        """The countries and lists that portals name, by name."""
        return {one.name: one for one in self.named}

    def named_prefixes(self, name: str, family: Family) -> tuple[Prefix, ...]:
        """Give the addresses of a country or list; none if its contents were not given."""
        held = self.named_by_name.get(name)
        return tuple(prefix for prefix in held.prefixes if prefix.version == family) if held is not None else ()

    @property
    def families(self) -> tuple[Family, ...]:
        """The families the overlay has, and so every tunnel carries."""
        return tuple(family for family in FAMILIES if any(prefix.version == family for prefix in self.overlay))

    def next_hop(self, here: str, there: str) -> str | None:
        """Name the host to which `here` hands packets for `there`: itself, the hub, or nobody.

        A tunnel comes up by itself when one of its ends has an endpoint for the other to dial.
        """
        if self.by_name[here].endpoint is not None or self.by_name[there].endpoint is not None:
            return there
        return self.hub if self.hub and self.hub not in (here, there) else None

    @cached_property
    def devices_by_name(self) -> dict[str, Device]:
        """Devices by name."""
        return {device.name: device for device in self.devices}

    @cached_property
    def guests(self) -> dict[str, dict[str, tuple[Device, ...]]]:
        """For each host the devices whose tunnel ends there, by the host they dial: itself or a gateway."""
        found: dict[str, dict[str, tuple[Device, ...]]] = {}
        for device in self.devices:
            held = found.setdefault(device.into, {})
            dialled = self.dials(device)
            held[dialled] = (*held.get(dialled, ()), device)
        return found

    def dials(self, device: Device) -> str:
        """Name the host whose endpoint a device dials; empty if there is none, or if several gateways could be it.

        That is the host its tunnel ends at, where that has an endpoint. Otherwise the gateway that publishes to it, the
        hub, or the only host that has an endpoint.
        """
        if device.via or device.into not in self.by_name:
            return device.via
        if self.by_name[device.into].endpoint is not None:
            return device.into
        gateways = {publish.gateway for publish in self.publishes if publish.to.host == device.into}
        if not gateways:
            able = [host.name for host in self.hosts if host.endpoint is not None]
            gateways = {self.hub} if self.hub not in ("", device.into) else set(able)
        return gateways.pop() if len(gateways) == 1 else ""

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The hops of every portal, in the file's order; the hub steps in where two neighbours cannot dial."""
        found: list[tuple[Portal, tuple[str, ...]]] = []
        for portal in self.portals:
            hops = [portal.source.host]
            for host in (*portal.via, portal.exit):
                relay = self.next_hop(hops[-1], host)
                hops += [relay, host] if relay is not None and relay != host else [host]
            found.append((portal, tuple(hops)))
        chains_begin = {way[:2] for _, way in found if len(way) > 2}
        return tuple(Way(portal, way, way[:2] in chains_begin) for portal, way in found)

    @cached_property
    def ways_by_host(self) -> dict[str, tuple[tuple[Way, int], ...]]:
        """For each host the ways it is on, and at which hop (0 is the entry)."""
        found: dict[str, list[tuple[Way, int]]] = {}
        for way in self.ways:
            for at, host in enumerate(way.hops):
                found.setdefault(host, []).append((way, at))
        return {host: tuple(on) for host, on in found.items()}
