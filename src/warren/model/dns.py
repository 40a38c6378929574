"""Who answers the names that a portal's machines ask for, and by which way they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.named_set import SetUse
from warren.model.prefix import Address, Prefix


class Transport(StrEnum):
    """How a resolver is spoken to; the values are the schemes by which it is written."""

    PLAIN = "dns"  # UDP, and TCP for what does not fit (RFC 1035, RFC 7766)
    TLS = "tls"  # RFC 7858
    HTTPS = "https"  # RFC 8484


PORTS = {Transport.PLAIN: 53, Transport.TLS: 853, Transport.HTTPS: 443}
DOH_PATH = "/dns-query"


@dataclass(frozen=True, slots=True)
class Resolver:
    """A resolver out there. `name` is what its certificate must be for (empty: its address)."""

    address: Address
    transport: Transport = Transport.PLAIN
    port: int = 53
    name: str = ""
    path: str = DOH_PATH

    def __str__(self) -> str:
        if self.transport is Transport.PLAIN:
            return str(self.address) if self.port == 53 else f"{self._host}:{self.port}"
        port = "" if self.port == PORTS[self.transport] else f":{self.port}"
        path = self.path if self.transport is Transport.HTTPS else ""
        return f"{self.transport}://{self._host}{port}{path}{'#' if self.name else ''}{self.name}"

    @property
    def _host(self) -> str:
        return f"[{self.address}]" if self.address.version == 6 else str(self.address)


class Privacy(StrEnum):
    """Who sees a name of which nobody knows where it belongs.

    `strict`: the trusted side alone, until it has itself given a domestic address for it. `fast`: both at once.
    """

    STRICT = "strict"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Dns:
    """`dns:` of a portal: how names are resolved for whoever enters there.

    `at_exit`: the exit's own resolver is the trusted one. Where there are `domestic` resolvers, answers are judged: one
    of theirs counts if its addresses are in `domestic_set` (empty: what the portal excepts). Names of `domestic_names`
    and all below them are asked of the domestic ones alone, those of `trusted_names` of the trusted ones;
    `list:NAME` among them stands for a list of names.
    """

    trusted: tuple[Resolver, ...] = ()
    at_exit: bool = False
    domestic: tuple[Resolver, ...] = ()
    domestic_set: tuple[Prefix | SetUse, ...] = ()
    domestic_names: tuple[str, ...] = ()
    trusted_names: tuple[str, ...] = ()
    privacy: Privacy = Privacy.STRICT
    at: Where | None = None

    @property
    def judged(self) -> bool:
        """Whether there are two sides, of which one has to be believed."""
        return bool(self.domestic)

    @property
    def sealed(self) -> bool:
        """Whether some resolver speaks what dnsmasq does not."""
        return any(one.transport is not Transport.PLAIN for one in (*self.trusted, *self.domestic))

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists of names that stand for names of either side."""
        return tuple(name for name in (*self.domestic_names, *self.trusted_names) if ":" in name)

    @property
    def resolvers(self) -> tuple[Resolver, ...]:
        """All that stand written there."""
        return (*self.domestic, *self.trusted)
