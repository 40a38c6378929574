"""Kernel settings a host needs, each with its reason, and the consents its owner gave."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.compile.here import Here
from warren.model.network import Way
from warren.model.place import PlaceKind
from warren.model.prefix import Family
from warren.model.state import ConsentRule, Sysctl


def lay_sysctls(here: Here) -> tuple[Sysctl, ...]:
    """List the settings in the order in which they must be written."""
    return tuple(_sysctls(here)) if here.devices else ()


def _sysctls(here: Here) -> Iterator[Sysctl]:
    # What is not there yet has no settings; `plan` names it.
    has_uplink = not here.surroundings.links or here.host.uplink in here.surroundings.link_by_name
    uplink = _in_sysctl(here.host.uplink)
    if forwards(here):
        if Family.IPV6 in here.usable:
            if has_uplink and here.surroundings.sysctl(f"net.ipv6.conf.{uplink}.accept_ra", "1") != "0":
                yield Sysctl(
                    f"net.ipv6.conf.{uplink}.accept_ra",
                    "2",
                    "forwarding would delete the default route learned by router advertisement",
                )
            yield Sysctl("net.ipv6.conf.all.forwarding", "1", "packets pass between LANs, tunnels and the uplink")
        yield Sysctl("net.ipv4.ip_forward", "1", "packets pass between LANs, tunnels and the uplink")
    for device in here.devices:
        yield Sysctl(
            f"net.ipv4.conf.{_in_sysctl(device)}.rp_filter",
            "2",
            "answers from the internet come in by the tunnel while the way out is the uplink",
        )
    filters = [here.surroundings.sysctl(f"net.ipv4.conf.{name}.rp_filter", "1") for name in ("all", uplink)]
    if has_uplink and filters != ["0", "0"] and any(_steers(way) for way in here.entering):
        yield Sysctl(
            f"net.ipv4.conf.{uplink}.rp_filter",
            "2",
            "the way back to who comes in by the uplink is asked of the portals' rules, which say: by a tunnel",
        )


def _steers(way: Way) -> bool:
    """Say whether rules of routing lead a portal's IPv4 traffic: a strict reverse-path check follows them too.

    The kernel asks for the way back as if the answer came in by the device that the packet will leave by, without
    the marks that would lead it. So a strict uplink drops what is sent to a portal's LAN by a port forwarding.
    """
    return way.portal.source.kind is not PlaceKind.MAC and Family.IPV4 in way.portal.families


def forwards(here: Here) -> bool:
    """Say whether any packet of the network passes through the host."""
    entering = any(way.portal.source.lan for way in here.entering)
    return bool(here.host.lans or here.through or here.is_hub or here.guests or entering or here.openings)


def _in_sysctl(device: str) -> str:
    """Write a device's name as sysctl(8) wants it: a dot would end the word."""
    return device.replace(".", "/")


def consents(here: Here) -> tuple[ConsentRule, ...]:
    """List the rules at a foreign firewall's hook that the owner consented to by `firewall:`."""
    tool = here.host.firewall
    if not tool:
        return ()
    ports = [device.port for device in here.locked.devices if device.name in here.devices]
    passing = [("forward-in", device) for device in here.devices] + [("forward-out", device) for device in here.devices]
    entering = [] if tool == "docker" else [("input", device) for device in here.devices]  # Docker leaves INPUT alone
    return tuple(
        rule
        for family in here.usable
        for rule in (
            *(ConsentRule(tool, family, direction, device) for direction, device in passing + entering),
            *(ConsentRule(tool, family, "input", udp_port=port) for port in ports if entering),
        )
    )
