"""Checks of what warren does for LANs: leases, advertisements, hotspots, VLANs, bridges, and what is reflected."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.check.subject import Check, Subject, finding
from warren.core.leases import leased_subnet, pool
from warren.model.diagnostic import Diagnostic
from warren.model.host import Host, Lan
from warren.model.lan_words import Band
from warren.model.place import PlaceKind
from warren.model.prefix import Address

# Where 2.4 GHz ends with channel 11 (47 CFR 15.247 and what follows it); the kernel knows the rest by itself.
NARROW = frozenset(("US", "CA", "TW", "PR", "GU", "VI", "AS", "MP"))
FIVE = frozenset((*range(36, 65, 4), *range(100, 145, 4), *range(149, 166, 4)))


def _lans(subject: Subject) -> Iterator[tuple[Host, Lan, str]]:
    for host in subject.network.hosts:
        for lan in host.lans:
            yield host, lan, f"`{host.name}.{lan.name}`"


def leases(subject: Subject) -> Iterator[Diagnostic]:
    """Leases are of the LAN's subnet, and leave the router its own address."""
    for _, lan, name in _lans(subject):
        if lan.dhcp is None or not lan.addresses:
            continue
        where = subject.spots(lan.at, "dhcp", "range")
        router, ends = leased_subnet(lan), pool(lan)
        if router is None:
            what = "the range of" if lan.dhcp.first else "IPv4 of"
            says = f"{name} gives addresses, but has no subnet that {what} its leases lies in."
            if not any(address.version == 4 for address in lan.addresses):
                says = f"{name} gives IPv4 addresses, but has none itself."
            yield finding("W210", where, says, "Give the LAN an IPv4 address of that subnet, or take `dhcp:` out.")
        elif ends is None:
            says = f"`{router.network}`, the subnet of {name}, has no room for leases."
            yield finding("W210", where, says, "Give the LAN a /29 or larger, or take `dhcp:` out.")
        elif lan.dhcp.first is not None:
            subnet = router.network
            inside = ends[0] in subnet and ends[1] in subnet
            if not inside or subnet.network_address in ends or subnet.broadcast_address in ends:
                says = f"The leases of {name}, `{ends[0]}-{ends[1]}`, are not all ordinary addresses of `{subnet}`."
                yield finding("W210", where, says, f"Keep between `{subnet[1]}` and `{subnet[-2]}`.")
            elif ends[0] == ends[1] == router.ip:
                says = f"The only lease of {name} is the router's own address."
                yield finding("W210", where, says, "Widen the range.")


def fixed(subject: Subject) -> Iterator[Diagnostic]:
    """A fixed address lies in the subnet that leases are of, is not the router's, and one machine's alone."""
    for _, lan, name in _lans(subject):
        router = leased_subnet(lan)
        if lan.dhcp is None or router is None:
            continue
        own = {address.ip for address in lan.addresses}
        seen: dict[Address, str] = {}
        for one in lan.dhcp.static:
            where = one.at or subject.spots(lan.at, "dhcp", "static")
            subnet = router.network
            if one.address not in subnet or one.address in (subnet.network_address, subnet.broadcast_address):
                says = f"`{one.address}` is no machine's address in `{subnet}`, the subnet of {name}."
                yield finding("W212", where, says, f"Write one between `{subnet[1]}` and `{subnet[-2]}`.")
            elif one.address in own:
                says = f"`{one.address}` is the router's own address on {name}."
                yield finding("W212", where, says, "Give the machine another one.")
            elif one.address in seen:
                says = f"`{one.address}` is given to {seen[one.address]} already."
                yield finding("W212", where, says, "Give each machine its own.")
            seen.setdefault(one.address, one.mac)


def advertisements(subject: Subject) -> Iterator[Diagnostic]:
    """Advertisements tell of a /64, and a LAN has one announcer."""
    delegated = {(one.to, lan) for one in subject.network.delegates for lan in one.lans}
    for host, lan, name in _lans(subject):
        if not lan.ra or not lan.addresses:
            continue
        where = subject.spots(lan.at, "ra")
        if (host.name, lan.name) in delegated:
            says = f"A delegate's announcer tells {name} of all its prefixes already."
            yield finding("W219", where, says, "Take `ra: true` out: nothing changes.")
        elif not any(one.version == 6 and one.network.prefixlen == 64 for one in lan.addresses):
            says = f"{name} has no IPv6 /64, so there is nothing to announce."
            yield finding("W213", where, says, "Add an address, for instance `fd21::1/64`, or take `ra:` out.")


