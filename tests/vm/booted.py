"""A host with systemd as its first process: of the machine's own units those that make a small router.

    systemd-sysctl      turns forwarding on, as early as anybody can
    nftables            begins with an empty ruleset, and ends with one
    systemd-networkd    brings up eth0 and eth2

Only in the VM: what is written to /etc and /var/lib is gone with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.sys.boxes import Box

ROOT = Path(__file__).parents[2]
OWN = Path("/lib/systemd/system")
UNITS = Path("/etc/warren-test-units")
STARTED = {"sysinit": ("systemd-sysctl", "nftables"), "multi-user": ("systemd-networkd",)}
WARREN = """\
#!/opt/warren/.venv/bin/python
import sys
sys.path.insert(0, "/opt/warren/src")
from warren.cli.main import main
main()
"""
UPLINK = """\
[Match]
Name=eth0
[Network]
Address=198.51.100.10/24
Address=2001:db8:1::10/64
Gateway=198.51.100.1
Gateway=2001:db8:1::1
LinkLocalAddressing=no
"""
LAN = """\
[Match]
Name=eth2
[Network]
Address=192.168.21.1/24
Address=fd21:21::1/64
LinkLocalAddressing=no
ConfigureWithoutCarrier=yes
"""
FORWARDING = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
# A control group of its own is what it finds at the root of them; /sys that cannot be written says that no udev comes.
BOOT = """\
mkdir -p /sys/fs/cgroup/booted
echo $$ >/sys/fs/cgroup/booted/cgroup.procs
exec unshare --pid --fork --kill-child --mount --propagation slave --mount-proc --cgroup --ipc --uts sh -euc '
    mount -t sysfs -o ro sysfs /sys
    mount -t cgroup2 cgroup /sys/fs/cgroup
    exec env -i container=warren PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
        SYSTEMD_UNIT_PATH=/etc/systemd/system:$1 /lib/systemd/systemd --unit=multi-user.target --show-status=no \\
        --log-target=console --log-level=notice --default-standard-output=tty >/run/boot.log 2>&1
' sh "$1"
"""


def furnish() -> None:
    """Put what such a host has into the VM's own /etc, and this clone where a unit's closed view of the disk has it."""
    assert os.environ["WARREN_IN_VM"], "this would be the machine's own /etc"
    UNITS.mkdir()
    for unit in (
        *OWN.glob("*.target"),
        *OWN.glob("*.slice"),
        *OWN.glob("systemd-networkd.s*"),
        OWN / "systemd-poweroff.service",
    ):
        (UNITS / unit.name).symlink_to(unit)
    for target, names in STARTED.items():
        wants = UNITS / f"{target}.target.wants"
        wants.mkdir()
        for name in names:
            (UNITS / f"{name}.service").unlink(missing_ok=True)
            (UNITS / f"{name}.service").symlink_to(OWN / f"{name}.service")
            (wants / f"{name}.service").symlink_to(OWN / f"{name}.service")
    log = UNITS / "service.d"
    log.mkdir()
    (log / "log.conf").write_text(
        "[Service]\nStandardOutput=append:/run/units.log\nStandardError=append:/run/units.log\n"
    )
    for name, text in (("10-eth0", UPLINK), ("10-eth2", LAN)):
        Path("/etc/systemd/network").mkdir(exist_ok=True)
        Path(f"/etc/systemd/network/{name}.network").write_text(text)
    Path("/etc/sysctl.d").mkdir(exist_ok=True)
    Path("/etc/sysctl.d/99-forward.conf").write_text(FORWARDING)
    if "systemd-network:" not in Path("/etc/passwd").read_text():
        with open("/etc/passwd", "a") as passwd:
            passwd.write("systemd-network:x:998:998::/:/usr/sbin/nologin\n")
        with open("/etc/group", "a") as group:
            group.write("systemd-network:x:998:\n")
    Path("/opt/warren").mkdir()
    subprocess.run(["mount", "--bind", str(ROOT), "/opt/warren"], check=True)
    program = Path("/usr/local/bin/warren")
    program.write_text(WARREN)
    program.chmod(0o755)


class Booted:
    """systemd at work in a box."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.process = box.popen("sh", "-euc", BOOT, "sh", str(UNITS))

    @property
    def first(self) -> int:
        """The number of its first process, as the VM counts."""
        waiting = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        until(lambda: waiting.read_text().split(), self.said)
        return int(waiting.read_text().split()[0])

    def run(self, *words: str, check: bool = True) -> str:
        """Run a program among its processes, as somebody who logged in."""
        argv = ["nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--ipc", "--uts", "--", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.said()}"
        return done.stdout + done.stderr

    def is_active(self, unit: str) -> bool:
        """Say whether a unit is up."""
        return self.run("systemctl", "is-active", unit, check=False).strip() == "active"

    def said(self) -> str:
        """Give what it and its units said."""
        return self.box.sh("cat /run/boot.log /run/units.log 2>/dev/null || true")

    def power_off(self) -> None:
        """Shut it down as its owner does, and wait until nothing of it is left."""
        os.kill(self.first, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        self.process.wait(timeout=300)


def until(what: Callable[[], object], said: Callable[[], str], seconds: float = 300) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, said()
        time.sleep(0.2)
