"""Allot what a network needs and the file does not say: tunnel addresses, ports, names of devices, maps.

What a lock holds is kept as long as the file still asks for it and allows it; a new host gets the address after
the highest one that the lock holds, and addresses that were freed come last. So adding, removing or reordering
hosts renumbers nobody. What the file writes out (`port:`, an endpoint's port) wins over the lock.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from itertools import chain

from warren.core.compile.portals import addressed_portals, dedicated_peers, identity
from warren.core.delegates import allot_subnets, grant, kept_devices
from warren.core.maps import NoRoom, allot_maps
from warren.model.host import Host
from warren.model.lock import ChainLock, DeviceLock, GuestLock, HostLock, Lock, MapLock, kept_for_devices
from warren.model.network import Network
from warren.model.prefix import Address, Prefix

PORT = 51820
FEW = 4096  # ports of one publish that are left to it
DEVICE_LENGTH = 15  # IFNAMSIZ less the final NUL (net/if.h)


class Full(ValueError):
    """Nothing is left to allot from: `what` names it."""


def allot(network: Network, lock: Lock) -> Lock:
    """Complete a lock for a network, and drop what the network no longer has. Raises Full."""
    lock = _with_delegates(network, lock)
    network = grant(network, lock)  # a delegate needs a device of its own, as a portal does
    pools = [_Pool(prefix, lock) for prefix in sorted(network.overlay, key=lambda prefix: prefix.version)]
    ports = _Ports(network)
    try:
        maps = allot_maps(network, lock)
    except NoRoom as full:
        raise Full(str(full)) from full
    kept = {host.name: lock.by_name.get(host.name, HostLock(host.name, (), ())) for host in network.hosts}
    # First everybody keeps what they have, then new things are allotted: hosts in the file's order, then the rest.
    for host in network.hosts:
        for pool in pools:
            pool.keep(host.name, kept[host.name], _chains(network, host))
        ports.keep(host, kept[host.name], kept_apart(network, host.name))
    for device in network.devices:
        for pool in pools:
            pool.keep_guest(device.name, lock.guest_by_name.get(device.name))
    for holder in (*(host.name for host in network.hosts), *(_guest(device.name) for device in network.devices)):
        for pool in pools:
            pool.give(holder)
    hosts = tuple(
        _host(network, host, kept[host.name], pools, ports, maps.get(host.name, ())) for host in _by_name(network.hosts)
    )
    guests = tuple(
        GuestLock(name, tuple(pool.give(_guest(name)) for pool in pools))
        for name in sorted(device.name for device in network.devices)
    )
    return Lock(hosts, guests)


def _with_delegates(network: Network, lock: Lock) -> Lock:
    """Complete what LANs have of delegated prefixes, and forget what is delegated no more."""
    delegated = allot_subnets(network, lock)
    known = {host.name: host for host in lock.hosts}
    for name in delegated:
        known.setdefault(name, HostLock(name, (), ()))
    hosts = tuple(
        replace(known[name], delegated=delegated.get(name, ()), followed=kept_devices(network, name, lock))
        for name in sorted(known)
    )
    return lock if hosts == lock.hosts else replace(lock, hosts=hosts)


def lock_is_current(network: Network, lock: Lock) -> bool:
    """Say whether a lock holds exactly what the network asks for."""
    try:
        return allot(network, lock) == lock
    except Full:
        return False


def addresses_needed(network: Network) -> int:
    """Count the addresses a network needs of each overlay prefix: one per host, device and chain."""
    chains = sum(len(_chains(network, host)) for host in network.hosts)
    return len(network.hosts) + len(network.devices) + chains


def room(prefix: Prefix) -> int:
    """Count the addresses that can be allotted from an overlay prefix."""
    first, last = _bounds(prefix)
    return last - first + 1


def kept_apart(network: Network, host: str) -> tuple[str, ...]:
    """List what a host keeps a tunnel device for, beside the shared one: peers, and then devices by whom they dial."""
    guests = tuple(kept_for_devices(dialled) for dialled in sorted(network.guests.get(host, {})) if dialled)
    return dedicated_peers(network, host) + guests


def _by_name(hosts: Iterable[Host]) -> list[Host]:
    return sorted(hosts, key=lambda host: host.name)


def _chains(network: Network, host: Host) -> tuple[str, ...]:
    return tuple(sorted({identity(portal) for portal in addressed_portals(network, host.name)}))


def _host(
    network: Network, host: Host, kept: HostLock, pools: list[_Pool], ports: _Ports, maps: tuple[MapLock, ...]
) -> HostLock:
    peers = kept_apart(network, host.name)
    taken = {host.uplink, *(lan.name for lan in host.lans)}
    names: dict[str, str] = {}
    old = {device.peer: device.name for device in kept.devices}
    for peer in ("", *peers):
        if peer in old and old[peer] not in taken:
            names[peer] = old[peer]
            taken.add(old[peer])
    for peer in ("", *peers):
        if peer not in names:
            names[peer] = device_name(network.name, peer.partition(":")[0], taken)
            taken.add(names[peer])
    return HostLock(
        name=host.name,
        addresses=tuple(pool.give(host.name) for pool in pools),
        devices=tuple(DeviceLock(peer, names[peer], ports.give(host, peer)) for peer in ("", *peers)),
        chains=tuple(
            ChainLock(portal, tuple(pool.give((host.name, portal)) for pool in pools))
            for portal in _chains(network, host)
        ),
        maps=maps,
        delegated=kept.delegated,
        followed=kept.followed,
    )


def device_name(network: str, peer: str, taken: Container[str]) -> str:
    """Make the name of a tunnel device: `network` or `network-peer`, shortened and numbered as needed."""
    stem, rest = network, ""
    if peer:
        stem = network[: max(5, DEVICE_LENGTH - 1 - len(peer))].rstrip("-")
        rest = "-" + peer[: DEVICE_LENGTH - 1 - len(stem)].rstrip("-")
    whole = stem + rest
    for number in chain([""], map(str, range(2, 10**6))):
        name = whole[: DEVICE_LENGTH - len(number)].rstrip("-") + number
        if name not in taken:
            return name
    raise Full(f"names of devices like {whole}")


Holder = str | tuple[str, str]  # a host, or a host and the identity of a chained portal; for a device ("", its name)


def _guest(name: str) -> Holder:
    return "", name


class _Pool:
    """The addresses of one overlay prefix."""

    def __init__(self, prefix: Prefix, lock: Lock) -> None:
        self.prefix = prefix
        self.first, self.last = _bounds(prefix)
        self.held: dict[Holder, int] = {}
        self.used: set[int] = set()
        # Beyond all that the lock ever held, what departed hosts had included; then from the beginning.
        before = [int(address) for held in _all_addresses(lock) for address in held if self._fits(address)]
        self.next = max(before, default=self.first - 1) + 1

    def _fits(self, address: Address) -> bool:
        return address.version == self.prefix.version and self.first <= int(address) <= self.last

    def keep(self, name: str, kept: HostLock, chains: tuple[str, ...]) -> None:
        """Let a host and its chains keep the addresses that the lock gave them."""
        had: dict[Holder, tuple[Address, ...]] = {name: kept.addresses}
        had |= {(name, chained.portal): chained.addresses for chained in kept.chains if chained.portal in chains}
        for holder, addresses in had.items():
            self._keep(holder, addresses)

    def keep_guest(self, name: str, kept: GuestLock | None) -> None:
        """Let a device of `devices:` keep the address that the lock gave it."""
        if kept is not None:
            self._keep(_guest(name), kept.addresses)

    def _keep(self, holder: Holder, addresses: tuple[Address, ...]) -> None:
        mine = next((int(address) for address in addresses if self._fits(address)), None)
        if mine is not None and mine not in self.used:
            self.held[holder] = mine
            self.used.add(mine)

    def give(self, holder: Holder) -> Address:
        """Give a holder's address, a new one if it has none."""
        if holder not in self.held:
            self.held[holder] = number = self._free()
            self.used.add(number)
        return self.prefix[self.held[holder] - int(self.prefix.network_address)]

    def _free(self) -> int:
        if len(self.used) > self.last - self.first:
            raise Full(f"addresses in {self.prefix}")
        if self.next > self.last:
            self.next = self.first
        while self.next in self.used:
            self.next = self.next + 1 if self.next < self.last else self.first
        return self.next


