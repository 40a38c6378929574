"""/etc/config/firewall for fw4: a zone for our devices, an opening for WireGuard, and our own table as it is.

fw4 loads /etc/warren/NETWORK.nft in the one transaction in which it loads its own table, before there are any
interfaces at boot, and again at each reload: our guards are there as long as fw4's are. What may pass between the zone
and others is decided in that table; fw4, which would drop it all, is told to leave it through.
"""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.render.openwrt.names import section_name
from warren.core.render.openwrt.uci import Section
from warren.model.firewall import IfName
from warren.model.state import HostState

ZONE_CHARS = 11  # what LuCI takes for a name


def firewall_sections(state: HostState) -> Iterator[Section]:
    """List the sections of /etc/config/firewall that do not depend on the router's own zones."""
    if not state.interfaces:
        return
    names = tuple(interface.name for interface in state.interfaces)
    accept = (("input", "ACCEPT"), ("output", "ACCEPT"), ("forward", "ACCEPT"))
    zone = (("name", zone_name(state)), ("network", names), *accept)
    yield Section("firewall", "zone", section_name(state.owner, "zone"), zone)
    ports = " ".join(str(interface.listen_port) for interface in state.interfaces if interface.listen_port)
    if ports:
        opening = (("name", f"WireGuard of {state.owner}"), ("src", "*"), ("proto", "udp"), ("dest_port", ports))
        yield Section("firewall", "rule", section_name(state.owner, "dial"), (*opening, ("target", "ACCEPT")))
    if state.tables:
        include = (("type", "nftables"), ("path", nft_path(state)), ("position", "ruleset-post"))
        yield Section("firewall", "include", section_name(state.owner, "table"), include)


def zone_name(state: HostState) -> str:
    """Name our zone: as the network is called, behind a letter that keeps it from being the router's own."""
    return f"w_{state.owner}".replace("-", "_")[:ZONE_CHARS]


def nft_path(state: HostState) -> str:
    """Say where our table's text lies."""
    return f"/etc/warren/{state.owner}.nft"


def met_devices(state: HostState) -> tuple[str, ...]:
    """Name the router's own devices between which and ours something may pass: those that our table speaks of."""
    own = {interface.name for interface in state.interfaces} | {"lo"}
    found: set[str] = set()
    for table in state.tables:
        for chain in table.chains:
            for rule in chain.rules:
                for match in rule.matches:
                    if isinstance(match, IfName) and isinstance(match.names, tuple):
                        found.update(match.names)
    return tuple(sorted(found - own))
