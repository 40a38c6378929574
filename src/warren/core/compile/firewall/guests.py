"""What devices of `devices:` may do: begin flows to their `reach:` and nothing else, the host itself included.

WireGuard holds each of them to its own address, so an address tells a device. Answers pass: what others begin is
theirs to end.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.firewall.sets import SAVE_UPLINK, came_by, leaves_by, near, rule, source, to
from warren.core.compile.guests import reached_prefixes, resolvers
from warren.core.compile.here import Here
from warren.model.device import Device
from warren.model.firewall import (
    Chain,
    Counter,
    CtState,
    CtStatus,
    Goto,
    Masquerade,
    Match,
    NftRule,
    Port,
    Reject,
    Return,
)
from warren.model.prefix import Family, Prefix

DNS = 53


def guest_devices(here: Here) -> tuple[str, ...]:
    """List the tunnel devices that hold devices."""
    return tuple(guests.device for guests in here.guests)


def _all(here: Here) -> Iterator[tuple[str, Device]]:
    """Go through all devices, each with the tunnel device that holds it."""
    for guests in here.guests:
        for device in guests.members:
            yield guests.device, device


def judge_guests(here: Here, chain: str) -> Iterator[NftRule]:
    """Send what comes in from devices to the chain that judges it."""
    if here.guests:
        yield rule(came_by(*guest_devices(here)), Goto(chain), why="what devices may reach")


def guest_chains(here: Here) -> Iterator[Chain]:
    """Make the chains that judge what devices send: on to others, and to this host."""
    if here.guests:
        yield Chain("from_devices", (*_reach(here), *_full(here), _refused()))
        yield Chain("devices_in", (*_reach(here), _refused()))


def _reach(here: Here) -> Iterator[NftRule]:
    yield rule(CtState(("established", "related")), Return())
    for _, device in _all(here):
        for family in here.carried:
            own = _of(family, here.fabric.guest_addresses(device.name))
            if not own:
                continue
            for matches in _to(here, family, reached_prefixes(here.fabric, device)):
                yield rule(source(family, own), *matches, Return(), why=f"{device.name} may reach this")
            for matches in _to(here, family, resolvers(here.fabric, device)):
                for proto in ("udp", "tcp"):
                    to_resolver = (source(family, own), *matches, Port(proto, "dport", (DNS,)))
                    yield rule(*to_resolver, Return(), why=f"the resolver that {device.name} is told")


def _to(here: Here, family: Family, known: tuple[Prefix, ...]) -> Iterator[tuple[Match, ...]]:
    """Match what is for prefixes as devices know them; by then, what is for a mapped LAN of ours has its own."""
    plain = []
    for prefix in _of(family, known):
        own = next((own for pair in here.mapped if (own := pair.inward(prefix)) is not None), None)
        if own is None:
            plain.append(prefix)
        else:
            yield (CtStatus("dnat"), to(family, (own,)))
    if plain:
        yield (to(family, tuple(plain)),)


def _full(here: Here) -> Iterator[NftRule]:
    for family in here.carried:
        full = _full_sources(here, family)
        if full:
            yield rule(
                leaves_by(here.host.uplink),
                source(family, tuple(own for _, prefixes in full for own in prefixes)),
                to(family, near(family), negate=True),
                SAVE_UPLINK,
                Return(),
                why="full tunnel: leaves by our uplink",
            )


def _refused() -> NftRule:
    return rule(Counter(), Reject(), why="not in the reach of this device")


def to_guests(here: Here) -> Iterator[NftRule]:
    """Let the network's other hosts and their LANs reach devices."""
    for family in here.carried:
        for device in guest_devices(here):
            own = tuple(
                prefix
                for held_on, guest in _all(here)
                if held_on == device
                for prefix in _of(family, here.fabric.guest_addresses(guest.name))
            )
            if own:
                yield rule(leaves_by(device), to(family, own), Return(), why="our devices")


def keep_source(here: Here) -> Iterator[NftRule]:
    """What goes to a device keeps its source where the device sends its answers into the tunnel."""
    for family in here.carried if here.guests else ():
        for held_on, full in _full_sources(here, family):
            yield rule(leaves_by(held_on), to(family, full), Return(), why="a full tunnel answers everybody")
        answered = _of(family, here.fabric.near[family])
        for _, device in _all(here):
            answered += _of(family, reached_prefixes(here.fabric, device))
        sources = tuple(dict.fromkeys(answered))
        if sources:
            yield rule(leaves_by(*guest_devices(here)), source(family, sources), Return())


def masquerade_guests(here: Here) -> Iterator[NftRule]:
    """Give what leaves for a full tunnel the uplink's address."""
    for family in here.carried:
        for device, own in _full_sources(here, family):
            yield rule(came_by(device), leaves_by(here.host.uplink), source(family, own), Masquerade())


def _full_sources(here: Here, family: Family) -> tuple[tuple[str, tuple[Prefix, ...]], ...]:
    """List, by tunnel device, the addresses of devices with a full tunnel."""
    found: dict[str, tuple[Prefix, ...]] = {}
    for held_on, device in _all(here):
        if device.full_tunnel:
            found[held_on] = found.get(held_on, ()) + _of(family, here.fabric.guest_addresses(device.name))
    return tuple((held_on, own) for held_on, own in found.items() if own)


def _of(family: Family, prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    return tuple(prefix for prefix in prefixes if prefix.version == family)
