"""The lab as its users have it: up, used from elsewhere, broken and healed, and gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.lab.test_examples import warren

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = """\
network: tiny
overlay: [10.99.0.0/24, "fd99::/64"]
hosts:
  a: {uplink: eth0, endpoint: "198.51.100.1:51820", lans: {lan: {address: [192.168.5.1/24, "fd05::1/64"]}}}
  b: {uplink: eth0, lans: {lan: {address: [192.168.6.1/24, "fd06::1/64"]}}}
portals:
  - {from: b.lan, exit: a}
expect:
  - {from: b.lan, to: 1.1.1.1, exit: a}
  - {from: b.lan, to: 1.1.1.1, blocked: true, when: {down: [a-b]}}
  - {from: b.lan, to: 1.1.1.1, blocked: true, when: {down: [a]}}
  - {from: b.lan, to: a.lan, arrives: true}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A small network whose lab is up."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    assert warren("lab", "up", str(file)).returncode == 0
    yield file
    warren("lab", "down", str(file))


def eventually(so: Callable[[], bool], patience: float = 5.0) -> bool:
    end = time.monotonic() + patience
    while not so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def marked(folder: Path) -> dict[str, str]:
    """An environment by which all that a lab starts is known: this variable is passed on even to wireguard-go."""
    return os.environ | {"XDG_RUNTIME_DIR": str(folder)}


def of_the_lab(folder: Path) -> list[int]:
    """The processes that carry the mark in their environment, whatever namespace they are in."""
    mark = f"XDG_RUNTIME_DIR={folder}\0"
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # it ended, or is not ours
    return found


def test_a_command_runs_where_it_is_asked_to(tiny: Path) -> None:
    asked = "import socket; s = socket.create_connection(('1.1.1.1', 80), 9); s.send(b'GET / '); print(s.recv(999))"

    host = warren("lab", "exec", str(tiny), "a", "--", "wg", "show", "all", "allowed-ips")
    client = warren("lab", "exec", str(tiny), "b.lan", "--", sys.executable, "-c", asked)
    failing = warren("lab", "exec", str(tiny), "internet", "--", "sh", "-c", "exit 7")
    nobody = warren("lab", "exec", str(tiny), "c", "--", "true")
    here = warren("lab", "exec", str(tiny), "a", "--", "pwd")

    assert here.stdout == f"{os.getcwd()}\n"
    assert "192.168.6.0/24" in host.stdout
    assert "HTTP/1.0 200 OK" in client.stdout and " 198.51.100.1 " in client.stdout, "it left by a, not by b's NAT"
    assert failing.returncode == 7
    assert nobody.returncode == 1 and "no machine c" in nobody.stderr and "b.lan" in nobody.stderr


def test_a_capture_shows_what_passes_a_device(tiny: Path) -> None:
    program = "from warren.cli.main import main; main()"
    words = (sys.executable, "-c", program, "lab", "capture", str(tiny), "a", "-c", "1", "icmp and host 1.2.3.4")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr is not None and capture.stdout is not None
        await_line(capture.stderr, "listening on eth0")

        warren("lab", "exec", str(tiny), "b.lan", "--", "ping", "-c", "1", "-w", "20", "1.2.3.4")

        assert "198.51.100.1 > 1.2.3.4: ICMP echo request" in capture.stdout.readline()


def await_line(stream: IO[str], wanted: str) -> None:
    for line in stream:
        if wanted in line:
            return
    raise AssertionError(f"it ended without saying {wanted!r}")


def test_a_lab_that_is_up_is_tested_again_and_again(tiny: Path) -> None:
    """Each fault is healed: the second run finds the network as the first did."""
    for _ in range(2):
        done = warren("lab", "test", str(tiny), "--json")
        assert json.loads(done.stdout)["ok"], done.stdout


def test_what_cannot_be_tried_fails_alone(tmp_path: Path) -> None:
    """WireGuard has the port; what the internet cannot reach it answers to itself, which is no answer."""
    file = tmp_path / "tiny.yaml"
    promises = ("a udp/51820, arrives: true", "a udp/51820, blocked: true", "b.lan, blocked: true", "a, arrives: true")
    lines = "".join(f"  - {{from: internet, to: {promise}}}\n" for promise in promises)
    file.write_text(TINY.partition("expect:\n")[0] + "expect:\n" + lines)

    done = warren("lab", "test", str(file), "--json")

    tried = json.loads(done.stdout)["expectations"]
    assert [line["holds"] for line in tried] == [False, False, True, True]
    assert {line["says"] for line in tried[:2]} == {
        "nothing can answer at udp/51820 of host.a in the lab: address already in use"
    }


