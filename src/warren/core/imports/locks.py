"""The lock that keeps what confs had: addresses, ports, and what the tunnel is called on each host."""

from __future__ import annotations

from warren.core.allot import PORT, allot, device_name, kept_apart
from warren.core.imports.draft import Draft, HostDraft
from warren.model.lock import DeviceLock, GuestLock, HostLock, Lock
from warren.model.network import Network


def lock_of(draft: Draft, network: Network) -> Lock:
    """Allot for a network what its file leaves open, beginning with what the confs said. Raises Full."""
    hosts = tuple(_host(host, network) for host in draft.hosts)
    return allot(network, Lock(hosts, tuple(GuestLock(one.name, one.addresses) for one in draft.devices)))


def _host(host: HostDraft, network: Network) -> HostLock:
    """Give the conf's device to its peers: to the only one that has a device of its own, or to all that share one."""
    if not host.device:
        return HostLock(host.name, host.addresses, ())
    dedicated = kept_apart(network, host.name)
    others = (peer.name for peer in network.hosts if peer.name != host.name)
    peers = {peer for peer in others if network.next_hop(host.name, peer) == peer}
    peers |= {peer for peer in dedicated if ":" in peer}  # kept for devices, which are no hosts
    listens = host.party.given.conf.listen_port if host.party.given is not None else 0
    devices = [DeviceLock("", host.device, listens)]
    if len(dedicated) == 1 and peers == set(dedicated):
        shared = device_name(network.name, "", {host.device, host.uplink, host.lan})
        # A conf that leaves its port to the kernel gets another than the shared device's.
        port = listens or network.by_name[host.name].port or PORT
        devices = [DeviceLock("", shared, 0), DeviceLock(dedicated[0], host.device, port)]
    return HostLock(host.name, host.addresses, tuple(devices))
