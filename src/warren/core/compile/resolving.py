"""Who resolves names for each LAN, and for the host's own traffic.

A LAN that nothing in the file speaks of asks whoever its host asks. `None` stands for: warren resolves nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.by_name import asks_by_name, filling
from warren.core.compile.dns import resolving_for
from warren.core.compile.here import Here
from warren.core.resolving import DOMAIN, Record, Resolving
from warren.model.host import Lan


def lan_resolving(here: Here, lan: Lan) -> Resolving | None:
    """Say how the machines on a LAN resolve names; None if warren does not see to it."""
    told = resolving_for(here, lan.name, known_names(here))
    if told is None and lan.dhcp is None and not lan.ra and not asks_by_name(here, lan.name):
        return None
    return filling(here, lan.name, told or Resolving(system=True, records=known_names(here)))


def own_resolving(here: Here) -> Resolving | None:
    """Say how the host's own programs resolve names; None if warren does not see to it."""
    return filling(here, "", resolving_for(here, "", known_names(here)))


def known_names(here: Here) -> tuple[Record, ...]:
    """List the network's own names: every host and device by its addresses in the tunnels."""
    return tuple(record for record in _names(here) if record.addresses)


def _names(here: Here) -> Iterator[Record]:
    fabric = here.fabric
    owned = [(host.name, fabric.addresses(host.name)) for host in fabric.network.hosts]
    owned += [(device.name, fabric.guest_addresses(device.name)) for device in fabric.network.devices]
    for name, prefixes in owned:
        carried = (prefix.network_address for prefix in prefixes if prefix.version in here.carried)
        yield Record(f"{name}.{DOMAIN}", tuple(carried))
