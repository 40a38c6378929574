"""In a container as Docker and Podman make them: few capabilities, /proc/sys that cannot be written, no modules.

The box has the network of its own that a container has; its root is this machine's. docs/container.md says the same
in words.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import warren as cli
from tests.sys.boxes import Box, boxes, difference
from tests.sys.site import make_key
from tests.sys.verbs import MAIN, Done, environment, wait_for, warren

pytestmark = pytest.mark.lab

# What `docker run` leaves to a container by default (moby's profiles/…/caps), without NET_ADMIN.
DEFAULT = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,"
    "audit_write,setfcap"
)
NETWORK = """\
network: home
overlay: [10.77.0.0/24]
hosts:
  cloud:
    key: {cloud}
    private_key: {directory}/cloud.key
    endpoint: 192.0.2.1:51820
    uplink: eth0
  box:
    key: {box}
    private_key: {directory}/box.key
    uplink: eth0
    lans:
      br0: {{address: 192.168.9.1/24}}
"""


class Containers:
    """A host that is on the internet, and one in a container."""

    def __init__(self, directory: Path, cloud: Box, box: Box) -> None:
        self.cloud, self.box = cloud, box
        cloud.wire("eth0", box, "eth0")
        cloud.sh("ip addr add 192.0.2.1/24 dev eth0")
        box.sh("ip addr add 192.0.2.2/24 dev eth0; ip link add br0 type bridge; ip link set br0 up")
        box.sh("ip addr add 192.168.9.1/24 dev br0")
        keys = {name: make_key(directory / f"{name}.key") for name in ("cloud", "box")}
        self.file = directory / "home.yaml"
        self.file.write_text(NETWORK.format(directory=directory, **keys))
        assert cli("lock", str(self.file)).returncode == 0

    def settings(self, *settings: str) -> None:
        """Set what `docker run --sysctl` does, then make /proc/sys as a container has it."""
        for setting in settings:
            self.box.sh(f"sysctl -qw {setting}")
        self.box.sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys")

    def warren(self, *words: str, more: str = ",+net_admin") -> Done:
        """Run warren with a container's capabilities."""
        caps = ",".join(f"+{name}" for name in DEFAULT.split(","))
        shell = ("setpriv", f"--bounding-set=-all,{caps}{more}", "--inh-caps=-all", "--")
        argv = self.box.argv(*environment(self.box), *shell, sys.executable, "-c", MAIN, *words)
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    def apply(self, more: str = ",+net_admin") -> Done:
        """Apply the file in the container."""
        return self.warren("apply", str(self.file), "--host", "box", more=more)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Containers]:
    with boxes(tmp_path, "cloud", "box") as (cloud, box):
        yield Containers(tmp_path, cloud, box)


def test_a_container_with_the_settings_it_needs_takes_part(world: Containers) -> None:
    world.settings("net.ipv4.ip_forward=1", "net.ipv4.conf.default.rp_filter=2", "net.ipv4.conf.all.rp_filter=0")
    before = world.box.picture()

    applied = world.apply()

    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert warren(world.cloud, "apply", str(world.file), "--host", "cloud").returncode == 0
    wait_for(lambda: world.box.ok("ping -c 1 -W 1 10.77.0.1"))
    assert world.cloud.ok("ping -c 1 -W 2 192.168.9.1")
    assert world.warren("plan", str(world.file), "--host", "box").returncode == 0
    assert world.warren("down", str(world.file)).returncode == 0
    assert difference(before, world.box.picture()) == ""


def test_settings_that_cannot_be_written_are_named(world: Containers) -> None:
    world.settings("net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=1")

    applied = world.apply()

    assert applied.returncode == 0, applied.stderr  # all else is done: the host itself takes part
    assert "docker run --sysctl net.ipv4.ip_forward=1 …" in applied.stderr
    assert "docker run --sysctl net.ipv4.conf.default.rp_filter=2 …" in applied.stderr
    planned = world.warren("plan", str(world.file), "--host", "box")
    assert planned.returncode == 0 and "net.ipv4.ip_forward is 0 and cannot be written here" in planned.stdout


def test_without_net_admin_it_says_so(world: Containers) -> None:
    world.settings("net.ipv4.ip_forward=1", "net.ipv4.conf.default.rp_filter=2")

    refused = world.apply(more="")

    assert refused.returncode == 1
    assert "NET_ADMIN" in refused.stderr and "bug" not in refused.stderr


def test_without_the_tun_device_it_says_so(world: Containers) -> None:
    """Where the kernel has no WireGuard: a container has to be given the device."""
    world.settings("net.ipv4.ip_forward=1", "net.ipv4.conf.default.rp_filter=2")
    world.box.sh("mount -t tmpfs none /dev/net")
    if world.box.ok("test -d /sys/module/wireguard"):
        pytest.skip("this kernel has WireGuard, and needs no tun device")

    refused = world.apply()

    assert refused.returncode == 1
    assert "/dev/net/tun" in refused.stdout + refused.stderr and "bug" not in refused.stderr


# --- warren-stay ---------------------------------------------------------------------------------------------

STAY = Path(__file__).parents[2] / "container/warren-stay"
CALLED = """\
#!/bin/sh
echo "$1" >>"{called}"
case $1 in agent) [ "$(grep -c agent "{called}")" -gt 1 ] || exit 1; exec sleep 60 ;; esac
"""


def test_whoever_stays_takes_the_network_away_only_when_told(tmp_path: Path) -> None:
    """The agent dies: what is to leave by a tunnel does not leave by the uplink for that."""
    called, stub = tmp_path / "called", tmp_path / "warren"
    stub.write_text(CALLED.format(called=called))
    stub.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n[ $1 = 5 ] || exec /bin/sleep $1\n")
    (tmp_path / "sleep").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    stays = subprocess.Popen([STAY, "home.yaml"], env=env, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: called.exists() and called.read_text().split() == ["apply", "agent", "agent"])
    finally:
        stays.terminate()
        assert stays.wait(10) == 0
    assert called.read_text().split() == ["apply", "agent", "agent", "down"]
