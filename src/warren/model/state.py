"""HostState: the one value everything shares. What a host should be, or what it is.

`compile` says what it should be, `observe` what it is, `diff` what to do, `walk` what a packet would meet in
it, `render` how it looks to another tool. Tuples are sorted by their makers, so equal states are equal values.

Each field is *declared* (diffed), *learned* (set when made, then left to its owner) or *live* (never touched).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.choice import Choice
from warren.model.endpoint import Endpoint
from warren.model.firewall import Table
from warren.model.key import PublicKey, SecretRef
from warren.model.knock import Knock
from warren.model.named_set import NameSets
from warren.model.prefix import Address, Family, Interface, Prefix

# The ledger (blueprint section 3): what a network's owner may use.
MARK_MASK = 0x3F000000
OUTER_MARK = 0x3F000000  # WireGuard's own outer packets, in both directions
UPLINK_MARK = 0x3E000000  # must leave by the uplink, or came in by it
PORTAL_MARK = 0x3D000000  # of connections only: a portal's flow
PROTOCOL = 77  # of our routes and rules
TABLES = range(7700, 7800)
PRIORITIES = range(7700, 7800)
FRONT_PRIORITIES = range(7600, 7700)
FRONT = PRIORITIES.start - FRONT_PRIORITIES.start
MAIN = 254  # the kernel's table main


MARKS = tuple(index << 24 for index in range(1, 61))  # the marks that send a packet to an exit table
OWNER_SLOTS = range(6)  # owners a host can have at once: each has a rule of its own at every step


class Backend(StrEnum):
    """What carries WireGuard on the host. wireguard-go sets DF on outer packets, the kernel does not."""

    KERNEL = "kernel"
    USERSPACE = "userspace"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of a WireGuard device.

    `endpoint` is learned: set when the peer is made, or when the declared value itself changes. `psk` is where
    the key lies; `psk_fingerprint` compares it (empty: none). `keepalive` in seconds, 0 is off. `name` is for
    people. `allowed_ips` is sorted.
    """

    public_key: PublicKey
    allowed_ips: tuple[Prefix, ...]
    endpoint: Endpoint | None = None
    keepalive: int = 0
    psk: SecretRef | None = None
    psk_fingerprint: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class WgInterface:
    """One WireGuard device with its addresses; all declared.

    `public_key` is that of the private key in `private_key`. `listen_port` 0 lets the kernel choose. An observed
    `mtu` of 0 stands for a device that is down.
    """

    name: str
    public_key: PublicKey
    private_key: SecretRef
    listen_port: int
    fwmark: int
    mtu: int
    addresses: tuple[Interface, ...]
    peers: tuple[Peer, ...]

    def peer(self, key: PublicKey) -> Peer:
        """Find a peer by its key; KeyError if there is none."""
        for peer in self.peers:
            if peer.public_key == key:
                return peer
        raise KeyError(key)


class RouteKind(StrEnum):
    """Route types of ip-route(8) that warren uses or meets."""

    UNICAST = "unicast"
    UNREACHABLE = "unreachable"
    BLACKHOLE = "blackhole"
    PROHIBIT = "prohibit"
    THROW = "throw"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"


@dataclass(frozen=True, slots=True)
class Route:
    """A route; ours carry `protocol` 77. Metric 0 stands for the family's default (IPv6: 1024)."""

    prefix: Prefix
    table: int
    device: str = ""
    kind: RouteKind = RouteKind.UNICAST
    via: Address | None = None
    source: Address | None = None
    metric: int = 0
    mtu: int = 0
    protocol: int | str = PROTOCOL


# The metric of an `unreachable` that stands behind a device's route.
BEHIND = 4294967295


class Action(StrEnum):
    """What a rule that matches does."""

    LOOKUP = "lookup"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy routing rule (ip-rule(8)) of one family; unset selectors match everything.

    `mark` matches under `mark_mask` (0: unset); `invert` is `not`. `iif` is a device name; `lo` means locally made
    packets. `suppress_prefixlength` -1 is unset: a looked-up route no longer than it is passed over.
    """

    family: Family
    priority: int
    table: int = 0
    action: Action = Action.LOOKUP
    iif: str = ""
    oif: str = ""
    source: Prefix | None = None
    destination: Prefix | None = None
    mark: int = 0
    mark_mask: int = 0
    invert: bool = False
    suppress_prefixlength: int = -1
    ipproto: str = ""
    sport: int = 0
    dport: int = 0
    protocol: int | str = PROTOCOL
    opaque: str = ""  # foreign rules only: a selector warren does not understand, in ip's words


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting by its dotted name with `/` for dots inside a device's name; `why` is for people.

    A declared sysctl is a floor, not a claim on the file: what it was is remembered and put back on `down`.
    """

    name: str
    value: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """One tagged rule at a foreign firewall's own hook that the owner consented to (`firewall:`).

    `tool` is docker, ufw or firewalld; `direction` is forward-in (from our device), forward-out, input.
    """

    tool: str
    family: Family
    direction: str
    device: str = ""
    udp_port: int = 0


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """What a conf's `DNS =` asks of resolvconf or systemd-resolved for its device."""

    device: str
    servers: tuple[Address, ...]
    search: tuple[str, ...]


