"""Checks of hosts: keys, devices, preshared keys, MTU."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, finding, several
from warren.core.compile.fabric import Fabric
from warren.core.compile.mtu import ETHERNET, OVERHEAD
from warren.model.diagnostic import Diagnostic
from warren.model.host import Host
from warren.model.lock import Lock
from warren.model.prefix import Family

IPV6_LEAST = 1280  # RFC 8200 section 5


def keys(subject: Subject) -> Iterator[Diagnostic]:
    """Every host has a key of its own."""
    first: dict[str, Host] = {}
    for host in subject.network.hosts:
        if not host.key:
            says = f"The host `{host.name}` has no key."
            yield finding("W030", subject.host_spot(host), says, "Run `warren keys gen` there and add `key: …`.")
            continue
        other = first.setdefault(host.key, host)
        if other is not host:
            where = subject.host_spot(host, "key")
            says = f"`{host.name}` has the same key as `{other.name}`."
            yield finding("W034", where, says, "Make a pair of its own for one of them with `warren keys gen`.")


def devices(subject: Subject) -> Iterator[Diagnostic]:
    """No device is uplink and LAN at once."""
    for host in subject.network.hosts:
        for lan in host.lans:
            if lan.name == host.uplink:
                says = f"`{lan.name}` is both the uplink and a LAN of `{host.name}`."
                hint = "Name the device that leads to the internet as `uplink:`, and only others under `lans:`."
                yield finding("W022", subject.spots(lan.at), says, hint)


def preshared(subject: Subject) -> Iterator[Diagnostic]:
    """Both ends of a tunnel have its preshared key, and there is such a tunnel."""
    network = subject.network
    shared = {(host.name, peer) for host in network.hosts for peer, _ in host.psk}
    for host in network.hosts:
        for peer, _ in host.psk:
            where = subject.host_spot(host, "psk", peer)
            if peer not in network.by_name:
                says = f"`{host.name}` has a preshared key for `{peer}`, but there is no such host."
                yield finding("W061", where, says, f"There is {several([one.name for one in network.hosts])}.")
            elif peer == host.name or network.next_hop(host.name, peer) != peer:
                says = f"`{host.name}` has a preshared key for `{peer}`, but these two have no tunnel with each other."
                yield finding("W036", where, says, "Delete the entry.")
            elif (peer, host.name) not in shared:
                says = f"`{host.name}` has a preshared key for `{peer}`, but `{peer}` has none for `{host.name}`."
                hint = f"Add `psk: {{{host.name}: PATH}}` at `{peer}`, with the same key in the file."
                yield finding("W036", where, says, hint)


def mtu(subject: Subject) -> Iterator[Diagnostic]:
    """IPv6 needs 1280 bytes in every tunnel, written out or left over from the lab's links."""
    network = subject.network
    if Family.IPV6 not in network.families:
        return
    for host in network.hosts:
        if host.mtu is not None and host.mtu < IPV6_LEAST:
            says = f"An MTU of {host.mtu} at `{host.name}` is too small for the IPv6 of the overlay."
            hint = f"Write {IPV6_LEAST} or more, or leave IPv6 out of `overlay:`."
            yield finding("W045", subject.host_spot(host, "mtu"), says, hint)
    families = Fabric(network, Lock()).endpoint_family
    other_than_ipv4 = {name for name, family in families.items() if family is not Family.IPV4}
    for link in network.lab.links if network.lab is not None else ():
        if link.host not in network.by_name:  # a device, of which core.check.devices knows
            continue
        here = network.by_name[link.host]
        if here.mtu is not None or link.mtu > ETHERNET or not (families.keys() - {here.name} or here.endpoint):
            continue
        # As core.compile.devices has it: outer packets are IPv4 for certain only where all endpoints known are.
        taken = OVERHEAD[Family.IPV6 if other_than_ipv4 else Family.IPV4]
        if link.mtu - taken < IPV6_LEAST:
            says = f"Over {link.mtu} bytes the tunnels of `{here.name}` carry {link.mtu - taken}, too few for IPv6."
            hint = f"Make it {IPV6_LEAST + taken} or more, or leave IPv6 out of `overlay:`."
            yield finding("W045", subject.spots(None, "lab", "links", link.host, "mtu"), says, hint)


CHECKS: tuple[Check, ...] = (keys, devices, preshared, mtu)
