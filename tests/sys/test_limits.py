"""Hosts that cannot do everything: clear words, and the best that is possible."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.sys.boxes import Box, difference
from tests.sys.site import ANYWHERE, Site, site
from warren.core.plan import describe
from warren.model.state import Backend
from warren.sys import backend, privilege
from warren.sys import run as running
from warren.sys.apply import apply, down
from warren.sys.errors import HostError

pytestmark = pytest.mark.lab


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        yield made


def only(monkeypatch: pytest.MonkeyPatch, directory: Path, *programs: str) -> None:
    """Have nothing in the PATH but these programs."""
    directory.mkdir()
    for name in programs:
        found = running.find_program(name)
        assert found is not None, name
        (directory / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(running, "_SYSTEM_PATH", ())


def test_without_conntrack_old_flows_are_said_to_stay(
    here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not essential: apply goes on, and says what is lost."""
    only(monkeypatch, tmp_path / "bin", "ip", "nft", "wg", "sysctl", "wireguard-go", "modprobe")

    applied = here.apply(here.default(), "nyc")

    assert applied.missed == ("conntrack(8) is not installed: old flows keep their old path until they end",)


@pytest.mark.parametrize(("program", "package"), [("nft", "nftables"), ("wg", "wireguard-tools"), ("ip", "iproute2")])
def test_what_is_essential_is_named_before_anything_changes(
    here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    """With the package that brings it."""
    before = here["nyc"].picture()
    every = {"ip", "nft", "wg", "sysctl", "wireguard-go", "modprobe", "conntrack"}
    with monkeypatch.context() as patched:
        only(patched, tmp_path / "bin", *every - {program})

        with pytest.raises(HostError, match=f"`{program}` is not installed\nInstall the package {package}"):
            here.apply(here.default(), "nyc")

    assert difference(before, here["nyc"].picture()) == ""


def test_no_wireguard_at_all(here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither module nor wireguard-go: how to get one."""
    monkeypatch.setattr(backend.os.path, "isdir", lambda path: False)
    only(monkeypatch, tmp_path / "bin", "ip", "nft", "wg", "sysctl")

    assert "this kernel has no WireGuard" in describe(here.prepare(here.default(), "nyc").plan)
    with pytest.raises(HostError, match="neither the kernel's module nor wireguard-go") as refused:
        here.apply(here.default(), "nyc")

    assert "install the package wireguard-go" in refused.value.remedy


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize(
    ("mode", "says"), [("600", "wireguard-go has no permission for /dev/net/tun"), ("666", "fine")]
)
def test_a_tun_device_that_may_not_be_opened(tmp_path: Path, mode: str, says: str) -> None:
    """It is there, but an ordinary user needs the permission too; the module is hidden from him."""
    script = (
        "import os; os.path.isdir = lambda path: False; from warren.sys import backend; backend.MODULES = '/nowhere'\n"
        "try: backend.require(backend.detect()); print('fine')\n"
        "except backend.HostError as error: print(error)\n"
    )
    (tmp_path / "script.py").write_text(script)
    nobody = f"setpriv --reuid=65534 --regid=65534 --clear-groups {sys.executable} - <{tmp_path}/script.py"
    tun = f"mknod -m {mode} {tmp_path}/tun c 10 200 && mount --bind {tmp_path}/tun /dev/net/tun"

    done = subprocess.run(("unshare", "-m", "sh", "-c", f"{tun} && {nobody}"), capture_output=True, text=True, cwd="/")

    assert says in done.stdout, done.stderr
    assert ("chmod 666 /dev/net/tun" in done.stdout) is (mode == "600")


def test_the_module_is_found_without_loading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what `modprobe -n` says; the kernel's WireGuard wins over the program."""
    for status, expected in ((0, Backend.KERNEL), (1, Backend.USERSPACE)):
        directory = tmp_path / str(status)
        directory.mkdir()
        (directory / "modprobe").write_text(f'#!/bin/sh\n[ "$*" = "-n -q wireguard" ] || exit 9\nexit {status}\n')
        (directory / "modprobe").chmod(0o755)
        (directory / "wireguard-go").write_text("#!/bin/sh\n")
        (directory / "wireguard-go").chmod(0o755)
        monkeypatch.setattr(backend.os.path, "isdir", lambda path: False)
        monkeypatch.setattr(backend, "MODULES", str(tmp_path))
        (tmp_path / os.uname().release).mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", str(directory))

        assert backend.detect() is expected


def test_read_only_settings_that_are_right_already(here: Site) -> None:
    """A container whose /proc/sys cannot be written, on a host that forwards: everything works."""
    nyc = here["nyc"]
    nyc.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.accept_ra=2")
    nyc.sh("sysctl -qw net.ipv4.conf.eth0.rp_filter=2")
    nyc.sh("mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys")
    assert not nyc.ok("sysctl -qw net.ipv4.ip_forward=0")

    here.up(here.default())

    assert "!" not in describe(here.prepare(here.default(), "nyc").plan)
    for target in ANYWHERE:
        here["client"].sh(f"ping -c1 -W8 {target}")
    nyc.call(partial(down, "portals", nyc.machine))


def test_read_only_settings_that_are_wrong(here: Site) -> None:
    """What cannot be set is named with where to set it; all the rest is done."""
    nyc = here["nyc"]
    nyc.sh("mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys")

    told = describe(here.prepare(here.default(), "nyc").plan)
    here.apply(here.default(), "nyc")

    assert "! net.ipv4.ip_forward is 0 and cannot be written here, but must be 1" in told
    assert "docker run --sysctl net.ipv4.ip_forward=1" in told
    assert here.prepare(here.default(), "nyc").plan.items == ()


def test_ipv6_is_disabled(here: Site) -> None:
    """Its half is left out and said; IPv4 works, and down leaves the host as it was."""
    nyc = here["nyc"]
    nyc.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
    before = nyc.picture()

    here.up(here.default())

    assert "IPv6 is disabled on this host" in describe(here.prepare(here.default(), "nyc").plan)
    here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    assert not here["client"].ok(f"ping -c1 -W1 {ANYWHERE[1]}")
    nyc.call(partial(down, "portals", nyc.machine))
    assert difference(before, nyc.picture()) == ""


def unprivileged(box: Box, *words: str) -> subprocess.CompletedProcess[str]:
    """Run warren as root without CAP_NET_ADMIN."""
    return subprocess.run(
        box.argv("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, *words),
        capture_output=True,
        text=True,
        env={"WARREN_STATE_DIR": str(box.state), "PATH": "/usr/bin:/usr/sbin"},
    )


def test_no_privilege(here: Site) -> None:
    """It is the capability that counts; which one, and how to get it."""
    script = "from warren.sys.privilege import require_net_admin as r; r('changing the network')"
    assert privilege.has_net_admin()

    done = unprivileged(here["nyc"], "-c", script)

    assert "changing the network needs the capability CAP_NET_ADMIN, which this process lacks" in done.stderr


def test_a_capability_is_enough(here: Site, tmp_path: Path) -> None:
    """An ordinary user with CAP_NET_ADMIN alone reads and changes what a kernel tunnel would need."""
    nyc = here["nyc"]
    script = (
        "from warren.sys.privilege import require_net_admin as r; r('x')\n"
        "from warren.sys.survey import survey; print(survey().ipv6)"
    )
    caps = ("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin")
    done = subprocess.run(
        nyc.argv("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *caps, sys.executable, "-c", script),
        capture_output=True,
        text=True,
    )

    assert done.stdout == "True\n", done.stderr


def test_relative_paths_begin_where_the_file_lies(here: Site) -> None:
    """Whoever rolls back, or boots, is not in the directory in which somebody typed `warren apply`."""
    network = here.default()
    relative = replace(
        network,
        file=str(here.directory / "portals.yaml"),
        hosts=tuple(replace(one, private_key=f"{one.name}.key") for one in network.hosts),
    )

    desired = here.prepare(relative, "nyc").desired

    assert {each.private_key.path for each in desired.interfaces} == {str(here.directory / "nyc.key")}


def test_the_wrong_private_key(here: Site, tmp_path: Path) -> None:
    """The key of another host: refused, with both public keys."""
    network = here.default()
    mixed = replace(
        network,
        hosts=tuple(
            replace(one, private_key=here.hosts["paris"].private_key) if one.name == "nyc" else one
            for one in network.hosts
        ),
    )

    with pytest.raises(HostError, match="is not that of nyc: its public key is") as refused:
        here.prepare(mixed, "nyc")

    assert here.hosts["nyc"].key in refused.value.remedy
    assert not list(here["nyc"].state.iterdir())


_HOLD_PORT = """
import socket, time
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind(("0.0.0.0", 51821))
print("bound")
time.sleep(1000)
"""


def test_a_port_that_is_taken(here: Site) -> None:
    """Named in the plan with who has it; apply fails in the kernel's words and leaves nothing behind."""
    nyc, network = here["nyc"], here.default()
    with nyc.popen(sys.executable, "-uc", _HOLD_PORT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "bound\n"
        before = nyc.picture()

        told = describe(here.prepare(network, "nyc").plan)
        assert "! UDP port 51821, on which portals-paris is to listen, is taken by another program" in told
        with pytest.raises(HostError, match="Address already in use"):
            here.apply(network, "nyc")

        assert difference(before, nyc.picture()) == ""
        holder.kill()
    assert "is taken by" not in describe(here.prepare(network, "nyc").plan)


def test_a_state_that_cannot_be_kept(here: Site) -> None:
    """No memory, no change."""
    nyc, network = here["nyc"], here.default()
    before = nyc.picture()
    desired = here.prepare(network, "nyc").desired
    nyc.sh(f"mount -t tmpfs -o ro none {nyc.state}")

    with pytest.raises(HostError, match="read-only file system"):
        nyc.call(lambda: apply(desired, nyc.machine))

    assert difference(before, nyc.picture()) == ""
