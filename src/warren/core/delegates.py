"""`delegate:` worked out: which /64 each LAN has, and what that makes of the network.

    delegate: {prefix: 2001:db8:77:100::/60, from: r2, to: r1, lans: [br-lan]}

    lock       hosts.r1.delegated: br-lan has 2001:db8:77:100::/64 of r2's          (`allot_subnets`)
    network    r1 has 2001:db8:77:100::1 on br-lan, and what comes in there from that /64 leaves by r2's uplink with
               its own source: a portal that nobody has to write                     (`grant`)

Everything after this knows LANs and portals only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv6Network, ip_interface

from warren.model.delegate import Delegate
from warren.model.host import Host, Lan
from warren.model.lock import DelegatedLock, FollowedLock, HostLock, Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Nat, Portal
from warren.model.prefix import Address, Family, Interface, Prefix, covers

GLOBAL = IPv6Network("2000::/3")  # what the internet routes (RFC 4291 section 2.4); 2001:db8::/32 is for trying things
SUBNET = 64  # RFC 4862: stateless address configuration needs an interface identifier of 64 bits
ROUTER = 1  # the last number of our address on a delegated LAN
# Where the prefix is a link's, ::1 is often its gateway's. Nobody numbers machines like this (77 is our protocol).
PROXIED_ROUTER = 0x7700_0000_0000_0077


def grant(network: Network, lock: Lock) -> Network:
    """Give LANs the addresses of their delegated prefixes, and delegates their portals, as far as the lock has them.

    Granting twice is granting once, also with another lock.
    """
    if not network.delegates:
        return network
    hosts = tuple(_granted_host(network, host, lock) for host in network.hosts)
    written = tuple(portal for portal in network.portals if not portal.delegated)
    implied = tuple(
        _portal(delegate, held)
        for delegate in network.delegates
        for held in _held(delegate, lock)
        if _sound(network, delegate, held.lan)
    )
    implied += tuple(
        _portal(delegate, DelegatedLock(delegate.lans[0], delegate.source, pool))
        for delegate in network.delegates
        if (pool := pool_of(delegate, lock)) is not None and _sound(network, delegate, delegate.lans[0])
    )
    return replace(network, hosts=hosts, portals=written + implied)


@dataclass(frozen=True, slots=True)
class Watched:
    """A tunnel by which LANs of a host have their way out: while `address` answers through `device`, it is one."""

    peer: str
    device: str
    address: Address
    lans: tuple[str, ...]


def watched(lock: Lock, host: str) -> tuple[Watched, ...]:
    """List the tunnels that the delegates of a host depend on, by peer."""
    lans: dict[str, dict[str, None]] = {}
    for held in lock.by_name[host].delegated:
        lans.setdefault(held.source, {})[held.lan] = None
    found = []
    for peer in sorted(lans):
        address = lock.by_name[peer].address(Family.IPV6)
        if address is not None:
            found.append(Watched(peer, lock.by_name[host].device(peer).name, address, tuple(lans[peer])))
    return tuple(found)


def whole_prefix(delegate: Delegate, lock: Lock) -> Prefix | None:
    """Give what is delegated: the prefix that was written, or the one that the followed device was seen to have."""
    if delegate.prefix is not None:
        return delegate.prefix
    source = lock.by_name.get(delegate.source)
    return source.follows(delegate.follow) if source is not None else None


def pool_of(delegate: Delegate, lock: Lock) -> Prefix | None:
    """Give what of a delegated prefix routers on the first LAN may ask for: its upper half; None if they may not."""
    whole = whole_prefix(delegate, lock)
    if whole is None or not delegate.lans or not whole.prefixlen < delegate.downstream <= SUBNET:
        return None
    return _halves(whole)[1]


def _halves(whole: Prefix) -> tuple[Prefix, Prefix]:
    lower, upper = whole.subnets(prefixlen_diff=1)
    return lower, upper


def follow(network: Network, lock: Lock, host: str, seen: dict[str, Prefix]) -> Lock:
    """Note what the devices of a host were seen to have, as far as a delegate follows them."""
    followed = {one.follow for one in network.delegates if one.source == host and one.follow}
    held = {one.device: one.prefix for one in lock.by_name.get(host, HostLock(host, (), ())).followed}
    held |= {device: prefix for device, prefix in seen.items() if device in followed}
    entries = tuple(FollowedLock(device, held[device]) for device in sorted(held))
    known = lock.by_name.get(host, HostLock(host, (), ()))
    others = tuple(one for one in lock.hosts if one.name != host)
    return replace(lock, hosts=tuple(sorted((*others, replace(known, followed=entries)), key=lambda one: one.name)))


def seen_prefix(addresses: Iterable[Interface]) -> Prefix | None:
    """Tell the prefix that a device has by its lasting addresses: the global one with most room; None if there is none.

    Of several with as much room it is the one that the device got last. A lone address (of DHCPv6, say) has no room.
    """
    held = [one.network for one in addresses if covers(GLOBAL, one.network) and one.network.prefixlen <= SUBNET]
    return min(reversed(held), key=lambda prefix: prefix.prefixlen, default=None)


# --- the lock ------------------------------------------------------------------------------------------------


def allot_subnets(network: Network, lock: Lock) -> dict[str, tuple[DelegatedLock, ...]]:
    """Choose a /64 for each LAN of each delegate, by the name of the LAN's host.

    A LAN keeps the one it has; where the prefix is another one now, it keeps its number in it. A LAN for which the
    prefix has no room, or whose prefix nobody has seen yet, is left out.
    """
    found: dict[str, list[DelegatedLock]] = {}
    taken: set[Prefix] = set()
    wishes = [(delegate, lan) for delegate in network.delegates for lan in dict.fromkeys(delegate.lans)]
    # Those that can stay where they are come first, so that a newcomer does not push them aside.
    wishes.sort(key=lambda wish: _kept(wish[0], wish[1], lock) is None)
    for delegate, lan in wishes:
        whole = whole_prefix(delegate, lock)
        if whole is None or not _sound(network, delegate, lan):
            continue
        if pool_of(delegate, lock) is not None:
            whole = _halves(whole)[0]
        for subnet in _candidates(whole, _kept(delegate, lan, lock)):
            if subnet not in taken:
                taken.add(subnet)
                found.setdefault(delegate.to, []).append(DelegatedLock(lan, delegate.source, subnet))
                break
    return {host: tuple(sorted(held, key=lambda one: (one.lan, one.source))) for host, held in found.items()}


def kept_devices(network: Network, host: str, lock: Lock) -> tuple[FollowedLock, ...]:
    """List the followed devices of a host that a delegate still follows."""
    followed = {one.follow for one in network.delegates if one.source == host and one.follow}
    held = lock.by_name.get(host)
    return tuple(one for one in held.followed if one.device in followed) if held is not None else ()


def _sound(network: Network, delegate: Delegate, lan: str) -> bool:
    """Say whether a delegate can be worked out at all; `check` says why not."""
    host = network.by_name.get(delegate.to)
    return (
        host is not None
        and delegate.source in network.by_name
        and delegate.source != delegate.to
        and any(one.name == lan for one in host.lans)
    )


def _kept(delegate: Delegate, lan: str, lock: Lock) -> Prefix | None:
    held = lock.by_name.get(delegate.to)
    return next(
        (one.prefix for one in (held.delegated if held else ()) if (one.lan, one.source) == (lan, delegate.source)),
        None,
    )


def _candidates(whole: Prefix, kept: Prefix | None) -> Iterator[Prefix]:
    """Give the /64s of a prefix in the order in which they are tried: the one that was, its number, then the rest."""
    if not isinstance(whole, IPv6Network) or whole.prefixlen > SUBNET:
        return
    if kept is not None:
        number = int(kept.network_address) >> SUBNET & ((1 << SUBNET - whole.prefixlen) - 1)
        yield IPv6Network((int(whole.network_address) + (number << SUBNET), SUBNET))
    yield from whole.subnets(new_prefix=SUBNET)


# --- the network ---------------------------------------------------------------------------------------------


def _held(delegate: Delegate, lock: Lock) -> Iterator[DelegatedLock]:
    """Give the /64s that the lock holds for a delegate, as long as they are of its prefix."""
    whole, host = whole_prefix(delegate, lock), lock.by_name.get(delegate.to)
    if whole is None or host is None:
        return
    for held in host.delegated:
        if held.source == delegate.source and held.lan in delegate.lans and covers(whole, held.prefix):
            yield held


def _granted_host(network: Network, host: Host, lock: Lock) -> Host:
    given: dict[str, list[Interface]] = {}
    for delegate in network.delegates:
        if delegate.to == host.name:
            for held in _held(delegate, lock):
                if _sound(network, delegate, held.lan):
                    given.setdefault(held.lan, []).append(_router(delegate, held.prefix))
    pools: dict[str, list[Prefix]] = {}
    for delegate in network.delegates:
        pool = pool_of(delegate, lock)
        if delegate.to == host.name and pool is not None and _sound(network, delegate, delegate.lans[0]):
            pools.setdefault(delegate.lans[0], []).append(pool)
    if not given and not any(lan.delegated or lan.pools for lan in host.lans):
        return host

    def granted(lan: Lan) -> Lan:
        return replace(lan, delegated=tuple(given.get(lan.name, ())), pools=tuple(pools.get(lan.name, ())))

    return replace(host, lans=tuple(granted(lan) for lan in host.lans))


def _router(delegate: Delegate, subnet: Prefix) -> Interface:
    number = PROXIED_ROUTER if delegate.proxy else ROUTER
    return ip_interface(f"{subnet[number]}/{subnet.prefixlen}")


def _portal(delegate: Delegate, held: DelegatedLock) -> Portal:
    return Portal(
        source=Place(PlaceKind.PREFIX, delegate.to, held.lan, held.prefix, at=delegate.at),
        exit=delegate.source,
        families=(Family.IPV6,),
        nat=Nat.ROUTED,
        delegated=True,
        at=delegate.at,
    )
