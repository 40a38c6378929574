"""The network that confs add up to, as far as they say, with what had to be guessed beside it.

`core.imports.hosts`, `core.imports.guests` and `core.imports.ways` make it, `core.imports.write` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from warren.core.imports.parties import Party
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef
from warren.model.prefix import Address, Family, Interface, Prefix
from warren.model.publish import PortRange

FOLDER = "/etc/warren"
PRIVATE_KEY = f"{FOLDER}/private.key"


@dataclass(frozen=True, slots=True)
class Guess:
    """A value that no conf says: whose, which (`uplink`, `lan0`, `endpoint` …), and what was written."""

    host: str
    what: str
    value: str


@dataclass
class HostDraft:
    """A host to be written; `device` is what its conf calls its tunnel (empty: it has none)."""

    party: Party
    addresses: tuple[Address, ...]
    device: str = ""
    endpoint: Endpoint | None = None
    port: int | None = None
    mtu: int | None = None
    uplink: str = ""
    lan: str = ""
    lans: tuple[Interface, ...] = ()
    psk: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return self.party.name


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    """A stock app whose tunnel ends at the network's only host; `reach` are names."""

    party: Party
    addresses: tuple[Address, ...]
    into: str
    reach: tuple[str, ...]
    full_tunnel: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.party.name


@dataclass(frozen=True, slots=True)
class PortalDraft:
    """Everything (but for exceptions) that comes from a host, or from its LAN, leaves at another."""

    source: str
    exit: str
    families: tuple[Family, ...]
    exceptions: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class PublishDraft:
    """Ports of a gateway's public address lead to a place; no ports: all of them."""

    gateway: str
    to: str
    ports: tuple[PortRange, ...]
    exceptions: tuple[PortRange, ...]
    kept: bool


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that a conf holds, and the hosts that need it: one for a private key, both ends for a preshared one."""

    hosts: tuple[str, ...]
    lies: SecretRef

    @property
    def private(self) -> bool:
        """Whether it is a host's private key."""
        return len(self.hosts) == 1


@dataclass
class Draft:
    """All of it."""

    name: str
    overlay: tuple[Prefix, ...]
    hosts: list[HostDraft]
    hub: str = ""
    devices: list[DeviceDraft] = field(default_factory=list)
    portals: list[PortalDraft] = field(default_factory=list)
    publishes: list[PublishDraft] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)

    def names(self) -> dict[PublicKey, str]:
        """Name everybody by key, hosts and devices."""
        everybody = [one.party for one in self.hosts] + [one.party for one in self.devices]
        return {party.key: party.name for party in everybody}

    def file_of(self, secret: Secret) -> str:
        """Name the file that a key is written to: `firm.home.office.psk`, `firm.home.key`."""
        return f"{self.name}.{'.'.join(secret.hosts)}.{'key' if secret.private else 'psk'}"

    def installed(self, secret: Secret) -> str:
        """Name the file in which the hosts that need a key look for it."""
        return PRIVATE_KEY if secret.private else f"{FOLDER}/{self.file_of(secret)}"

    def psk_path(self, one: str, other: str) -> str:
        """Name the file on a host that holds the preshared key of two."""
        return next(self.installed(secret) for secret in self.secrets if set(secret.hosts) == {one, other})

    def guessed(self, host: str) -> tuple[Guess, ...]:
        """List what was guessed of a host."""
        return tuple(guess for guess in self.guesses if guess.host == host)
