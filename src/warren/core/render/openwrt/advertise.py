"""Delegated prefixes on OpenWrt: odhcpd tells a LAN of them, as it tells it of every prefix on the LAN's device.

The address of a delegated prefix stands on an interface of ours beside `lan`, on the same device. Where the router
advertises there already, as OpenWrt does from the start, nothing more is needed; else there is a section for it. odhcpd
looks for a default route in any routing table to say whether it is a way out, and tells at once when there is none any
more. A WireGuard device never goes down with its peer, so cron looks for the last handshake.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.render.unsaid import Unsaid
from warren.model.prefix import Family, Prefix, covers
from warren.model.state import HostState, LanAddress, Program, Rule, Service

# What OpenWrt has words of its own for.
_INSTEAD = {
    Program.DNSMASQ: "/etc/config/dhcp says the same there: start, limit, leasetime, ra, and `config host`",
    Program.HOSTAPD: "/etc/config/wireless says the same there: country, band, channel, ssid, encryption, key",
    Program.AVAHI: "install avahi-nodbus-daemon there, and write enable-reflector=yes",
}


def announcers(state: HostState) -> tuple[Service, ...]:
    """List the services whose work odhcpd does there: announcing prefixes whose addresses are on LANs of ours."""
    return tuple(one for one in state.services if one.program is Program.DNSMASQ and one.announces and not one.answers)


def delegated_addresses(state: HostState) -> tuple[LanAddress, ...]:
    """List the addresses of delegated prefixes; those of a LAN's own are its own interface's affair there."""
    prefixes = {prefix for one in announcers(state) for prefix in one.announces}
    return tuple(one for one in state.lan_addresses if one.address.network in prefixes)


def own_addresses_unsaid(state: HostState) -> Iterator[Unsaid]:
    """Name the addresses that LANs' own interfaces have to have."""
    delegated = delegated_addresses(state)
    for one in state.lan_addresses:
        if one not in delegated:
            yield Unsaid(
                f"the address {one.address} on {one.device}",
                "a LAN's own address belongs to its own interface there, which others depend on",
                f"see that /etc/config/network gives it to the interface on {one.device}",
            )


def announced_devices(state: HostState) -> tuple[str, ...]:
    """Name the devices on which prefixes are announced."""
    prefixes = {prefix for one in announcers(state) for prefix in one.announces}
    return tuple(sorted({one.device for one in state.lan_addresses if one.address.network in prefixes}))


def ways_out(state: HostState) -> Iterator[tuple[str, int]]:
    """List by which device, and which table, announced prefixes leave."""
    prefixes = [prefix for one in announcers(state) for prefix in one.announces]
    tables = {rule.table for rule in state.rules if _from(rule, prefixes)}
    for route in state.routes:
        if route.table in tables and route.prefix == Family.IPV6.everything and route.device:
            yield route.device, route.table


def _from(rule: Rule, prefixes: list[Prefix]) -> bool:
    source = rule.source
    return source is not None and source.version == 6 and any(covers(prefix, source) for prefix in prefixes)


def advertise_unsaid(state: HostState) -> Iterator[Unsaid]:
    """Name the services that nothing does there, and what odhcpd does less well."""
    known = announcers(state)
    for service in state.services:
        if service not in known:
            yield Unsaid(
                f"{service.program} ({service.name}): {service.why or 'what it does'}",
                "its configuration is not made for OpenWrt's own programs",
                _INSTEAD.get(service.program, "run it there by hand, or warren on another machine of that LAN"),
            )
    if known:
        yield Unsaid(
            "that a LAN is told within five seconds that the tunnel is dead",
            "there is no agent, and cron looks at the last handshake once a minute",
            "machines on the LAN are told after three to four minutes",
        )
