"""A host's whole story by its commands: keys, lock, plan, apply --confirm, confirm, verify --live, down."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import PLAIN, WARREN
from tests.sys.boxes import Box

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="a box needs root")]

OTHER = "aq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk="
FILE = """\
network: story
overlay: [10.177.0.0/24, "fd77:177:7::/64"]
hosts:
  nyc:
    key: {key}
    private_key: {private}
    uplink: eth0
    lans: {{eth2: {{address: 192.168.21.1/24}}}}
  paris: {{key: {other}, endpoint: "192.0.2.7:51820", uplink: eth0}}
portals:
  - {{from: nyc.eth2, exit: paris}}
"""

Warren = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def warren(tmp_path: Path) -> Iterator[Warren]:
    """Run warren on a machine of its own, with an uplink and a LAN, in a directory with the network's file."""
    box = Box(tmp_path / "state")
    box.sh(
        "ip link add eth0 type veth peer name cable; ip link set cable up; ip link set eth0 up;"
        "ip address add 198.51.100.2/24 dev eth0; ip route add default via 198.51.100.1;"
        "ip link add eth2 type veth peer name lan; ip link set lan up; ip link set eth2 up;"
        "ip address add 192.168.21.1/24 dev eth2"
    )
    env = PLAIN | {"WARREN_STATE_DIR": str(box.state)}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            box.argv("env", "-C", str(tmp_path), *WARREN, *args), capture_output=True, text=True, env=env, timeout=120
        )

    key = run("keys", "gen", "private.key").stdout.strip()
    (tmp_path / "story.yaml").write_text(FILE.format(key=key, other=OTHER, private=tmp_path / "private.key"))
    yield run
    box.close()


def test_a_hosts_story(warren: Warren) -> None:
    assert warren("lock", "story.yaml").returncode == 0

    planned = warren("plan", "story.yaml", "--host", "nyc")
    assert planned.returncode == 2, planned.stderr
    assert "+ table inet warren-story" in planned.stdout

    made = warren("apply", "story.yaml", "--host", "nyc", "--confirm", "600")
    assert made.returncode == 0, made.stderr
    assert "nyc (story): " in made.stdout and "Say `warren confirm` within 600 s" in made.stdout

    kept = warren("confirm")
    assert (kept.returncode, kept.stdout) == (0, "story: confirmed\n")

    again = warren("plan", "story.yaml", "--host", "nyc")
    assert (again.returncode, again.stdout) == (0, "nyc (story): nothing to do\n")

    gone = warren("down")
    assert gone.returncode == 0, gone.stderr
    assert gone.stdout.startswith("story: down, ")
    assert warren("plan", "story.yaml", "--host", "nyc").returncode == 2


def test_the_private_key_is_told_nowhere(warren: Warren, tmp_path: Path) -> None:
    warren("lock", "story.yaml")
    private = (tmp_path / "private.key").read_text().strip()

    file = ("story.yaml", "--host", "nyc")
    told = [warren("plan", *file, *more) for more in ((), ("--json",), ("--script",))]
    told.append(warren("apply", *file))

    assert [ended.returncode for ended in told] == [2, 2, 2, 0]
    assert private not in "".join(ended.stdout + ended.stderr for ended in told)
    state = subprocess.run(["grep", "-rF", private, str(tmp_path / "state")], capture_output=True, text=True)
    assert (state.returncode, state.stdout) == (1, "")


def test_json_all_the_way(warren: Warren) -> None:
    """Each shape as documented, and nothing else on standard output."""
    told = {}
    file = ("story.yaml", "--host", "nyc")
    for shape, args in {
        "lock": ("lock", "story.yaml"),
        "plan": ("plan", *file),
        "apply": ("apply", *file, "--confirm", "600"),
        "rollback": ("rollback",),
        "apply again": ("apply", *file, "--confirm", "600"),
        "confirm": ("confirm",),
        "verify": ("verify", *file, "--live"),
        "down": ("down",),
    }.items():
        ended = warren(*args, "--json")
        assert ended.returncode in ((2,) if shape == "plan" else (0, 1) if shape == "verify" else (0,)), ended.stderr
        told[shape] = json.loads(ended.stdout)
        assert differs(told[shape], SHAPES[shape.split()[0]]) == []

    assert told["apply"]["changes"] == told["apply again"]["changes"] > 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("apply", "story.yaml"), "story.yaml is not locked yet"),
        (("plan", "story.yaml"), "Run `warren lock story.yaml` first"),
        (("confirm",), "no apply waits to be confirmed on this host"),
        (("rollback",), "no apply waits to be confirmed on this host"),
        (("down",), "nothing of warren's is on this host"),
    ],
)
def test_what_is_out_of_turn_is_told_in_words(args: tuple[str, ...], says: str, warren: Warren) -> None:
    ended = warren(*args)

    assert ended.returncode == 1
    assert says in ended.stderr and "bug" not in ended.stderr


def test_a_host_that_cannot_be_told_is_asked_for(warren: Warren, tmp_path: Path) -> None:
    warren("lock", "story.yaml")

    ended = warren("plan", "story.yaml", "--host", "lyon")

    assert ended.returncode == 1
    assert "has no host lyon" in ended.stderr and "It has: nyc, paris." in ended.stderr
