"""What a conf says, as values: every key understood, nothing looked up, no secret in it."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Where
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef
from warren.model.prefix import Address, Family, Interface, Prefix
from warren.model.state import Hooks

OFF = 0  # Table = off
AUTO = -1  # Table = auto, or no such line
NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class ConfPeer:
    """One [Peer]; `allowed_ips` is sorted, free of host bits, and holds nothing that a later peer takes."""

    public_key: PublicKey
    allowed_ips: tuple[Prefix, ...] = ()
    endpoint: Endpoint | None = None
    keepalive: int = 0
    psk: SecretRef | None = None
    psk_fingerprint: str = ""
    at: Where | None = None


@dataclass(frozen=True, slots=True)
class Conf:
    """A whole conf; `name` is that of its device and `path` where the file lies.

    `listen_port` 0 lets the kernel choose; `fwmark` 0 is none; `table` is OFF, AUTO or a number. `search` are the
    words of `DNS =` that are no addresses. Without `private_key` a hook has to set one.
    """

    name: str
    path: str
    private_key: SecretRef | None = None
    listen_port: int = 0
    fwmark: int = 0
    addresses: tuple[Interface, ...] = ()
    dns: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int | None = None
    table: int = AUTO
    hooks: Hooks = NO_HOOKS
    save_config: bool = False
    peers: tuple[ConfPeer, ...] = ()

    @property
    def owner(self) -> str:
        """The owner of everything this conf makes."""
        return f"conf:{self.name}"

    @property
    def full(self) -> tuple[Family, ...]:
        """The families of which the tunnel takes everything, by wg-quick's own handling of a default route."""
        if self.table != AUTO:
            return ()
        whole = {prefix.version for peer in self.peers for prefix in peer.allowed_ips if prefix.prefixlen == 0}
        return tuple(family for family in Family if family in whole)
