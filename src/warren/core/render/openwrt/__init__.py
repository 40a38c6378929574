"""A host's state for OpenWrt (22.03 and later): UCI for netifd and fw4, our nft table, and a script that puts them in.

    /etc/warren/NETWORK.uci               our sections, as lines for `uci batch`
    /etc/warren/NETWORK.nft               our table, which fw4 loads with its own
    /etc/sysctl.d/70-warren-NETWORK.conf  kernel settings; hotplug writes a device's when that appears
    /usr/bin/warren-NETWORK               install | remove | watch | rules
    /etc/hotplug.d/iface/95-warren-…      where netifd has no words for a rule: the script's, when interfaces come up
    /lib/upgrade/keep.d/warren-NETWORK    what a firmware upgrade has to keep

Keys stay out of the files: the script reads them on the router and hands them to uci, which keeps them in
/etc/config/network as all of OpenWrt's WireGuard does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from warren.core.compile.firewall.sets import OPEN_UDP
from warren.core.domains import by_answers
from warren.core.render.nft import render_table
from warren.core.render.openwrt.advertise import advertise_unsaid, delegated_addresses, own_addresses_unsaid
from warren.core.render.openwrt.firewall import firewall_sections, met_devices, nft_path
from warren.core.render.openwrt.helper import helper_text
from warren.core.render.openwrt.names import with_safe_devices
from warren.core.render.openwrt.network import more_rules, network_sections, network_unsaid
from warren.core.render.openwrt.uci import batch
from warren.core.render.tree import File, Rendered, unspoken
from warren.core.render.unsaid import Unsaid
from warren.model.state import HostState

__all__ = ["render_openwrt"]

SPOKEN = ("routes", "rules", "tables", "sysctls", "forget", "lan_addresses", "services")


def render_openwrt(state: HostState) -> Rendered:
    """Give the files, what they cannot say, and the commands that put them on the router."""
    here = with_safe_devices(replace(state, lan_addresses=delegated_addresses(state)))
    script = f"usr/bin/warren-{state.owner}"
    tables = "".join(render_table(table) for table in here.tables)
    sections = (*network_sections(here), *firewall_sections(here))
    files: tuple[File, ...] = (
        File(f"etc/warren/{state.owner}.uci", batch(sections)),
        File(nft_path(here).lstrip("/"), tables),
        File(f"etc/sysctl.d/70-warren-{state.owner}.conf", "".join(_settings(here))),
        File(script, helper_text(here), 0o755),
        File(f"lib/upgrade/keep.d/warren-{state.owner}", "".join(f"{path}\n" for path in _kept(here))),
    )
    if more_rules(here):
        hook = f'[ "$ACTION" != ifup ] || /usr/bin/warren-{state.owner} rules\n'
        files = (*files, File(f"etc/hotplug.d/iface/95-warren-{state.owner}", hook))
    steps = (
        "on the router: opkg update && opkg install kmod-wireguard wireguard-tools ip-full conntrack   (or: apk add)",
        "put the host's private key where the network file says it is, 0600",
        "scp -O -r etc usr lib root@ROUTER:/",
        f"ssh root@ROUTER warren-{state.owner} install",
    )
    return Rendered(files, tuple(_unsaid(here, state)), steps)


def _settings(state: HostState) -> Iterator[str]:
    """Write kernel settings; what is learned of routers is odhcp6c's affair there, not the kernel's."""
    for setting in state.sysctls:
        if not setting.name.endswith(".accept_ra"):
            yield f"# {setting.why}\n{setting.name}={setting.value}\n"


def _kept(state: HostState) -> Iterator[str]:
    yield from ("/etc/warren/", f"/etc/sysctl.d/70-warren-{state.owner}.conf", f"/usr/bin/warren-{state.owner}")
    yield f"/lib/upgrade/keep.d/warren-{state.owner}"
    if more_rules(state):
        yield f"/etc/hotplug.d/iface/95-warren-{state.owner}"
    secrets = [one.private_key for one in state.interfaces]
    secrets += [peer.psk for one in state.interfaces for peer in one.peers if peer.psk is not None]
    yield from sorted({one.path for one in secrets if one.path and not one.path.startswith("/etc/warren/")})


def _unsaid(here: HostState, state: HostState) -> Iterator[Unsaid]:
    yield from unspoken(state, "OpenWrt's configuration", SPOKEN)
    yield from network_unsaid(here)
    yield from advertise_unsaid(here)
    yield from own_addresses_unsaid(state)
    for table in here.tables:
        for held in table.sets:
            if held.live and held.name != OPEN_UDP.name and not by_answers(held):
                yield Unsaid(
                    f"what is put into the set {held.name} later",
                    "nothing feeds it there",
                    "render again when it should hold something else",
                )
    if here.tables and not met_devices(here) and here.interfaces:
        yield Unsaid(
            f"which zones of {state.host} the tunnels may meet",
            "the firewall names none of its devices",
            "add forwardings to our zone by hand if its LANs are to use them",
        )