class LinkKind(StrEnum):
    """What warren does with a LAN's device: it only brings it up, or it makes it."""

    RAISED = "raised"
    BRIDGE = "bridge"
    VLAN = "vlan"


@dataclass(frozen=True, slots=True)
class LanLink:
    """A device of a LAN's that warren brings up, or makes: VLAN `id` of `of`, or a bridge of `ports` (sorted)."""

    name: str
    kind: LinkKind
    of: str = ""
    id: int = 0
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LanAddress:
    """An address of warren's on a LAN: a router's, of a LAN that it serves or of a prefix delegated to one."""

    device: str
    address: Interface


class Program(StrEnum):
    """The programs that warren has run for a network, each with a configuration it makes."""

    DNSMASQ = "dnsmasq"
    NDPPD = "ndppd"
    KEA = "kea-dhcp6"
    RESOLVER = "warren-dns"
    SHELL = "sh"
    HOSTAPD = "hostapd"
    AVAHI = "avahi-daemon"


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs on the host as long as the network is applied there, with a generated configuration.

    `config` is declared: a service whose text differs is started anew. `live` is learned: a second text, which
    `config` includes as `@live@`, written when the service is made and then left to the agent. `announces` and
    `answers` say what the texts mean to a packet: prefixes that routers' advertisements tell of, and prefixes whose
    addresses neighbour discovery is answered for. Below `routes` it makes routes of its own in table main, which go
    with it. `secret` is put where the text has `@secret:0@`. `why` is for people.
    """

    name: str
    program: Program
    config: str
    live: str = ""
    announces: tuple[Prefix, ...] = ()
    answers: tuple[Prefix, ...] = ()
    routes: tuple[Prefix, ...] = ()
    why: str = ""
    secret: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class ForgetFlows:
    """Conntrack entries that a change of path must end: original-direction selectors, conntrack(8)'s words.

    `destination` narrows them (None: to anywhere). `except_mark` keeps the flows whose connection mark under MARK_MASK
    has that value (the operator's).
    """

    source: Prefix
    reason: str
    except_mark: int = UPLINK_MARK
    destination: Prefix | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """A conf's hook commands (wg-quick(8)); run by bash, `%i` replaced. Empty for networks."""

    pre_up: tuple[str, ...] = ()
    post_up: tuple[str, ...] = ()
    pre_down: tuple[str, ...] = ()
    post_down: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostState:
    """Everything of one owner on one host. `owner` is a network's name or `conf:NAME`.

    `retired` are addresses that were ours on a LAN and are running out (preferred lifetime 0): observed and remembered,
    never asked for. `names` say which sets of `tables` are filled with the answers to which domains; they follow from
    the rest, and are not compared. Nor are
    `choices`, which say what of the rest is the agent's.
    `rendezvous` are the servers at which the agent finds peers that have no endpoint: nothing of the
    kernel's, and there for `walk` to know. So are `knock`, by which the agent opens WireGuard's ports to others, and
    `knocks`, the names of peers at which it knocks.
    """

    host: str
    owner: str
    backend: Backend = Backend.KERNEL
    interfaces: tuple[WgInterface, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    tables: tuple[Table, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    consents: tuple[ConsentRule, ...] = ()
    dns: tuple[DnsConfig, ...] = ()
    forget: tuple[ForgetFlows, ...] = ()
    hooks: Hooks = Hooks()
    lan_addresses: tuple[LanAddress, ...] = ()
    retired: tuple[LanAddress, ...] = ()
    services: tuple[Service, ...] = ()
    names: tuple[NameSets, ...] = ()
    choices: tuple[Choice, ...] = ()
    lan_links: tuple[LanLink, ...] = ()
    rendezvous: tuple[Endpoint, ...] = ()
    knock: Knock | None = None
    knocks: tuple[str, ...] = ()

    def interface(self, name: str) -> WgInterface:
        """Find one of our devices; KeyError if it is not ours."""
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        raise KeyError(name)

    @property
    def made_links(self) -> tuple[LanLink, ...]:
        """The LANs' devices that are there because warren makes them."""
        return tuple(link for link in self.lan_links if link.kind is not LinkKind.RAISED)

    @property
    def is_conf(self) -> bool:
        """Whether the owner is a single wg-quick conf, which the ledger does not bind."""
        return self.owner.startswith("conf:")

    @property
    def table_name(self) -> str:
        """The name of the owner's nft table; a device may be called `a=b`, a table of nft's may not."""
        plain = self.owner.replace(":", "-")
        return "warren-" + "".join(c if c.isalnum() or c in "-_." else f"/{ord(c):x}" for c in plain)
