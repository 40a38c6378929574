"""LANs whose host gets its addresses from warren: the devices that are made or brought up, and those addresses.

What the machine's owner has given a device already is left to him: it is in the surroundings, and nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.delegates import lay_lan_addresses as delegated_addresses
from warren.core.compile.here import Here
from warren.model.host import Lan
from warren.model.prefix import family_of
from warren.model.state import LanAddress, LanLink, LinkKind


def lay_lan_links(here: Here) -> tuple[LanLink, ...]:
    """List LANs' devices, each after those that it is made of."""
    order = tuple(LinkKind)
    found = dict.fromkeys(link for lan in here.host.lans for link in _links(here, lan))
    return tuple(sorted(found, key=lambda link: (order.index(link.kind), link.name)))


def _links(here: Here, lan: Lan) -> Iterator[LanLink]:
    if lan.vlan is not None:
        yield from _raised(here, lan.vlan.of)
        yield LanLink(lan.name, LinkKind.VLAN, of=lan.vlan.of, id=lan.vlan.id)
    elif lan.bridge:
        for port in lan.bridge:
            yield from _raised(here, port)
        yield LanLink(lan.name, LinkKind.BRIDGE, ports=tuple(sorted(lan.bridge)))
    elif lan.given and lan.wifi is None:  # hostapd brings its radio up by itself
        yield from _raised(here, lan.name)


def _raised(here: Here, device: str) -> Iterator[LanLink]:
    """Bring a device up that its owner has left down; the uplink is nobody's but his."""
    link = here.surroundings.link_by_name.get(device)
    if link is not None and not link.up and device != here.host.uplink:
        yield LanLink(device, LinkKind.RAISED)


def lay_lan_addresses(here: Here) -> tuple[LanAddress, ...]:
    """List the addresses of this host on LANs that warren gives it: those of LANs it serves, and delegated ones."""
    links = here.surroundings.link_by_name
    given = (
        LanAddress(lan.name, address)
        for lan in here.host.lans
        if lan.given
        for address in lan.addresses
        if family_of(address.network) in here.usable
        and not (lan.name in links and address in links[lan.name].addresses)
    )
    return (*given, *delegated_addresses(here))
