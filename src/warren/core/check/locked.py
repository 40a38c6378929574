"""The lock beside the file: is it there, and does it hold just what the file asks for?"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.allot import Full, allot
from warren.core.check.subject import Subject, finding, several
from warren.core.delegates import whole_prefix
from warren.model.diagnostic import Diagnostic
from warren.model.lock import HostLock, Lock


def locked(subject: Subject, lock: Lock | None) -> Iterator[Diagnostic]:
    """Find a lock that is missing or out of date; the network itself has no errors by then."""
    where = subject.spots(None, "network")
    remedy = f"Run `warren lock {subject.network.file}` and commit the lock; what is allotted and needed does not move."
    try:
        wanted = allot(subject.network, lock or Lock())
    except Full as full:
        yield finding("W053", where, f"There are no more {full}.", "Write a shorter prefix length in `overlay:`.")
        return
    yield from _unseen(subject, wanted)
    if lock is None:
        hosts = several([host.name for host in wanted.hosts])
        yield finding("W100", where, f"There is no lock: addresses and ports of {hosts} are not settled yet.", remedy)
    elif lock != wanted:
        yield finding("W101", where, f"The lock is out of date: {_difference(lock, wanted)}.", remedy)


def _unseen(subject: Subject, wanted: Lock) -> Iterator[Diagnostic]:
    """Delegates that follow a device have a prefix only once somebody has looked there."""
    for delegate in subject.network.delegates:
        if not delegate.follow:
            continue
        where = subject.spots(delegate.at, "follow")
        look = f"Run `warren lock {subject.network.file} --host {delegate.source}` on `{delegate.source}`"
        whole = whole_prefix(delegate, wanted)
        if whole is None:
            says = f"Which prefix `{delegate.follow}` of `{delegate.source}` has is not known yet."
            yield finding("W139", where, says, f"{look}, and commit the lock.")
            continue
        have = {held.lan for held in wanted.by_name[delegate.to].delegated if held.source == delegate.source}
        without = [f"{delegate.to}.{lan}" for lan in delegate.lans if lan not in have]
        if without:
            says = f"`{delegate.follow}` of `{delegate.source}` has `{whole}`, with no /64 for {several(without)}."
            yield finding("W139", where, says, f"Ask the provider for a shorter prefix. {look} when it has changed.")


def _difference(lock: Lock, wanted: Lock) -> str:
    """Say in what a lock falls short, the most telling first."""
    new = [host.name for host in wanted.hosts if host.name not in lock.by_name]
    new += [guest.name for guest in wanted.guests if guest.name not in lock.guest_by_name]
    gone = [host.name for host in lock.hosts if host.name not in wanted.by_name]
    gone += [guest.name for guest in lock.guests if guest.name not in wanted.guest_by_name]
    changed = [host.name for host in wanted.hosts if host.name in lock.by_name and lock.by_name[host.name] != host]
    moved = [guest.name for guest in wanted.guests if guest.name not in new and guest not in lock.guests]
    parts = []
    if new:
        parts.append(f"it does not have {several(new)} yet")
    if gone:
        parts.append(f"it still has {several(gone)}")
    if changed and len(changed) <= 2:
        parts += [_of_host(lock.by_name[name], wanted.by_name[name]) for name in changed]
    elif changed:
        parts.append(f"{several(changed)} need something else than it holds")
    if moved:
        parts.append(f"{several(moved)} need{'s' if len(moved) == 1 else ''} other addresses than it has there")
    return ", and ".join(parts) or "its entries are in another order"


def _towards(peer: str) -> str:
    """Say whom a tunnel device is kept for."""
    _, guests, dialled = peer.partition(":")
    if guests:
        return f"for the devices that dial `{dialled}` "
    return f"towards `{peer}` " if peer else ""


def _of_host(held: HostLock, wanted: HostLock) -> str:
    old, new = ({device.peer: device for device in lock.devices} for lock in (held, wanted))
    for peer, device in new.items():
        towards = _towards(peer)
        if peer not in old:
            return f"`{wanted.name}` needs a device {towards}of its own"
        if old[peer].port != device.port:
            return f"`{wanted.name}` listens {towards}on port {device.port} and not {old[peer].port}"
        if old[peer].name != device.name:
            return f"the device `{old[peer].name}` of `{wanted.name}` has to be called `{device.name}`"
    if old.keys() != new.keys():
        gone = sorted(old.keys() - new.keys())
        kept_for = f"towards {several(gone)}" if len(gone) > 1 else _towards(gone[0]).rstrip()
        return f"`{wanted.name}` no longer needs a device {kept_for}"
    if held.addresses != wanted.addresses:
        return f"`{wanted.name}` needs other addresses than it has there"
    if held.maps != wanted.maps:
        return _of_maps(held, wanted)
    if held.delegated != wanted.delegated:
        return f"the LANs of `{wanted.name}` have other delegated prefixes"
    if held.followed != wanted.followed:
        return f"no delegate follows a device of `{wanted.name}` that it holds a prefix of"
    return f"the chains that begin at `{wanted.name}` are others"


def _of_maps(held: HostLock, wanted: HostLock) -> str:
    old, new = ({one.lan: one.prefixes for one in lock.maps} for lock in (held, wanted))
    for lan in sorted(old.keys() | new.keys()):
        name = f"`{wanted.name}.{lan}`"
        if lan not in old:
            return f"{name} needs a prefix of its own"
        if lan not in new:
            return f"{name} no longer needs a prefix of its own"
        if old[lan] != new[lan]:
            return f"{name} needs another prefix than it has there"
    return f"the maps of `{wanted.name}` are in another order"
