"""A small world for tests of apply: three hosts on an internet, and a client on a LAN of one of them.

    client 192.168.21.100 ── eth2 nyc eth0 198.51.100.10 ─┐
                                paris eth0 192.0.2.20    ─┼─ inet, which answers as 1.1.1.1 and 2001:db8:ffff::1
                                tokyo eth0 203.0.113.30  ─┘

Dual stack. Each is a box of its own (boxes.py); the hosts' keys are real.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from tests.core.compile.networks import OVERLAY, host, lan, portal
from tests.sys.boxes import Box, boxes
from warren.core.allot import allot as allot_lock
from warren.model.endpoint import Endpoint
from warren.model.host import Host
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.portal import Portal
from warren.sys.apply import Applied, apply
from warren.sys.machine import Machine
from warren.sys.prepare import Prepared, allot, prepare

UPLINKS = {
    "nyc": ("198.51.100.10", "2001:db8:1::10"),
    "paris": ("192.0.2.20", "2001:db8:2::20"),
    "tokyo": ("203.0.113.30", "2001:db8:3::30"),
}
ANYWHERE = ("1.1.1.1", "2001:db8:ffff::1")


def make_key(path: Path) -> PublicKey:
    """Make a private key in a file; give the public one."""
    script = f"umask 077; wg genkey > {path}; wg pubkey < {path}"
    return PublicKey(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip())


def keyed(one: Host, directory: Path) -> Host:
    """Give a host a real key, kept in a file of the test's."""
    path = directory / f"{one.name}.key"
    return replace(one, key=make_key(path), private_key=str(path))


class Site:
    """The boxes by name, and what they are to become."""

    def __init__(self, directory: Path, made: Sequence[Box], names: Sequence[str]) -> None:
        self.directory = directory
        self.boxes = dict(zip(names, made, strict=True))
        self.hosts = {
            name: keyed(host(name, UPLINKS[name][0], *_lans(name)), directory) for name in names if name in UPLINKS
        }
        self._lay()

    def __getitem__(self, name: str) -> Box:
        return self.boxes[name]

    def network(self, *portals: Portal, name: str = "portals", **changes: object) -> Network:
        """Make the network of this site; `changes` are fields of the host nyc."""
        nyc = replace(self.hosts["nyc"], **changes)  # type: ignore[arg-type]
        hosts = (nyc, *(one for one in self.hosts.values() if one.name != "nyc"))
        return Network(name=name, overlay=OVERLAY, hosts=hosts, portals=portals)

    def default(self) -> Network:
        """The portal of nyc's eth2 that leaves in paris."""
        return self.network(portal("nyc.eth2", "paris"))

    def second(self, *portals: Portal) -> Network:
        """Another network between the same hosts, with ports and tunnel addresses of its own."""
        overlay = (ip_network("10.88.0.0/24"), ip_network("fd88:8:8::/64"))
        hosts = tuple(
            replace(one, endpoint=Endpoint(UPLINKS[one.name][0], 51900), lans=()) for one in self.hosts.values()
        )
        return Network(name="second", overlay=overlay, hosts=hosts, portals=portals)

    def up(self, network: Network, *names: str) -> None:
        """Apply a network on some hosts, or on all."""
        for name in names or [one.name for one in network.hosts]:
            self.apply(network, name)

    def apply(
        self, network: Network, name: str, machine: Machine | None = None, window: float | None = None
    ) -> Applied:
        """Apply a network on one host."""
        chosen = machine or self[name].machine
        return self[name].call(partial(apply_network, network, lock_of(network), name, chosen, window))

    def prepare(self, network: Network, name: str) -> Prepared:
        """Say what apply would do on one host."""
        return self[name].call(partial(prepare, network, lock_of(network), name, self[name].machine))

    def _lay(self) -> None:
        inet = self["inet"]
        inet.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        inet.sh("; ".join(f"ip addr add {address} dev lo" for address in ANYWHERE))
        for name in self.hosts:
            self.lay_uplink(name)
        if "client" in self.boxes:
            self.lay_lan()

    def lay_uplink(self, name: str) -> None:
        """Lay a host's cable to the internet."""
        v4, v6 = UPLINKS[name]
        inet, box, net4, net6 = self["inet"], self[name], v4.rpartition(".")[0], v6.rpartition("::")[0]
        inet.wire(name, box, "eth0")
        inet.sh(f"ip addr add {net4}.1/24 dev {name}; ip addr add {net6}::1/64 dev {name} nodad")
        box.sh(f"ip addr add {v4}/24 dev eth0; ip addr add {v6}/64 dev eth0 nodad")
        box.sh(f"ip route add default via {net4}.1; ip -6 route add default via {net6}::1")

    def lay_lan(self) -> None:
        """Lay the cable between nyc and the client on its LAN."""
        nyc, client = self["nyc"], self["client"]
        nyc.wire("eth2", client, "eth0")
        nyc.sh("ip addr add 192.168.21.1/24 dev eth2; ip addr add fd21:21::1/64 dev eth2 nodad")
        client.sh("ip addr add 192.168.21.100/24 dev eth0; ip addr add fd21:21::100/64 dev eth0 nodad")
        client.sh("ip route add default via 192.168.21.1; ip -6 route add default via fd21:21::1")

    def restart(self, name: str) -> Box:
        """Have a host lose its memory and keep its files; there is no cable to it until one is laid."""
        self[name].sh("for cable in eth0 eth2; do ip link del $cable || true; done")  # a namespace takes its time
        self[name].close()
        self.boxes[name] = Box(self[name].state)
        return self[name]


def _lans(name: str) -> tuple[object, ...]:
    return (lan("eth2", "192.168.21.1/24", "fd21:21::1/64"),) if name == "nyc" else ()


def lock_of(network: Network) -> Lock:
    """Give the lock that belongs to a network; ports of a second one are a hundred higher than allotted."""
    lock = allot_lock(network, Lock())
    if network.name != "second":
        return lock
    return Lock(
        tuple(
            replace(one, devices=tuple(replace(d, port=d.port + 100 * (d.peer != "")) for d in one.devices))
            for one in lock.hosts
        )
    )


def apply_network(network: Network, lock: Lock, name: str, machine: Machine, window: float | None = None) -> Applied:
    """Do what `warren apply` does."""
    allot(network, lock, name, machine)
    return apply(prepare(network, lock, name, machine).desired, machine, window=window)


@contextmanager
def site(directory: Path, *names: str) -> Iterator[Site]:
    """Make a site; `inet` is always there."""
    every = ("inet", *names)
    with boxes(directory, *every) as made:
        yield Site(directory, made, every)
