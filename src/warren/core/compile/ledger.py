"""Numbers of the ledger: which tables and marks a network needs on a host, and the order of its rules.

The host's register (`sys.register`) hands the numbers out; offline a sequential ledger stands in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from warren.core.compile.portals import dedicated_peers, identity, ways_from, ways_of
from warren.core.compile.publishes import kept_gateways
from warren.core.delegates import grant
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import PlaceKind
from warren.model.state import MARKS, OWNER_SLOTS, PRIORITIES, TABLES
from warren.model.surroundings import Ledger


class Step(IntEnum):
    """The order in which a packet meets our rules; every owner has one priority at each step.

    A packet of ours that carries a mark is settled by OUTER … MARKED; one that carries none by where it came in.
    The more specific source stands before the wider one, and each one's exceptions before it.
    """

    OUTER = 0  # WireGuard's own packets: table main
    OWN_LANS = 1  # the host's own LANs: table main, but never a default in disguise
    NEAR = 2  # the network's other prefixes: the near table
    UPLINK = 3  # marked as come in by the uplink: table main
    MARKS = 4  # marked for an exit, or as an answer by a gateway: its table
    MARKED = 5  # any mark of ours that found no route: unreachable
    RELAY = 6  # a chain passing through
    EXIT = 7  # what we are exit for: table main
    ADDRESS_EXCEPT = 8
    ADDRESS = 9  # portals of one address
    PREFIX_EXCEPT = 10
    PREFIX = 11  # portals of a part of a LAN
    LAN_EXCEPT = 12
    LAN = 13  # portals of a LAN
    OWN_EXCEPT = 14
    OWN = 15  # the host's own traffic

    def priority(self, slot: int) -> int:
        """Give the rule priority of this step for the owner in `slot`."""
        return PRIORITIES.start + self * len(OWNER_SLOTS) + slot


@dataclass(frozen=True, slots=True)
class LedgerNeeds:
    """Purposes for which a network needs a routing table or a packet mark on one host."""

    tables: tuple[str, ...]
    marks: tuple[str, ...]


def ledger_needs(network: Network, lock: Lock, host: str) -> LedgerNeeds:
    """List what a network needs of the host's ledger, in an order that only additions lengthen."""
    network = grant(network, lock)
    locked = lock.by_name[host]
    exits = tuple(exit_table(locked.device(peer).name) for peer in dedicated_peers(network, host))
    chosen = [way.portal for way in ways_from(network, host) if way.portal.by_agent]
    live = tuple(dict.fromkeys(live_table(identity(portal)) for portal in chosen))
    devices = (locked.device(way.hops[1]).name for portal in chosen for way in ways_of(network, portal))
    pinned = tuple(dict.fromkeys(exit_mark(device) for device in devices))
    macs = tuple(
        mac_mark(identity(way.portal)) for way in ways_from(network, host) if way.portal.source.kind is PlaceKind.MAC
    )
    gateways = tuple(gateway_mark(gateway) for gateway in kept_gateways(network, host))
    return LedgerNeeds(tables=("near", *exits, *live), marks=macs + gateways + pinned)


def exit_table(device: str) -> str:
    """Name the purpose of a device's exit table."""
    return f"exit:{device}"


def live_table(portal: str) -> str:
    """Name the purpose of the table of a portal whose exit the agent chooses."""
    return f"live:{portal}"


def exit_mark(device: str) -> str:
    """Name the purpose of the mark of connections that stay with the exit they began by."""
    return f"exit:{device}"


def mac_mark(portal: str) -> str:
    """Name the purpose of a MAC portal's mark."""
    return f"mac:{portal}"


def gateway_mark(gateway: str) -> str:
    """Name the purpose of the mark of what came in from a gateway, by which it is answered."""
    return f"gateway:{gateway}"


def sequential_ledger(needs: LedgerNeeds) -> Ledger:
    """Hand numbers out as an empty host would; ValueError if the ledger is too small."""
    if len(needs.tables) > len(TABLES) or len(needs.marks) > len(MARKS):
        raise ValueError(
            f"one host has {len(TABLES)} routing tables and {len(MARKS)} marks, "
            f"but {len(needs.tables)} and {len(needs.marks)} are needed"
        )
    return Ledger(
        tables=tuple(zip(needs.tables, TABLES, strict=False)),
        marks=tuple(zip(needs.marks, MARKS, strict=False)),
    )
