"""Checks of `devices:`: whom each can dial, what it may reach, and whether a tunnel in a tunnel has room for it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from warren.core.check.subject import Check, Subject, family_name, finding, several
from warren.core.compile.fabric import Fabric
from warren.core.compile.mtu import guests_mtu
from warren.core.compile.publishes import literal
from warren.model.device import Device
from warren.model.diagnostic import Diagnostic
from warren.model.endpoint import Endpoint
from warren.model.lock import Lock
from warren.model.place import Place, PlaceKind
from warren.model.prefix import FAMILIES, PRIVATE, Family, covers, family_of
from warren.model.publish import SourceKept

IPV6_LEAST = 1280  # RFC 8200 section 5


def keys(subject: Subject) -> Iterator[Diagnostic]:
    """Every device has a key of its own, which is no host's."""
    owners = {host.key: f"the host `{host.name}`" for host in reversed(subject.network.hosts) if host.key}
    for device in subject.network.devices:
        if not device.key:
            says = f"The device `{device.name}` has no key."
            hint = "Make a pair in its WireGuard app, or with `warren keys gen`, and add `key: …`."
            yield finding("W030", subject.spots(device.at), says, hint)
            continue
        other = owners.setdefault(device.key, f"the device `{device.name}`")
        if other != f"the device `{device.name}`":
            says = f"`{device.name}` has the same key as {other}: WireGuard would take the two for one."
            hint = "Make a pair of its own for one of them."
            yield finding("W120", subject.spots(device.at, "key"), says, hint)


def reach(subject: Subject) -> Iterator[Diagnostic]:
    """A device may reach something, and each thing it may reach can be reached from where its tunnel ends."""
    for device in subject.network.devices:
        if not device.reach and not device.full_tunnel:
            says = f"`{device.name}` may reach nothing by its tunnel."
            hint = f"Write for instance `reach: [{device.into}]`, or `full_tunnel: true`."
            yield finding("W122", subject.spots(device.at, "reach"), says, hint)
        for at, place in enumerate(device.reach):
            why = _out_of_reach(subject, device, place)
            if why:
                says = f"Nothing of `{device.name}` can reach `{place}`: {why}."
                hint = "Take it out of `reach:`, or name a place that the network leads to."
                yield finding("W121", subject.spots(device.at, "reach", at), says, hint)


def _out_of_reach(subject: Subject, device: Device, place: Place) -> str:
    """Say why a device cannot reach a place; empty if it can, in one family at least."""
    if place.kind is PlaceKind.DEVICE:
        return "that is the device itself" if place.device == device.name else ""
    if place.kind not in (PlaceKind.LAN, PlaceKind.PREFIX):
        return ""
    why = ""
    for family in FAMILIES:
        prefix = subject.lan_prefix(place, family) if place.prefix is None or place.prefix.version == family else None
        if prefix is None:
            continue
        if family not in subject.network.families:
            why = why or f"the overlay has no {family_name(family)}"
        elif place.host == device.into or subject.is_announced(place.host, prefix):
            return ""
        else:
            why = why or subject.why_not_announced(place.host, place.lan, prefix)
    return why


def dialling(subject: Subject) -> Iterator[Diagnostic]:
    """A device dials its host, or a gateway that can be dialled."""
    network = subject.network
    for device in network.devices:
        dialled = network.dials(device)
        host = network.by_name.get(dialled)
        if host is not None and host.endpoint is not None:
            if host.name != device.into:
                yield from _led_on(subject, device, host.name, host.endpoint)
            continue
        able = [one.name for one in network.hosts if one.endpoint is not None and one.name != device.into]
        gateways = sorted({publish.gateway for publish in network.publishes if publish.to.host == device.into})
        dialled_by = [name for name in gateways if name in able] or able
        says = f"`{device.name}` cannot dial `{device.into}`, which has no endpoint"
        if device.via:
            says = f"`{device.name}` dials `{device.via}`, which has no endpoint"
        elif len(gateways) > 1:
            says += f", and {several(gateways)} publish to it"
        elif host is not None and host.name != device.into:
            what = "hub" if host.name == network.hub else "gateway"
            says += f", nor the {what} `{dialled}`, which has none either"
        hint = f"Write `via: {dialled_by[0]}`." if dialled_by else "Give one of the hosts an `endpoint:`."
        yield finding("W124", subject.spots(device.at, "via" if device.via else "into"), f"{says}.", hint)


