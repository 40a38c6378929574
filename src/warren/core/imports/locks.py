"""The lock that keeps what confs had: addresses, ports, and what the tunnel is called on each host."""

from __future__ import annotations

from warren.core.allot import PORT, allot, device_name
from warren.core.compile.portals import dedicated_peers
from warren.core.imports.draft import Draft, HostDraft
from warren.model.lock import DeviceLock, HostLock, Lock
from warren.model.network import Network


def lock_of(draft: Draft, network: Network) -> Lock:
    """Allot for a network what its file leaves open, beginning with what the confs said. Raises Full."""
    return allot(network, Lock(tuple(_host(host, network) for host in draft.hosts)))


def _host(host: HostDraft, network: Network) -> HostLock:
    """Give the conf's device to its peers: to the only one that has a device of its own, or to all that share one."""
    if not host.device:
        return HostLock(host.name, host.addresses, ())
    dedicated = dedicated_peers(network, host.name)
    peers = [peer.name for peer in network.hosts if network.next_hop(host.name, peer.name) == peer.name]
    listens = host.party.given.conf.listen_port if host.party.given is not None else 0
    devices = [DeviceLock("", host.device, listens)]
    if len(dedicated) == 1 and set(peers) - {host.name} == set(dedicated):
        shared = device_name(network.name, "", {host.device, host.uplink, host.lan})
        # A conf that leaves its port to the kernel gets another than the shared device's.
        port = listens or network.by_name[host.name].port or PORT
        devices = [DeviceLock("", shared, 0), DeviceLock(dedicated[0], host.device, port)]
    return HostLock(host.name, host.addresses, tuple(devices))
