"""What warren does not own but must know of a host: observed, or a stated worst case.

Walk reads it beside the HostState; what is in here and not understood is carried as text, and a walk that
meets it answers `unknown`, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from warren.model.prefix import Address, Family, Interface, Prefix
from warren.model.state import Backend, Route, RouteKind, Rule, Sysctl


@dataclass(frozen=True, slots=True)
class Link:
    """A device that is not ours; `kind` in ip-link(8)'s words (veth, bridge, wireguard, …; empty: hardware)."""

    name: str
    mtu: int = 1500
    kind: str = ""
    up: bool = True
    mac: str = ""
    addresses: tuple[Interface, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignChain:
    """A base chain of somebody else's nft or iptables-nft table.

    `rules` is how many rules it holds. An empty chain with policy accept is harmless; one with policy drop or
    with rules is opaque to walk unless `consented`.
    """

    family: str  # ip, ip6, inet, arp, bridge, or legacy4/legacy6 for iptables-legacy
    table: str
    name: str
    hook: str
    priority: int
    policy: str = "accept"
    rules: int = 0
    tool: str = ""  # docker, ufw, firewalld, tailscale, wg-quick, iptables or nft
    consented: bool = False  # our tagged rule is in that tool's hook


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of this host that somebody beyond the uplink may speak to; `program` is empty for the kernel's own.

    A `passing` one is a UDP client's: it has a port that the kernel chose, and is gone with the answer.
    """

    proto: str
    port: int
    program: str = ""
    passing: bool = False

    def __str__(self) -> str:
        return f"{self.proto}/{self.port}" + (f" ({self.program})" if self.program else "")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The numbers the host's register gave an owner, by what they are for.

    `tables` maps `near` and `exit:<device>` to a table; `marks` maps a purpose (`mac:<portal>`) to a mark.
    `slot` tells this owner's rules from other owners' at each step of the rule order (0…5).
    """

    tables: tuple[tuple[str, int], ...] = ()
    marks: tuple[tuple[str, int], ...] = ()
    slot: int = 0

    def table(self, purpose: str) -> int:
        """Find a table by its purpose; KeyError if none was given."""
        for name, number in self.tables:
            if name == purpose:
                return number
        raise KeyError(purpose)

    def mark(self, purpose: str) -> int:
        """Find the mark given for a purpose; KeyError if none was given."""
        for name, number in self.marks:
            if name == purpose:
                return number
        raise KeyError(purpose)


@dataclass(frozen=True)
class Surroundings:
    """One host, all that is not ours. No slots: indexes are computed once."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    chains: tuple[ForeignChain, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    backend: Backend = Backend.KERNEL
    ledger: Ledger | None = None
    secrets: tuple[tuple[str, str], ...] = ()  # path (or path#conf key) → fingerprint
    ipv6: bool = True  # false: IPv6 is disabled on this host
    read_only_sysctls: bool = False
    networkd_manages_foreign: bool = False  # systemd-networkd would delete our rules and routes
    missing_programs: tuple[str, ...] = ()  # of those warren runs, the ones that are not installed
    listeners: tuple[Listener, ...] = ()  # TCP that listens, and every UDP socket; those of lo left out
    names: tuple[tuple[str, tuple[Address, ...]], ...] = ()  # what names of gateways stand for, as far as known
    resolvers: tuple[Address, ...] = ()  # whom the host asks for names by itself, loopback addresses left out
    stated: bool = False  # a stated worst case, not observed

    @cached_property
    def link_by_name(self) -> dict[str, Link]:
        """Foreign links by name."""
        return {link.name: link for link in self.links}

    def sysctl(self, name: str, default: str = "0") -> str:
        """Read a setting by its dotted name."""
        return self._sysctls.get(name, default)

    @cached_property
    def _sysctls(self) -> dict[str, str]:
        return {setting.name: setting.value for setting in self.sysctls}

    def default_route(self, family: Family, uplink: str) -> Route | None:
        """Find the default route that leaves by the uplink."""
        for route in self.routes:
            if (
                route.prefix.version == family
                and route.prefix.prefixlen == 0
                and route.kind is RouteKind.UNICAST
                and route.device == uplink
            ):
                return route
        return None

    def on_link(self, device: str) -> tuple[Prefix, ...]:
        """Give the subnets of a foreign device's own addresses (link-local ones left out)."""
        link = self.link_by_name.get(device)
        if link is None:
            return ()
        return tuple(address.network for address in link.addresses if not address.ip.is_link_local)

    def addresses(self, device: str) -> tuple[Address, ...]:
        """Give a foreign device's own addresses (link-local ones left out)."""
        link = self.link_by_name.get(device)
        return tuple(a.ip for a in link.addresses if not a.ip.is_link_local) if link else ()