def _led_on(subject: Subject, device: Device, gateway: str, endpoint: Endpoint) -> Iterator[Diagnostic]:
    """What comes to a gateway by one family goes on by the same: the tunnel to `into` has to carry it."""
    address = literal(endpoint)
    if address is None or family_of(address) in subject.network.families:
        return
    name = family_name(family_of(address))
    says = f"`{device.name}` dials `{gateway}` by {name}, and no tunnel to `{device.into}` carries that any further."
    hint = (
        f"Add an {name} prefix to `overlay:`, or write the endpoint of `{gateway}` with an address of the other family."
    )
    yield finding("W124", subject.spots(device.at, "via" if device.via else "into"), says, hint)


def mtu(subject: Subject) -> Iterator[Diagnostic]:
    """IPv6 needs 1280 bytes, also in a tunnel inside another one."""
    network = subject.network
    if Family.IPV6 not in network.families:
        return
    fabric = Fabric(network, Lock())
    uplinks = {link.host: link.mtu for link in network.lab.links} if network.lab is not None else {}
    for device in network.devices:
        dialled = network.dials(device)
        if network.by_name.get(dialled) is None:
            continue
        room = guests_mtu(fabric, device.into, dialled, (device,), uplinks)
        if room >= IPV6_LEAST:
            continue
        own = room == device.mtu
        way = f"to `{device.into}`" if dialled == device.into else f"inside that of `{dialled}` and `{device.into}`"
        says = f"The tunnel of `{device.name}` {'by its own `mtu:`' if own else way} carries {room} bytes, "
        hint = f"Raise `mtu:` on that way until {IPV6_LEAST} are left, or leave IPv6 out of `overlay:`."
        where = subject.spots(device.at, "mtu" if own else "into")
        yield finding("W123", where, f"{says}too few for IPv6.", hint)


def dns(subject: Subject) -> Iterator[Diagnostic]:
    """A private resolver is one of the network: elsewhere somebody else has that address. A full tunnel names one."""
    for device in subject.network.devices:
        if device.full_tunnel and not subject.spots.wrote(device.at, "dns"):
            says = f"`{device.name}` sends everything into its tunnel but names: it is told no resolver."
            hint = "Add `dns: …`, an address of the network or a public resolver's."
            yield finding("W127", subject.spots(device.at, "full_tunnel"), says, hint)
        for at, address in enumerate(device.dns):
            prefix = ip_network(address)
            ours = [*subject.near.around(prefix), *subject.own_lans(device.into).around(prefix)]
            if ours or not any(covers(private, address) for private in PRIVATE):
                continue
            says = f"The resolver `{address}` of `{device.name}` is a private address that this network does not have."
            hint = f"Write an address of `{device.into}`, for instance on one of its LANs, or a public resolver's."
            yield finding("W125", subject.spots(device.at, "dns", at), says, hint)


def published(subject: Subject) -> Iterator[Diagnostic]:
    """Clients from anywhere are answered by a device that sends everything into its tunnel, or by none."""
    for publish in subject.network.publishes:
        device = subject.network.devices_by_name.get(publish.to.device)
        if device is None or device.full_tunnel or publish.source is SourceKept.SNAT:
            continue
        says = (
            f"`{device.name}` would answer clients of `{publish.gateway}` past its tunnel, where nobody waits for it."
        )
        hint = f"Write `source: snat` here, or `full_tunnel: true` at `{device.name}`."
        yield finding("W126", subject.spots(publish.at, "to"), says, hint)


CHECKS: tuple[Check, ...] = (keys, reach, dialling, mtu, dns, published)
