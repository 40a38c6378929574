"""Hosts of the lab whose addresses, routes and rules are kept by a network manager of their own, a real one each.

    systemd-networkd    with a /sys that cannot be written, which tells it that no udev is coming
    NetworkManager      likewise, with a message bus of its own

The devices are made by wireguard-go out of these very files, for the lab's kernel need not have WireGuard: for
networkd the .netdev files are put aside, for NetworkManager the connections become those of the TUN devices that there
are. tests/vm has both make the devices themselves, on a kernel that can.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.core.render.nmcli import environment, parsed
from tests.core.render.units import keyfile_as_wg_conf, netdev_as_wg_conf
from tests.lab.renders import furnish, is_up, run, wait_until
from tests.unpacked import program
from warren.core.render.networkd_rules import translated
from warren.core.render.subject import state_of
from warren.lab.keys import PLACE
from warren.lab.spaces import MS_BIND, LabError, mount
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState

NETWORKD = "/lib/systemd/systemd-networkd"
MS_RDONLY = 1
SOMEBODYS = "203.0.113.253"  # an address on lo that is not ours
COMPLAINT = re.compile(r"0-warren-.*:\d+: |[Uu]nknown|[Cc]ould not")  # networkd names file and line
BUS = """\
<busconfig>
  <type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
MANAGER = """\
[main]
plugins=keyfile
auth-polkit=false
dns=none
rc-manager=unmanaged
no-auto-default=*
[device-others]
match-device=*
managed=0
"""


