"""Turn what the owner wants into what each host must be."""

from __future__ import annotations

from collections.abc import Mapping

from warren.core.compile.fabric import Fabric
from warren.core.compile.host import compile_in
from warren.core.compile.ledger import LedgerNeeds, ledger_needs, sequential_ledger
from warren.core.compile.stock import compile_device
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import Surroundings

__all__ = [
    "LedgerNeeds",
    "compile_device",
    "compile_devices",
    "compile_host",
    "compile_network",
    "ledger_needs",
    "sequential_ledger",
]


def compile_network(network: Network, lock: Lock, surroundings: Mapping[str, Surroundings]) -> dict[str, HostState]:
    """Compile every host; one that has no surroundings given is compiled for an empty machine."""
    fabric = Fabric(network, lock)
    return {
        host.name: compile_in(fabric, host.name, surroundings.get(host.name, Surroundings(stated=True)))
        for host in network.hosts
    }


def compile_devices(network: Network, lock: Lock, surroundings: Mapping[str, Surroundings]) -> dict[str, HostState]:
    """Compile the own side of every device of `devices:`; of one without surroundings nothing is known."""
    unknown = Surroundings(stated=True)
    return {
        device.name: compile_device(network, lock, device.name, surroundings.get(device.name, unknown))
        for device in network.devices
    }


def compile_host(network: Network, lock: Lock, host: str, surroundings: Surroundings) -> HostState:
    """Compile one host alone: what `apply` needs, whatever the size of the network."""
    return compile_in(Fabric(network, lock), host, surroundings)