def test_a_second_lab_of_the_same_file_is_refused_and_an_old_one_is_not_tested(tiny: Path) -> None:
    again = warren("lab", "up", str(tiny))
    tiny.write_text(TINY + "# changed\n")
    stale = warren("lab", "test", str(tiny))

    assert again.returncode == 1 and "is up already" in again.stderr
    assert stale.returncode == 1 and "earlier version" in stale.stderr


def test_after_down_the_lab_is_not_up(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    warren("lab", "up", str(file), env=marked(tmp_path))
    there = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in of_the_lab(tmp_path)]

    down = warren("lab", "down", str(file))
    again = warren("lab", "down", str(file))

    assert there.count("wireguard-go") >= 2 or Path("/sys/module/wireguard").exists()
    assert down.returncode == 0
    assert eventually(lambda: not of_the_lab(tmp_path))
    assert again.returncode == 1 and "is not up" in again.stderr


def test_two_labs_at_once_do_not_meet(tiny: Path) -> None:
    """The same network twice, at the same time, each with all its promises."""
    program = "from warren.cli.main import main; main()"
    other = tiny.with_name("other.yaml")
    shutil.copy(tiny, other)
    words = (sys.executable, "-c", program, "lab", "test", "--json", str(other))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as second:
        first = warren("lab", "test", "--json", str(tiny))
        told, _ = second.communicate()

    assert json.loads(first.stdout)["ok"], first.stdout
    assert json.loads(told)["ok"], told


def outside() -> str:
    """All that the lab could leave behind in our own namespaces."""
    commands = ("ip -br link", "ip rule", "ip -6 rule", "ip route show table all", "nft list ruleset")
    said = [subprocess.run(command.split(), capture_output=True, text=True).stdout for command in commands]
    return "\n".join([*said, Path("/proc/self/mounts").read_text(), *sorted(os.listdir("/run"))])


@pytest.mark.parametrize("moment", [0.15, 0.35, 0.6, 1.0, 2.0])
def test_killing_it_at_any_moment_leaves_nothing(tmp_path: Path, moment: float) -> None:
    """The one who started it is killed, and with him the whole lab goes: processes, devices, sockets."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    before = outside()
    program = "from warren.cli.main import main; main()"
    words = (sys.executable, "-c", program, "lab", "test", str(file))
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=quiet, stderr=quiet, env=marked(tmp_path)) as victim:
        try:
            victim.wait(moment)
        except subprocess.TimeoutExpired:
            assert of_the_lab(tmp_path)
        victim.send_signal(signal.SIGKILL)

    assert eventually(lambda: not of_the_lab(tmp_path)), "processes are left"
    assert outside() == before


def test_killing_the_lab_itself_leaves_nothing(tmp_path: Path) -> None:
    """Any of its own processes, also of one that was left running."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    for victim in range(3):
        mark = tmp_path / str(victim)
        assert warren("lab", "up", str(file), env=marked(mark)).returncode == 0
        guard_init_and_supervisor = sorted(of_the_lab(mark))[:3]

        os.kill(guard_init_and_supervisor[victim], signal.SIGKILL)

        assert eventually(lambda mark=mark: not of_the_lab(mark)), f"processes are left after killing the {victim}th"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody, and give a tun device to him")
def test_an_ordinary_user_has_the_lab_too(tmp_path: Path) -> None:
    """Nobody, with /dev/net/tun as other systems have it: open to all."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    tmp_path.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    program = "from warren.cli.main import main; main()"
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/"
    lab = f"{nobody} {sys.executable} -c '{program}' lab"  # has single quotes: not to be put between such
    script = (
        f"mknod {tmp_path}/tun c 10 200 && chmod 666 {tmp_path}/tun && mount --bind {tmp_path}/tun /dev/net/tun && "
        f'{lab} up {file} >&2 && trap "{lab} down {file}" EXIT && '
        f"{lab} exec {file} b.lan -- ping -c 1 -w 20 1.1.1.1 >&2 && {lab} test --json {file}"
    )

    done = subprocess.run(("unshare", "-m", "sh", "-c", script), capture_output=True, text=True, timeout=60, cwd="/")

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]
