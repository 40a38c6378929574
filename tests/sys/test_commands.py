"""`warren plan|apply|confirm|rollback|down` as a person on the host runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sys.boxes import difference
from tests.sys.site import ANYWHERE, Site, site

pytestmark = pytest.mark.lab

FILE = """\
network: portals
overlay: [10.77.0.0/24, "fd77:7:7::/64"]
hosts:
  nyc:
    key: {nyc}
    endpoint: 198.51.100.10:51820
    uplink: eth0
    private_key: {directory}/nyc.key
    lans:
      eth2: {{address: [192.168.21.1/24, "fd21:21::1/64"]}}
  paris:
    key: {paris}
    endpoint: 192.0.2.20:51820
    uplink: eth0
    private_key: {directory}/paris.key
portals:
  - {{from: {portal}, exit: paris}}
"""


class Desk:
    """A site whose hosts are managed by command lines."""

    def __init__(self, here: Site, directory: Path) -> None:
        self.here = here
        self.file = directory / "portals.yaml"
        self.write("nyc.eth2")
        self.warren("nyc", "lock", str(self.file))

    def write(self, portal: str) -> None:
        keys = {name: host.key for name, host in self.here.hosts.items()}
        self.file.write_text(FILE.format(directory=self.here.directory, portal=portal, **keys))

    def warren(self, name: str, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        box = self.here[name]
        done = subprocess.run(
            box.argv("env", f"WARREN_STATE_DIR={box.state}", sys.executable, "-m", "warren", *words),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        yield Desk(made, tmp_path)


def test_from_plan_to_down(desk: Desk) -> None:
    """The whole life of a network on a host, by exit statuses."""
    nyc, file = desk.here["nyc"], str(desk.file)
    before = nyc.picture()

    planned = desk.warren("nyc", "plan", file, "--host", "nyc", status=2)
    assert planned.stdout.startswith("nyc (portals): ")
    assert "+ device portals-paris" in planned.stdout
    assert difference(before, nyc.picture()) == ""
    assert not list(nyc.state.iterdir())

    applied = desk.warren("nyc", "apply", file, "--host", "nyc")
    assert "changes made, and seen to be there" in applied.stdout
    assert "nft table warren-portals" in applied.stderr
    desk.warren("paris", "apply", file, "--host", "paris")
    desk.here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")
    assert desk.warren("nyc", "plan", file, "--host", "nyc").stdout == "nyc (portals): nothing to do\n"
    assert desk.warren("nyc", "apply", file, "--host", "nyc").stdout == "nyc (portals): nothing to do\n"

    assert "taken back" in desk.warren("nyc", "down").stdout
    assert difference(before, nyc.picture()) == ""
    assert "nothing of warren's is on this host" in desk.warren("nyc", "down", status=1).stderr
    assert "nothing was there" in desk.warren("nyc", "down", file).stdout


def test_json(desk: Desk) -> None:
    """Every answer is one JSON value, and nothing else is said."""
    file = str(desk.file)

    planned = json.loads(desk.warren("nyc", "plan", file, "--host", "nyc", "--json", status=2).stdout)
    assert planned["host"] == "nyc"
    assert {"rune", "kind", "subject", "reason"} == set(planned["changes"][0])
    applied = desk.warren("nyc", "apply", file, "--host", "nyc", "--json")
    assert applied.stderr == ""
    answer = json.loads(applied.stdout)
    assert (answer["host"], answer["owner"], answer["confirm"]) == ("nyc", "portals", None)
    assert answer["changes"] == len(planned["changes"])
    assert json.loads(desk.warren("nyc", "down", "--json").stdout)[0]["owner"] == "portals"
    failed = json.loads(desk.warren("nyc", "confirm", "--json", status=1).stdout)
    assert failed["error"]["says"] == "no apply waits to be confirmed on this host"


def test_no_secret_is_said(desk: Desk) -> None:
    """Not in plans, scripts, progress, state files or JSON."""
    file = str(desk.file)
    said = "".join(
        done.stdout + done.stderr
        for done in (
            desk.warren("nyc", "plan", file, "--host", "nyc", status=2),
            desk.warren("nyc", "plan", file, "--host", "nyc", "--json", status=2),
            desk.warren("nyc", "plan", file, "--host", "nyc", "--script", status=2),
            desk.warren("nyc", "apply", file, "--host", "nyc"),
        )
    )
    kept = "".join(path.read_text() for path in desk.here["nyc"].state.rglob("*") if path.is_file())

    secret = (desk.here.directory / "nyc.key").read_text().strip()
    assert secret not in said
    assert secret not in kept


def test_the_script_is_a_script(desk: Desk) -> None:
    """It is POSIX sh, and says what it is for."""
    script = desk.warren("nyc", "plan", str(desk.file), "--host", "nyc", "--script", status=2).stdout

    assert script.startswith("#!/bin/sh\n")
    checked = subprocess.run(["busybox", "ash", "-n"], input=script, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_confirm_and_rollback(desk: Desk) -> None:
    """With a window, then yes; with a window, then no."""
    nyc, file = desk.here["nyc"], str(desk.file)

    waiting = desk.warren("nyc", "apply", file, "--host", "nyc", "--confirm", "300")
    assert "Say `warren confirm` within 300 s to keep it" in waiting.stdout
    refused = desk.warren("nyc", "apply", file, "--host", "nyc", status=1)
    assert "the last apply of portals still waits to be confirmed" in refused.stderr
    assert desk.warren("nyc", "confirm").stdout == "portals: confirmed\n"
    good = nyc.picture()

    desk.write("nyc")
    desk.warren("nyc", "lock", file)
    desk.warren("nyc", "apply", file, "--host", "nyc", "--confirm", "300")
    assert difference(good, nyc.picture()) != ""
    assert "portals: rolled back" in desk.warren("nyc", "rollback").stdout

    assert difference(good, nyc.picture()) == ""
    assert "no apply waits" in desk.warren("nyc", "rollback", status=1).stderr


def test_which_host_is_this(desk: Desk) -> None:
    """By name, by the machine's name, or told that it must be said."""
    file = str(desk.file)

    lost = desk.warren("nyc", "plan", file, status=1)
    assert "which host of" in lost.stderr
    assert "--host nyc|paris" in lost.stderr
    wrong = desk.warren("nyc", "plan", file, "--host", "rome", status=1)
    assert "has no host rome" in wrong.stderr
    assert "nyc, paris" in wrong.stderr