def channels(subject: Subject) -> Iterator[Diagnostic]:
    """A channel is one of the band's, and of the country's as far as that is widely known."""
    for _, lan, _ in _lans(subject):
        wifi = lan.wifi
        if wifi is None:
            continue
        where = subject.spots(lan.at, "wifi", "channel")
        if wifi.band is Band.FIVE and wifi.channel not in FIVE:
            says = f"5 GHz has no channel {wifi.channel}."
            yield finding("W216", where, says, "Leave it out for 36, which is free to use indoors nearly everywhere.")
        elif wifi.band is Band.TWO:
            most = 11 if wifi.country in NARROW else 13
            if wifi.channel > most:
                says = f"2.4 GHz has the channels 1 to {most} in {wifi.country}, and not {wifi.channel}."
                hint = "Write `band: 5` as well." if wifi.channel in FIVE else "Take 1, 6 or 11: they do not overlap."
                yield finding("W216", where, says, hint)


def devices(subject: Subject) -> Iterator[Diagnostic]:
    """What warren makes is one thing, and each port belongs to one bridge."""
    for host in subject.network.hosts:
        ports: dict[str, str] = {}
        vlans: dict[tuple[str, int], str] = {}
        names = {lan.name for lan in host.lans}
        for lan in host.lans:
            name = f"`{host.name}.{lan.name}`"
            where = subject.spots(lan.at, _word(lan))
            if lan.vlan and lan.bridge:
                yield finding("W217", where, f"{name} is a VLAN and a bridge at once.", "Take one of the two out.")
            if lan.wifi and (lan.vlan or lan.bridge):
                says = f"{name} is a hotspot, whose device is a radio, and not a VLAN or a bridge."
                yield finding("W217", where, says, "Give the radio a LAN of its own.")
            if lan.vlan:
                yield from _vlan(subject, host, lan, vlans)
            for at, port in enumerate(lan.bridge):
                spot = subject.spots(lan.at, "bridge", at)
                taken = "the uplink" if port == host.uplink else "a LAN itself" if port in names else ""
                if port == lan.name:
                    taken = "the bridge itself"
                if port in ports:
                    taken = f"a port of `{ports[port]}` already"
                if taken:
                    yield finding("W217", spot, f"`{port}` cannot be a port of {name}: it is {taken}.", "Take it out.")
                ports.setdefault(port, lan.name)


def _word(lan: Lan) -> str:
    words = {"dhcp": lan.dhcp, "ra": lan.ra, "wifi": lan.wifi, "vlan": lan.vlan, "bridge": lan.bridge}
    return next((word for word, value in words.items() if value), "address")


def _vlan(subject: Subject, host: Host, lan: Lan, seen: dict[tuple[str, int], str]) -> Iterator[Diagnostic]:
    assert lan.vlan is not None
    where = subject.spots(lan.at, "vlan")
    if lan.vlan.of == lan.name:
        yield finding("W217", where, f"`{lan.name}` cannot be a VLAN of itself.", "Name the device that carries it.")
    first = seen.setdefault((lan.vlan.of, lan.vlan.id), lan.name)
    if first != lan.name:
        says = f"VLAN {lan.vlan.id} of `{lan.vlan.of}` is `{host.name}.{first}` already."
        yield finding("W217", where, says, "Give each LAN a VLAN of its own.")


def reflected(subject: Subject) -> Iterator[Diagnostic]:
    """There are two LANs to reflect between, beside the uplink."""
    for host in subject.network.hosts:
        if host.reflect and len([lan for lan in host.lans if lan.name != host.uplink]) < 2:
            says = f"`{host.name}` has not two LANs between which anything could be reflected."
            yield finding("W218", subject.host_spot(host, "reflect"), says, "Take `reflect:` out.")


def names_of_parts(subject: Subject) -> Iterator[Diagnostic]:
    """Who is led away and asks the LAN's resolver is known by his questions where the LAN's own leave."""
    whole = {
        (portal.source.host, portal.source.lan, portal.exits)
        for portal in subject.network.portals
        if portal.source.kind is PlaceKind.LAN
    }
    served = {(host.name, lan.name) for host, lan, _ in _lans(subject) if lan.dhcp or lan.ra}
    for portal in subject.network.portals:
        source = portal.source
        if source.kind not in (PlaceKind.MAC, PlaceKind.PREFIX) or portal.delegated:
            continue
        if (source.host, source.lan) in served and (source.host, source.lan, portal.exits) not in whole:
            lan = f"`{source.host}.{source.lan}`"
            says = f"`{source}` asks the resolver of {lan}, whose questions do not leave at `{portal.exit}`."
            hint = "Give it a LAN of its own, or the whole LAN a portal by that exit."
            yield finding("W209", subject.portal_spot(portal, "from"), says, hint)


CHECKS: tuple[Check, ...] = (leases, fixed, advertisements, channels, devices, reflected, names_of_parts)
