"""What an agent has to see to on this host, by the file and by what was applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warren.core.compile.delegates import ANNOUNCER
from warren.core.delegates import watched
from warren.core.dialled import named_peers
from warren.daemon.duty import Duties
from warren.daemon.knocking import door_of, knocks_of
from warren.daemon.meeting import meetings_of
from warren.daemon.redial import Named
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.sys import journal
from warren.sys.errors import HostError
from warren.sys.feeds import feeds_of
from warren.sys.journal import Source
from warren.sys.machine import Machine


def duties_here(network: Network, lock: Lock, host: str, machine: Machine) -> Duties:
    """Work out the duties; HostError if the network is not applied on this host."""
    held = journal.load(machine.store, network.name)
    applied = held.applied
    if applied is None or not applied.interfaces:
        raise HostError(
            f"the network {network.name} is not applied here, so there is nothing to see to",
            f"Run `warren apply {network.file} --host {host}` first.",
        )
    announcer = next((service for service in applied.services if service.name == ANNOUNCER), None)
    return Duties(
        network=network.name,
        uplink=network.by_name[host].uplink,
        devices=tuple(interface.name for interface in applied.interfaces),
        watched=watched(lock, host),
        directory=machine.services,
        live=announcer.live if announcer is not None else "",
        followed=lock.by_name[host].followed,
        fed=bool(feeds_of(applied)),
        choices=applied.choices,
        table=applied.table_name,
        named=tuple(_named(held.asked or applied, lock)),
        meetings=meetings_of(network, host, applied, machine.store),
        run=str(machine.store.run),
        door=door_of(network.name, applied),
        knocks=knocks_of(network.name, applied),
    )


def _named(asked: HostState, lock: Lock) -> Iterator[Named]:
    """List the peers that are dialled by a name, also those whose name stood for nothing when they were made."""
    for device, peer, endpoint in named_peers(asked):
        far = lock.by_name.get(peer.name)
        address = far.addresses[0] if far is not None and far.addresses else None
        yield Named(device, peer.public_key, peer.name or peer.public_key, endpoint, address)


def applied_source(network: str, machine: Machine) -> tuple[Source, str] | None:
    """Give what an applied network was compiled from, and which of its hosts this is; None if it is not applied here.

    HostError where a warren applied it that did not keep that yet.
    """
    held = journal.load(machine.store, network)
    if held.applied is None or not held.applied.interfaces:
        return None
    if held.source is None:
        raise HostError(
            f"the file that {network} was applied from was not kept", f"Run `warren apply {held.file or 'FILE'}` again."
        )
    return held.source, held.applied.host


def when_applied(network: str, machine: Machine, wait: Callable[[float], None]) -> tuple[Source, str]:
    """Wait until a network is applied here, as at a boot; `wait` sleeps for so many seconds."""
    while True:
        found = applied_source(network, machine)
        if found is not None:
            return found
        seen = journal.stamp(machine.store, network)
        while journal.stamp(machine.store, network) == seen:
            wait(1.0)


def after_each_apply(read: Callable[[], Duties], network: str, machine: Machine) -> Callable[[], Duties | None]:
    """Give what says the duties once after each change of the journal, and None for as long as that stays the same.

    The first time is as if there had been one: something may have been applied since somebody read them.
    """
    known: tuple[int, int] | None = None

    def again() -> Duties | None:
        nonlocal known
        stamp = journal.stamp(machine.store, network)
        if stamp == known:
            return None
        known = stamp
        return read()

    return again
