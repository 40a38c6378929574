"""Judge a network file that could be read: all that is wrong with it, at once.

Each check is a function from the subject to findings; CHECKS is the table of them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from warren.core.check import (
    addresses,
    delegates,
    devices,
    dialling,
    dns,
    expects,
    failover,
    hosts,
    knock,
    lab,
    lan_services,
    maps,
    portals,
    publishes,
    rendezvous,
    sets,
    sources,
)
from warren.core.check.locked import locked
from warren.core.check.subject import Check, Subject
from warren.core.diagnostics import has_errors, in_order
from warren.core.parse.spots import Spots
from warren.model.diagnostic import Diagnostic
from warren.model.lock import Lock
from warren.model.network import Network

CHECKS: tuple[Check, ...] = (
    *hosts.CHECKS,
    *dialling.CHECKS,
    *rendezvous.CHECKS,
    *knock.CHECKS,
    *devices.CHECKS,
    *addresses.CHECKS,
    *maps.CHECKS,
    *portals.CHECKS,
    *failover.CHECKS,
    *sets.CHECKS,
    *sources.CHECKS,
    *dns.CHECKS,
    *publishes.CHECKS,
    *delegates.CHECKS,
    *lan_services.CHECKS,
    *expects.CHECKS,
    *lab.CHECKS,
)
MOST = 1000  # findings of one check


def check_network(network: Network, spots: Spots | None = None) -> tuple[Diagnostic, ...]:
    """List what is wrong with a network, leaving its lock aside."""
    subject = Subject(network, spots or Spots(network.file))
    return in_order(_findings(subject))


def check_lock(network: Network, lock: Lock | None, spots: Spots | None = None) -> tuple[Diagnostic, ...]:
    """List what is wrong with the lock of a network that is without errors itself."""
    return tuple(locked(Subject(network, spots or Spots(network.file)), lock))


def check(network: Network, lock: Lock | None, spots: Spots | None = None) -> tuple[Diagnostic, ...]:
    """List all that is wrong with a network and its lock (None: there is no lock file).

    `spots` finds the places of values; without it findings point at whole entries.
    """
    found = check_network(network, spots)
    return found if has_errors(found) else in_order(found + check_lock(network, lock, spots))


def _findings(subject: Subject) -> Iterator[Diagnostic]:
    for one in CHECKS:
        yield from islice(one(subject), MOST)
