"""What the lab has no matter for: radio, and VLANs where the kernel knows none. Their LANs are wires there."""

from __future__ import annotations

from dataclasses import replace

from warren.model.host import Lan
from warren.model.network import Network


def wired(network: Network) -> Network:
    """Give the network with a wire for each hotspot and VLAN; all else of these LANs is as it is."""
    hosts = tuple(replace(host, lans=tuple(map(_wire, host.lans))) for host in network.hosts)
    return replace(network, hosts=hosts)


def wires_here(network: Network) -> str:
    """Say in a sentence which LANs are wires here and not elsewhere; empty if none is."""
    lans = [f"{host.name}.{lan.name}" for host in network.hosts for lan in host.lans if lan.wifi or lan.vlan]
    if not lans:
        return ""
    are = "is a wire" if len(lans) == 1 else "are wires"
    return f"{', '.join(lans)} {are} here: the lab has no radio and no VLANs"


def _wire(lan: Lan) -> Lan:
    return replace(lan, wifi=None, vlan=None) if lan.wifi or lan.vlan else lan