def test_several_networks_are_told_apart(desk: Desk) -> None:
    """`down` asks which; --all takes them all; a file that is gone still names its network."""
    file = str(desk.file)
    second = desk.file.with_name("second.yaml")
    text = desk.file.read_text().replace("network: portals", "network: second").replace("10.77.", "10.88.")
    text = text.replace("fd77:", "fd88:").replace(":51820", ":51900").partition("portals:\n")[0]
    second.write_text(text.replace("192.168.21.1/24", "192.168.31.1/24").replace("fd21:21:", "fd31:31:"))
    desk.warren("nyc", "lock", str(second))
    for each in (file, str(second)):
        desk.warren("nyc", "apply", each, "--host", "nyc")

    asked = desk.warren("nyc", "down", status=1)
    assert "which of them? portals, second" in asked.stderr
    second.unlink()
    assert "second: down" in desk.warren("nyc", "down", str(second)).stdout
    assert "portals: down" in desk.warren("nyc", "down", "--all").stdout


def test_an_unlocked_file_is_refused(desk: Desk) -> None:
    """What is not allotted yet is not applied."""
    desk.write("nyc")
    desk.file.with_name("portals.lock").unlink(missing_ok=True)
    for lock in desk.file.parent.glob("portals*lock*"):
        lock.unlink()

    done = desk.warren("nyc", "apply", str(desk.file), "--host", "nyc", status=1)

    assert "warren lock" in done.stderr


def test_at_boot(desk: Desk) -> None:
    """What was confirmed comes back without the file."""
    nyc, file = desk.here["nyc"], str(desk.file)
    assert "nothing has been confirmed" in desk.warren("nyc", "apply", "--at-boot").stdout
    desk.warren("nyc", "apply", file, "--host", "nyc")
    whole = nyc.picture()
    nyc.sh("nft flush ruleset; ip link del portals-paris; ip rule flush; ip rule add pref 32766 lookup main")
    nyc.sh("ip -6 rule flush; ip -6 rule add pref 32766 lookup main; ip rule add pref 32767 lookup default")
    nyc.sh("ip rule add pref 0 lookup local || true")

    assert "portals: " in desk.warren("nyc", "apply", "--at-boot").stdout

    assert {line for line in whole.splitlines() if "proto 77" in line} <= set(nyc.picture().splitlines())
    assert "--at-boot takes neither" in desk.warren("nyc", "apply", file, "--at-boot", status=1).stderr


def test_at_boot_before_names_can_be_looked_up(desk: Desk) -> None:
    """Status 1 has the init system try again; the tunnel is there all the same, and named in a warning."""
    nyc = desk.here["nyc"]
    desk.file.write_text(desk.file.read_text().replace("192.0.2.20:", "paris.example:"))
    desk.warren("nyc", "lock", str(desk.file))
    nyc.sh("mkdir -p /run/u /run/w; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc")
    nyc.sh("echo 'nameserver 127.0.0.1' > /etc/resolv.conf")
    told = desk.warren("nyc", "apply", str(desk.file), "--host", "nyc").stderr
    assert "warning: paris.example stands for no address now, so paris cannot be dialled" in told

    assert "paris cannot be dialled" in desk.warren("nyc", "apply", "--at-boot", status=1).stderr
    nyc.sh("echo '192.0.2.20 paris.example' >> /etc/hosts")
    desk.warren("nyc", "apply", "--at-boot")
    assert "192.0.2.20:51820" in nyc.sh("wg show all endpoints")

    # A name server that only the tunnel leads to is no help when the tunnel is to be made.
    nyc.sh("sed -i '/paris.example/d' /etc/hosts; ip link del portals-paris")
    told = desk.warren("nyc", "apply", "--at-boot", status=1).stderr
    assert "paris is dialled at 192.0.2.20, where it was last" in told
    assert "192.0.2.20:51820" in nyc.sh("wg show all endpoints")


def test_down_of_what_is_not_there_says_what_is(desk: Desk) -> None:
    nothing = desk.warren("nyc", "down", "nope.yaml", status=1).stderr
    assert "there is no file nope.yaml" in nothing and "Nothing of warren's is on this host" in nothing
    desk.warren("nyc", "apply", str(desk.file), "--host", "nyc")
    assert "Name what is to go: portals." in desk.warren("nyc", "down", "nope.yaml", status=1).stderr