def _bounds(prefix: Prefix) -> tuple[int, int]:
    """Give the first and last address that can be allotted: neither the network's own nor IPv4's broadcast."""
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    if last - first > 1:
        first, last = first + 1, last - (prefix.version == 4)
    return first, last


def _all_addresses(lock: Lock) -> Iterable[tuple[Address, ...]]:
    for host in lock.hosts:
        yield host.addresses
        yield from (chained.addresses for chained in host.chains)
    yield from (guest.addresses for guest in lock.guests)


class _Ports:
    """The listening ports. Hosts that are dialled at one address (port forwards) share its ports.

    Where devices dial a gateway, it publishes the very port that they are held at behind it: it is taken at both.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.held: dict[tuple[str, str], int] = {}
        self.used: dict[str, set[int]] = {}
        for host in network.hosts:
            used = self.used.setdefault(self._address(host), set())
            used.add(self._shared(host))
            if host.endpoint is not None:
                used.add(host.endpoint.port)
        for publish in network.publishes:
            gateway = network.by_name.get(publish.gateway)
            for ports in publish.ports or ():
                # Of a sweep over nearly all ports one is missed by nobody, and the narrower publish has it.
                if gateway is not None and ports.proto == "udp" and ports.last - ports.first < FEW:
                    self.used[self._address(gateway)].update(range(ports.first, ports.last + 1))

    @staticmethod
    def _address(host: Host) -> str:
        return f"at {host.endpoint.host}" if host.endpoint is not None else host.name

    @staticmethod
    def _shared(host: Host) -> int:
        return host.port or (host.endpoint.port if host.endpoint is not None else PORT)

    def keep(self, host: Host, kept: HostLock, peers: tuple[str, ...]) -> None:
        """Let a host's devices keep the ports that the lock gave them; the shared one's is the file's."""
        self.held[host.name, ""] = self._shared(host)
        for device in kept.devices:
            taken = self._taken(host, device.peer)
            if device.peer in peers and not any(device.port in used for used in taken):
                self.held[host.name, device.peer] = device.port
                for used in taken:
                    used.add(device.port)

    def give(self, host: Host, peer: str) -> int:
        """Give the port of a device, a new one if it has none: the next after the host's own.

        Two networks of one host that have ports of their own then do not run into each other either.
        """
        if (host.name, peer) not in self.held:
            taken = self._taken(host, peer)
            first = self._shared(host) + 1
            every = (*range(first, 65536), *range(1024, first))
            number = next((port for port in every if not any(port in used for used in taken)), 0)
            if not number:
                raise Full(f"ports at {host.name}")
            self.held[host.name, peer] = number
            for used in taken:
                used.add(number)
        return self.held[host.name, peer]

    def _taken(self, host: Host, peer: str) -> list[set[int]]:
        """Give the ports taken wherever a device's is visible."""
        _, guests, dialled = peer.partition(":")
        gateway = self.network.by_name.get(dialled) if guests else None
        addresses = {self._address(host), self._address(gateway or host)}
        return [self.used[address] for address in sorted(addresses)]