def by_networkd(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what renders a host for systemd-networkd and starts one there."""

    def work(host: str) -> HostState:
        state = state_of(network, lock, host)
        if is_up(state):
            set_devices(state)
            return state
        furnish(state, "networkd", "/run/systemd")
        for interface in state.interfaces:
            # networkd leaves a device alone that is to be of its own making and is of another kind.
            given = Path(f"/etc/systemd/network/70-warren-{interface.name}.netdev")
            wg_conf(host, interface.name).write_text(netdev_as_wg_conf(given.read_text()))
            given.unlink()
        make_devices(state)
        start_networkd(state)
        return state

    return work


def by_networkmanager(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what renders a host for NetworkManager and starts one there."""

    def work(host: str) -> HostState:
        state = state_of(network, lock, host)
        if is_up(state):
            set_devices(state)
            return state
        furnish(state, "networkmanager", "/run/dbus", "/run/NetworkManager", "/var/lib")
        for interface in state.interfaces:
            given = Path(f"/etc/NetworkManager/system-connections/{interface.name}.nmconnection")
            wg_conf(host, interface.name).write_text(keyfile_as_wg_conf(parsed(given.read_text())))
        make_devices(state)
        for interface in state.interfaces:
            given = Path(f"/etc/NetworkManager/system-connections/{interface.name}.nmconnection")
            given.write_text(as_tun(given.read_text(), run("ip", "-details", "link", "show", interface.name)))
        start_networkmanager(state)
        return state

    return work


# --- devices ---------------------------------------------------------------------------------------------


def wg_conf(host: str, device: str) -> Path:
    """Say where a device's side of WireGuard is kept, in wg's words."""
    return PLACE / host / f"{device}.wg"


def make_devices(state: HostState) -> None:
    """Load the firewall, make the devices, and set what udev would set when they appear."""
    settings = f"/etc/sysctl.d/70-{state.table_name}.conf"
    run("nft", "-f", f"/etc/{state.table_name}/firewall.nft")
    run("/lib/systemd/systemd-sysctl", settings)
    for interface in state.interfaces:
        run("wireguard-go", interface.name)
    set_devices(state)
    run("/lib/systemd/systemd-sysctl", settings)


def set_devices(state: HostState) -> None:
    """Give the devices their keys and peers."""
    for interface in state.interfaces:
        run("wg", "syncconf", interface.name, str(wg_conf(state.host, interface.name)))
        run("ip", "link", "set", "dev", interface.name, "mtu", str(interface.mtu), "up")


def as_tun(keyfile: str, shown: str) -> str:
    """Make a connection one for the TUN device that stands in for WireGuard's, as `ip -details link` shows it."""
    section = "[tun]\nmode=1\n" + "".join(f"{key}=true\n" for key, word in TUN.items() if f" {word} on" in shown)
    kept = re.sub(r"\[wireguard.*?(?=\[ipv4\])", f"{section}\n", keyfile, flags=re.DOTALL)
    return kept.replace("type=wireguard", "type=tun")


TUN = {"pi": "pi", "vnet-hdr": "vnet_hdr"}


# --- managers --------------------------------------------------------------------------------------------


def start_networkd(state: HostState) -> None:
    """Start systemd-networkd."""
    stand_in(state, "systemd-network")
    mount("sysfs", "/sys", "sysfs", flags=MS_RDONLY)
    for name in ("links", "leases"):
        Path("/run/systemd/netif", name).mkdir(parents=True)
    run("ip", "address", "add", f"{SOMEBODYS}/32", "dev", "lo")
    log = start(state, NETWORKD)
    wait_for_all(state, log)
    complaints = [line for line in log.read_text().splitlines() if COMPLAINT.search(line)]
    if SOMEBODYS not in run("ip", "address", "show", "dev", "lo"):
        complaints.append("an address that somebody gave lo is gone")
    if complaints:
        raise LabError("\n".join(complaints))


def start_networkmanager(state: HostState) -> None:
    """Start a message bus and NetworkManager, and hand it the devices."""
    mount("sysfs", "/sys", "sysfs", flags=MS_RDONLY)
    manager = PLACE / state.host / "NetworkManager.conf"
    manager.write_text(MANAGER)
    start_bus(state)
    log = start(state, program("sbin/NetworkManager"), "--debug", f"--config={manager}", "--config-dir=/run/dbus")
    nmcli = program("bin/nmcli")
    asked = (nmcli, "--terse", "--fields", "RUNNING", "general")
    wait_until(
        lambda: subprocess.run(asked, env=environment(), capture_output=True, text=True).stdout == "running\n",
        lambda: f"no NetworkManager: {log.read_text()}",
    )
    for interface in state.interfaces:
        words = ("device", "show", interface.name)
        wait_until(
            lambda words=words: subprocess.run((nmcli, *words), env=environment(), capture_output=True).returncode == 0,  # type: ignore[misc]
            log.read_text,
        )
        run(nmcli, "device", "set", interface.name, "managed", "yes", environment=environment())
        run(nmcli, "connection", "up", interface.name, environment=environment())
    wait_for_all(state, log)


def start_bus(state: HostState) -> None:
    """Start a message bus for this host alone."""
    bus = PLACE / state.host / "bus.conf"
    bus.write_text(BUS)
    start(state, "dbus-daemon", f"--config-file={bus}", "--nofork", "--nopidfile")
    wait_until(Path("/run/dbus/system_bus_socket").exists, lambda: "no message bus")


def stand_in(state: HostState, user: str) -> None:
    """Have a daemon that becomes a user of its own become the one that there is."""
    passwd = PLACE / state.host / "passwd"
    passwd.write_text(f"root:x:0:0::/:/bin/sh\n{user}:x:0:0::/:/bin/sh\n")
    mount(str(passwd), "/etc/passwd", flags=MS_BIND)


def start(state: HostState, *argv: str) -> Path:
    """Start a program that stays; give the file of what it says."""
    log = PLACE / state.host / f"{Path(argv[0]).name}.log"
    with log.open("w") as file:
        subprocess.Popen(argv, env=environment(), stdout=file, stderr=file, start_new_session=True)
    return log


def wait_for_all(state: HostState, log: Path) -> None:
    """Wait until the kernel has every rule and every route of a state, and no other in their places."""
    tables = {route.table for route in state.routes}
    wanted = (sum(len(said) for _, said in translated(state.rules)), len(state.routes))

    def found() -> tuple[int, int]:
        return len(rules_there()), len(routes_there(tables))

    wait_until(lambda: found() == wanted, lambda: f"{found()} rules and routes instead of {wanted}: {log.read_text()}")


def rules_there() -> list[str]:
    both = run("ip", "-4", "rule") + run("ip", "-6", "rule")
    return [line for line in both.splitlines() if 7700 <= int(line.partition(":")[0]) < 7800]


def routes_there(tables: set[int]) -> list[str]:
    both = run("ip", "-4", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all")
    return [line for line in both.splitlines() if any(f" table {table} " in line for table in tables)]
