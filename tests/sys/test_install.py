"""`warren install` and `uninstall` on a host with an /etc of its own; systemd's own verifier reads the units."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.sys.boxes import Box
from tests.sys.site import site
from tests.sys.test_commands import Desk
from warren.core.install.files import Init, Where
from warren.core.install.openrc import openrc_files
from warren.core.install.systemd import systemd_files
from warren.sys import install as installing
from warren.sys.install import install, plan, uninstall

WHERE = Where(("/usr/local/bin/warren",), "/var/lib/warren/boot/guard.sh", "/var/lib/warren", cron="cron.d")
UNITS = "/etc/systemd/system"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with site(tmp_path, "nyc", "paris") as made:
        nyc = made["nyc"]
        nyc.sh("mkdir -p /run/u /run/w; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc")
        yield Desk(made, tmp_path)


@pytest.mark.lab
def test_a_hosts_boot_by_its_commands(desk: Desk) -> None:
    """Not before it was confirmed; and afterwards /etc is what it was."""
    nyc, file = desk.here["nyc"], str(desk.file)
    args = ("install", file, "--host", "nyc", "--init", "systemd")
    assert "was never confirmed here" in desk.warren("nyc", *args, status=1).stderr
    desk.warren("nyc", "apply", file, "--host", "nyc", "--confirm", "600")
    assert "still waits to be confirmed" in desk.warren("nyc", *args, status=1).stderr
    desk.warren("nyc", "confirm")
    before = etc(nyc)

    shown = json.loads(desk.warren("nyc", *args, "--dry-run", "--json").stdout)
    assert differs(shown, SHAPES["install"]) == [] and not shown["written"]
    assert etc(nyc) == before

    told = desk.warren("nyc", *args).stdout
    assert "enabled warren-guard, warren-apply, warren-agent@portals" in told
    assert nyc.ok(f"test -L {UNITS}/sysinit.target.wants/warren-guard.service")
    assert nyc.ok(f"test -L {UNITS}/multi-user.target.wants/warren-agent@portals.service")
    assert nyc.sh(f"cat {UNITS}/warren-apply.service") == next(
        each["text"] for each in shown["files"] if each["path"].endswith("apply.service")
    )
    desk.warren("nyc", *args)  # again is no trouble
    boots = json.loads(desk.warren("nyc", "status", "--json").stdout)["installed"]
    assert boots["guard"] and all(each["enabled"] for each in boots["enabled"])
    assert "at boot: portals by systemd\n" in desk.warren("nyc", "status").stdout

    gone = json.loads(desk.warren("nyc", "uninstall", "--json").stdout)
    assert differs(gone, SHAPES["uninstall"]) == [] and f"{UNITS}/warren-guard.service" in gone["removed"]
    assert etc(nyc) == before
    assert not (nyc.state / "boot" / "guard.sh").exists()
    assert "is not installed" in desk.warren("nyc", "uninstall", status=1).stderr
    assert desk.warren("nyc", "plan", file, "--host", "nyc").stdout.startswith("nyc (portals): nothing to do")


def etc(box: Box) -> str:
    return box.sh("cd /run/u; find . -type f -o -type l | sort | xargs -r ls -l --time-style=+ 2>/dev/null || true")


@pytest.mark.lab
def test_what_is_not_ours_is_neither_overwritten_nor_removed(desk: Desk, tmp_path: Path) -> None:
    nyc, root = desk.here["nyc"], tmp_path / "root"
    machine = nyc.machine
    made = plan(machine.store, Init.SYSTEMD, ["portals"], geo=False)
    unit = root / "etc/systemd/system/warren-apply.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("somebody's")
    put = partial(nyc.call, lambda: install(machine, made, ["portals"], root))
    machine = installing_nobody(machine)
    with pytest.raises(installing.HostError, match=r"warren-apply\.service is there already, and not warren's"):
        put()
    assert [path.name for path in unit.parent.iterdir()] == ["warren-apply.service"]

    unit.unlink()
    put()
    unit.write_text("altered")
    with pytest.raises(installing.HostError, match="altered since warren made it"):
        put()
    done = nyc.call(lambda: uninstall(machine, root))
    assert done.left == ("/etc/systemd/system/warren-apply.service",)
    assert unit.read_text() == "altered" and len(list(unit.parent.iterdir())) == 1


def installing_nobody(machine: installing.Machine) -> installing.Machine:
    from dataclasses import replace

    return replace(machine, act=lambda command: "")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    made = systemd_files(
        Where((sys.executable, "-m", "warren"), "/var/lib/warren/boot/guard.sh", "/var/lib/warren", networkd=True),
        ["portals"],
        geo=True,
    )
    for file in made.files:
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
    return tmp_path / "etc/systemd/system"


def test_systemd_understands_every_word(units: Path) -> None:
    names = sorted(str(path) for path in units.iterdir() if "@" not in path.name)
    agent = units / "warren-agent@portals.service"
    agent.symlink_to(units / "warren-agent@.service")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names, str(agent)], capture_output=True, text=True, timeout=60
    )

    ours = [line for line in (done.stdout + done.stderr).splitlines() if "warren" in line]
    assert ours == []


# What an attacker who took over a unit's process could do: 0 nothing, 10 everything (systemd-analyze(1)).
EXPOSURE = {"warren-guard": 2.0, "warren-apply": 3.0, "warren-agent@": 3.0, "warren-geo": 2.5}


@pytest.mark.parametrize("name", EXPOSURE)
def test_units_are_as_closed_as_their_work_allows(name: str, units: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(units / f"{name}.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    exposure = float(done.stdout.split("exposure level for ")[1].split(": ")[1].split()[0])
    assert exposure <= EXPOSURE[name], done.stdout


@pytest.mark.parametrize("shell", [("sh", "-n"), ("busybox", "ash", "-n")])
def test_scripts_of_openrc_are_scripts(shell: tuple[str, ...]) -> None:
    made = openrc_files(WHERE, ["portals"], geo=True)

    assert [one.name for one in made.enabled] == ["warren-guard", "warren-apply", "warren-agent.portals"]
    assert "etc/cron.d/warren-geo" in [file.path for file in made.files]
    for file in made.files:
        if file.path.startswith("etc/init.d"):
            done = subprocess.run(shell, input=file.text, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
