"""Small networks made by hand, for tests that need no file.

eth1 192.168.1.0/24  ─┐                        ┌─ eth1  192.168.1.0/24   (the same subnet)
eth2 192.168.21.0/24 ─┴─ nyc ── internet ── paris ─ wlan0 192.168.22.0/24
                                   └── tokyo
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network

from warren.core.allot import allot
from warren.core.compile.portals import addressed_portals, dedicated_peers, identity
from warren.model.endpoint import Endpoint
from warren.model.host import Host, Lan
from warren.model.key import PublicKey
from warren.model.lock import ChainLock, DeviceLock, HostLock, Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Family

OVERLAY = (ip_network("10.77.0.0/24"), ip_network("fd77:7:7::/64"))


def key(name: str) -> PublicKey:
    """Make a well-formed public key from a name."""
    return PublicKey(b64encode(sha256(name.encode()).digest()).decode())


def lan(name: str, *addresses: str, closed: bool = False) -> Lan:
    """Make a LAN from the host's addresses on it."""
    return Lan(name, tuple(ip_interface(address) for address in addresses), closed)


def host(name: str, endpoint: str = "", *lans: Lan, **more: object) -> Host:
    """Make a host; the endpoint is an address without port."""
    return Host(name, key(name), Endpoint(endpoint, 51820) if endpoint else None, lans=lans, **more)  # type: ignore[arg-type]


def place(text: str) -> Place:
    """Read `host`, `host.lan`, `host.lan.mac` (with colons) or `host.lan=prefix`."""
    name, _, rest = text.partition(".")
    if not rest:
        return Place(PlaceKind.HOST, name)
    if "=" in rest:
        device, prefix = rest.split("=")
        return Place(PlaceKind.PREFIX, name, device, ip_network(prefix))
    device, _, mac = rest.partition(".")
    return Place(PlaceKind.MAC, name, device, mac=mac) if mac else Place(PlaceKind.LAN, name, device)


def portal(source: str, exit_: str, **more: object) -> Portal:
    """Make a portal from a place's text."""
    return Portal(place(source), exit_, **more)  # type: ignore[arg-type]


def lock_of(network: Network) -> Lock:
    """Allot addresses, devices and ports in the order of the hosts: .1, .2, … and 51820, 51821, …"""
    if network.delegates:
        return allot(network, Lock())
    spare = len(network.hosts)
    hosts = []
    for at, one in enumerate(network.hosts, start=1):
        devices = [DeviceLock("", network.name, one.port or (one.endpoint.port if one.endpoint else 51820))]
        devices += [
            DeviceLock(peer, f"{network.name[:7]}-{peer}"[:15], 51820 + number)
            for number, peer in enumerate(dedicated_peers(network, one.name), start=1)
        ]
        chains = []
        for chained in addressed_portals(network, one.name):
            spare += 1
            chains.append(ChainLock(identity(chained), tuple(prefix[spare] for prefix in network.overlay)))
        hosts.append(HostLock(one.name, tuple(prefix[at] for prefix in network.overlay), tuple(devices), tuple(chains)))
    return Lock(tuple(hosts))


def portals_network() -> Network:
    """The blueprint's portals: two exits in both directions, one device by MAC, a chain, own traffic."""
    return Network(
        name="portals",
        overlay=OVERLAY,
        hosts=(
            host(
                "nyc",
                "198.51.100.10",
                lan("eth1", "192.168.1.1/24", "fd11:1::1/64"),
                lan("eth2", "192.168.21.1/24", "fd21:21::1/64"),
            ),
            host(
                "paris",
                "",
                lan("eth1", "192.168.1.1/24", "fd11:2::1/64"),
                lan("wlan0", "192.168.22.1/24", "fd22:22::1/64"),
            ),
            host("tokyo", "203.0.113.30"),
        ),
        portals=(
            portal("nyc.eth2", "paris"),
            portal("paris.wlan0", "nyc", exceptions=(ip_network("192.0.2.0/24"),)),
            portal("nyc.eth1.02:00:5e:00:00:32", "tokyo"),
            portal("nyc.eth1=192.168.1.51/32", "tokyo", via=("paris",), families=(Family.IPV4,)),
            portal("tokyo", "nyc", families=(Family.IPV4,)),
        ),
    )


def address(text: str):  # type: ignore[no-untyped-def]
    """Read an address."""
    return ip_address(text)
