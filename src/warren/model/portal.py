"""Which traffic leaves by whose uplink."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.model.diagnostic import Where
from warren.model.dns import Dns
from warren.model.named_set import SetUse
from warren.model.place import Place
from warren.model.prefix import FAMILIES, Address, Family, Prefix


class Nat(StrEnum):
    """How the source of portal traffic reaches its exit: decided by warren, rewritten, or kept."""

    AUTO = "auto"
    SNAT = "snat"
    ROUTED = "routed"


class IfDown(StrEnum):
    """What becomes of portal traffic while its tunnel is down."""

    BLOCK = "block"
    DIRECT = "direct"


class OtherDns(StrEnum):
    """What becomes of questions that a portal's machines put to another resolver than the network's.

    They come to the network's all the same; besides, resolvers that are asked over TLS or QUIC (port 853) are refused;
    or they are left alone.
    """

    REDIRECT = "redirect"
    REFUSE = "refuse"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Portal:
    """Traffic that comes in at `source` leaves by the uplink of `exit`, through each host of `via` in turn.

    `spare` are further exits, in the order in which they are taken while those before them are dead; `health` are
    addresses behind the exits by which that is told, of a family without one the usual ones.
    `families` are those the portal claims: where the overlay or the exit lacks one of them, its traffic is
    rejected with ICMP. A family not claimed (`family:` was written) is left as it was without the portal.
    `exceptions` are prefixes that keep leaving directly, and `excepted` countries and lists that do; with `only`,
    everything else does, and it is empty where it is not written. `delegated`: a delegate implies it, and neither end
    rewrites its source.
    `dns`: by whom the names are resolved that are asked for there; None leaves that to others. `other_dns` None: it
    was not written, and is REDIRECT where destinations are told by their names.
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
    dns: Dns | None = None
    spare: tuple[str, ...] = ()
    health: tuple[Address, ...] = ()
    other_dns: OtherDns | None = None

    @property
    def exits(self) -> tuple[str, ...]:
        """All its exits, the preferred first."""
        return (self.exit, *self.spare)

    @property
    def by_agent(self) -> bool:
        """Whether the agent chooses where it leaves: there is another way to take while an exit is dead."""
        return bool(self.spare) or self.if_down is IfDown.DIRECT

    @property
    def uses(self) -> tuple[SetUse, ...]:
        """The countries and lists that it names."""
        return (*self.excepted, *(one for one in self.only if isinstance(one, SetUse)))

    @property
    def judged_by(self) -> tuple[Prefix | SetUse, ...]:
        """What makes an address domestic for `dns`: what is written there, or what the portal excepts."""
        if self.dns is None or not self.dns.judged:
            return ()
        return self.dns.domestic_set or (*self.exceptions, *self.excepted)

    @property
    def by_marks(self) -> bool:
        """Whether some of its packets may be exempted by marks, which a lost firewall table does not lend."""
        return bool(self.excepted or self.only) or self.if_down is IfDown.DIRECT
