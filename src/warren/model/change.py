"""What has to be done to a host: typed changes, each with its reason, in the order in which they are safe.

`core.diff` makes a Plan of them, `core.render.commands` turns them into the very commands that `sys.apply`
runs and `plan --script` prints, and people read them with runes: `+` made, `~` altered, `-` taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.firewall import Table
from warren.model.key import SecretRef
from warren.model.prefix import Interface
from warren.model.state import (
    Backend,
    ConsentRule,
    DnsConfig,
    ForgetFlows,
    LanLink,
    Peer,
    Route,
    Rule,
    Service,
    WgInterface,
)


@dataclass(frozen=True, slots=True)
class AddLink:
    """Make a WireGuard device with key, port and mark; its peers and addresses are changes of their own."""

    interface: WgInterface
    backend: Backend


@dataclass(frozen=True, slots=True)
class DropLink:
    """Remove one of our devices."""

    name: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class SetLink:
    """Alter MTU, mark, port or key of a living device; never rebuild it (blueprint section 3).

    An observed MTU of 0 stands for a device that is down: setting the MTU also brings it up.
    """

    before: WgInterface
    after: WgInterface


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Give a device an address."""

    device: str
    address: Interface


@dataclass(frozen=True, slots=True)
class DropAddress:
    """Take an address from a device."""

    device: str
    address: Interface


@dataclass(frozen=True, slots=True)
class RetireAddress:
    """Let an address of ours on a LAN run out: nobody begins a flow from its prefix any more, and it goes by itself."""

    device: str
    address: Interface


@dataclass(frozen=True, slots=True)
class PutLanLink:
    """Make or bring up a device of a LAN's, or alter a bridge's ports (`before` set)."""

    link: LanLink
    before: LanLink | None = None


@dataclass(frozen=True, slots=True)
class DropLanLink:
    """Remove a device that we made for a LAN, or let one down again that we brought up."""

    link: LanLink


@dataclass(frozen=True, slots=True)
class PutService:
    """Start a service, or start it anew with another configuration (`before` set)."""

    service: Service
    before: Service | None = None


@dataclass(frozen=True, slots=True)
class DropService:
    """Stop a service and take its files away."""

    service: Service


@dataclass(frozen=True, slots=True)
class PutPeer:
    """Make a peer, or alter it in place (`before` set): other peers, sessions and counters stay."""

    device: str
    peer: Peer
    before: Peer | None = None


@dataclass(frozen=True, slots=True)
class DropPeer:
    """Remove a peer from a device."""

    device: str
    peer: Peer


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Make a route; `replaces` is ours with the same prefix, table and metric, exchanged without a gap."""

    route: Route
    replaces: Route | None = None


@dataclass(frozen=True, slots=True)
class DropRoute:
    """Remove a route of ours."""

    route: Route


@dataclass(frozen=True, slots=True)
class AddRule:
    """Make a policy rule."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class DropRule:
    """Remove a policy rule of ours."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class PutTable:
    """Install an nft table, or replace its chains in one transaction; live sets keep their elements."""

    table: Table
    before: Table | None = None


@dataclass(frozen=True, slots=True)
class PutElements:
    """Alter what sets of an nft table hold in one transaction: what stays in a set is not touched, nor is a chain."""

    table: Table
    before: Table


@dataclass(frozen=True, slots=True)
class DropTable:
    """Remove an nft table of ours."""

    table: Table


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Write a kernel setting. `before` is what it is now; restoring is the same change the other way."""

    name: str
    value: str
    before: str


@dataclass(frozen=True, slots=True)
class AddConsent:
    """Add the one tagged rule at a foreign firewall's hook that the owner consented to."""

    rule: ConsentRule


@dataclass(frozen=True, slots=True)
class DropConsent:
    """Remove that rule again."""

    rule: ConsentRule


@dataclass(frozen=True, slots=True)
class SetDns:
    """Hand a device's resolvers to resolvconf or systemd-resolved."""

    config: DnsConfig


@dataclass(frozen=True, slots=True)
class DropDns:
    """Take them back."""

    config: DnsConfig


@dataclass(frozen=True, slots=True)
class Forget:
    """End the conntrack entries of flows whose path changes."""

    flows: ForgetFlows


@dataclass(frozen=True, slots=True)
class RunHook:
    """Run a conf's hook command; `stage` is PreUp, PostUp, PreDown or PostDown."""

    stage: str
    command: str
    device: str


Change = (
    AddLink
    | DropLink
    | SetLink
    | AddAddress
    | DropAddress
    | RetireAddress
    | PutLanLink
    | DropLanLink
    | PutService
    | DropService
    | PutPeer
    | DropPeer
    | AddRoute
    | DropRoute
    | AddRule
    | DropRule
    | PutTable
    | PutElements
    | DropTable
    | SetSysctl
    | AddConsent
    | DropConsent
    | SetDns
    | DropDns
    | Forget
    | RunHook
)


class Rune(StrEnum):
    """How a change reads at a glance."""

    ADD = "+"
    ALTER = "~"
    DROP = "-"


@dataclass(frozen=True, slots=True)
class Item:
    """A change and why it is made."""

    change: Change
    rune: Rune
    reason: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something foreign on the host that would keep our packets from passing, with the exact remedy.

    `blocks` is False for what only might matter; `command` is what the owner can run, if one is known.
    """

    what: str
    remedy: str
    command: str = ""
    blocks: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything `apply` would do on one host, in order.

    `stays` are the ports that a gateway keeps to itself, with who listens there.
    """

    host: str
    owner: str
    items: tuple[Item, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    stays: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass(frozen=True, slots=True)
class Command:
    """One process to run: a batch, never one per route.

    `secrets` are read by the runner and replace `@secret:0@`, `@secret:1@`, … in `stdin`; they appear nowhere
    else. `says` is the line people read while it runs. `fine` are the exit statuses that are no failure
    (conntrack says 1 when there was nothing to delete). `until` is run again and again, bounded, until it
    succeeds, before the next command (wireguard-go answers a moment after it started). `if_missing` says what is
    lost where the program is not installed; empty: then it is an error. `hook` is the stage of a conf's hook, which
    is given the caller's terminal and environment, and all the time it wants.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    secrets: tuple[SecretRef, ...] = ()
    says: str = ""
    fine: tuple[int, ...] = (0,)
    until: tuple[str, ...] = ()
    if_missing: str = ""
    hook: str = ""
