"""What the machine itself lacks: WireGuard, programs, settings that can be written, IPv6, a quiet networkd."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warren.model.change import Obstacle
from warren.model.firewall import IfName, SetRef
from warren.model.state import (
    Backend,
    Hooks,
    HostState,
    Program,
)
from warren.model.surroundings import Surroundings

# Program: its package, when it is needed, and what is not possible without it.
_PROGRAMS: dict[str, tuple[str, Callable[[HostState], object], str]] = {
    "ip": ("iproute2", lambda state: True, "no route or rule can be set"),
    "wg": ("wireguard-tools", lambda state: state.interfaces, "no tunnel can be set up"),
    "nft": (
        "nftables",
        lambda state: state.tables,
        "the guards cannot be put up (`warren plan --script` writes a script that does with iptables alone)",
    ),
    "sysctl": ("procps", lambda state: state.sysctls, "no kernel setting can be written"),
    "conntrack": ("conntrack", lambda state: state.forget, "old flows keep their old path until they end"),
    "dnsmasq": (
        "dnsmasq-base",
        lambda state: any(service.program is Program.DNSMASQ for service in state.services),
        "machines on the LANs that it serves learn no address, and no names",
    ),
    "hostapd": (
        "hostapd",
        lambda state: any(service.program is Program.HOSTAPD for service in state.services),
        "there is no hotspot",
    ),
    "avahi-daemon": (
        "avahi-daemon",
        lambda state: any(service.program is Program.AVAHI for service in state.services),
        "nothing is reflected between LANs",
    ),
    "kea-dhcp6": (
        "kea-dhcp6-server",
        lambda state: any(service.program is Program.KEA for service in state.services),
        "routers on LANs with a delegated prefix get none of their own",
    ),
    "ndppd": (
        "ndppd",
        lambda state: any(service.program is Program.NDPPD for service in state.services),
        "nothing that is sent to a delegated prefix of the uplink's own link comes here",
    ),
    "bash": ("bash", lambda state: state.hooks != Hooks(), "the conf's hooks cannot be run"),
}
DNS_PORT = 53
_CAN_DO_WITHOUT = ("conntrack",)


def backend(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Say where WireGuard is to be had, if the machine has none."""
    if state.interfaces and surroundings.backend is Backend.NONE:
        yield Obstacle(
            "this kernel has no WireGuard, and wireguard-go is not installed",
            "Install wireguard-go (it needs /dev/net/tun), or run a kernel of 5.6 or later with its wireguard module.",
            _install("wireguard-go"),
        )


def devices(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Name the uplink and LANs of the file that are no devices of this machine: `eth0` is a mere habit.

    Their names stand in the table's rules, on whatever hook. A device may come later (a bridge, a dongle), so that
    nothing is refused for want of one.
    """
    if not surroundings.links or state.is_conf:
        return
    named = {
        name
        for table in state.tables
        for chain in table.chains
        for rule in chain.rules
        for match in rule.matches
        if isinstance(match, IfName) and not isinstance(match.names, SetRef)
        for name in match.names
    }
    there = [link.name for link in surroundings.links if link.name != "lo"]
    missing = sorted(named - set(there) - {"lo"} - {interface.name for interface in state.interfaces})
    if missing:
        yield Obstacle(
            f"this machine has no device called {', '.join(missing)}, which the file names as uplink or LAN",
            f"It has {', '.join(there[:12]) or 'none'}. Mend the file, or apply again once the device is there.",
            "ip link",
        )


def programs(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Name the programs that this state needs and the machine lacks."""
    for program, (package, needed, without) in _PROGRAMS.items():
        if program in surroundings.missing_programs and needed(state):
            blocks = program not in _CAN_DO_WITHOUT
            yield Obstacle(f"{program} is not installed: {without}", f"Install {package}.", _install(package), blocks)


def names(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Name who has port 53 of every address, where LANs and tunnels are to be answered; a dnsmasq may be our own."""
    answering = [one for one in state.services if one.program is Program.DNSMASQ and "\nbind-dynamic\n" in one.config]
    if not any("\nport=0\n" not in one.config for one in answering):
        return
    others = {one.program for one in surroundings.listeners if one.port == DNS_PORT} - {"", "dnsmasq"}
    for other in sorted(others):
        yield Obstacle(
            f"{other} listens at port {DNS_PORT}, where names are to be answered on LANs or tunnels",
            f"Have {other} listen at its own addresses only, or stop it.",
            f"ss -lnp 'sport = {DNS_PORT}'",
            blocks=False,
        )


def settings(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """In a container /proc/sys is often read-only; what has its value already is no obstacle."""
    if not surroundings.read_only_sysctls:
        return
    ours = {interface.name for interface in state.interfaces}
    for setting in state.sysctls:
        device = setting.name.split(".")[3] if ".conf." in setting.name else ""
        given = setting.name
        found = surroundings.sysctl(setting.name, "")
        if device.replace("/", ".") in ours:
            # A new device takes the default, and the stricter of it and `all` holds.
            found = max(surroundings.sysctl(f"net.ipv4.conf.{name}.rp_filter", "0") for name in ("all", "default"))
            if found != "1":
                continue
            given = "net.ipv4.conf.default.rp_filter"  # the device itself is not there when a container starts
        elif found == setting.value or (found.isdecimal() and int(found) >= int(setting.value)):
            continue
        yield Obstacle(
            f"{setting.name} is {found or 'not set'} and cannot be written here, but must be {setting.value}"
            + (f": {setting.why}" if setting.why else ""),
            "Set it where this container is started, or on the host outside it.",
            f"docker run --sysctl {given}={setting.value} …",
        )


def reverse_path(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """A strict reverse-path filter drops what comes in by a device that is not the way back."""
    declared = {setting.name for setting in state.sysctls}
    if surroundings.sysctl("net.ipv4.conf.all.rp_filter") != "1" or surroundings.read_only_sysctls:
        return
    for interface in state.interfaces:
        name = f"net.ipv4.conf.{interface.name.replace('.', '/')}.rp_filter"
        if name not in declared and not state.is_conf:
            yield Obstacle(
                f"net.ipv4.conf.all.rp_filter is strict, and nothing loosens it for {interface.name}",
                "Loosen it for this device.",
                f"sysctl -w {name}=2",
            )


def ipv6(state: HostState, surroundings: Surroundings) -> Iterator[Obstacle]:
    """Say what becomes of the network where IPv6 is disabled."""
    if not surroundings.ipv6 and state.interfaces:
        yield Obstacle(
            "IPv6 is disabled on this host, so the network has only its IPv4 half here",
            "Nothing leaks: there is no IPv6 to leak. To have both, enable it and apply again.",
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0",
            blocks=False,
        )


def networkd(surroundings: Surroundings) -> Iterator[Obstacle]:
    """Say how networkd is kept from deleting what we make."""
    if surroundings.networkd_manages_foreign:
        yield Obstacle(
            "systemd-networkd deletes routes and rules that are not its own whenever it restarts or reloads",
            "Tell it to leave them alone, in a file of /etc/systemd/networkd.conf.d/, and restart it once.",
            "printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' "
            "> /etc/systemd/networkd.conf.d/warren.conf",
        )


def _install(package: str) -> str:
    return f"apt-get install {package}"
