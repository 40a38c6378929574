"""`warren lock`: written whole, only when something changes, and never over what cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.shell import NETWORK, warren


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "portals.yaml"
    path.write_text(NETWORK)
    return path


@pytest.fixture
def lock(file: Path) -> Path:
    """The lock of the file as it is, allotted."""
    assert warren("lock", str(file)).returncode == 0
    return file.with_suffix(".lock")


def test_what_was_allotted_is_written_and_told(file: Path) -> None:
    ended = warren("lock", "portals.yaml", cwd=file.parent)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "portals.lock: written",
        "  + nyc    10.77.0.1  fd77:7:7::1  portals udp/51820, portals-paris udp/51821",
        "  + paris  10.77.0.2  fd77:7:7::2  portals udp/51820, portals-nyc udp/51821",
    ]
    assert "addresses: [10.77.0.1, " in file.with_suffix(".lock").read_text()
    assert sorted(path.name for path in file.parent.iterdir()) == ["portals.lock", "portals.yaml"]


def test_a_second_time_there_is_nothing_to_do(file: Path, lock: Path) -> None:
    before = lock.stat()

    assert warren("lock", str(file)).stdout == f"{lock}: nothing to do\n"

    assert (lock.stat().st_ino, lock.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_host_that_comes_or_goes_moves_nobody(file: Path, lock: Path) -> None:
    key = "bq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk="
    lyon = f"  lyon: {{key: {key}, uplink: eth0, endpoint: '192.0.2.7:51820'}}\n"
    file.write_text(NETWORK.replace("hosts:\n", "hosts:\n" + lyon))

    shown = warren("lock", str(file)).stdout.splitlines()[1:]

    assert shown == ["  + lyon  10.77.0.3  fd77:7:7::3  portals udp/51820"]


def test_check_writes_nothing(file: Path) -> None:
    ended = warren("lock", "--check", str(file))

    assert ended.returncode == 1
    assert "out of date" in ended.stdout
    assert not file.with_suffix(".lock").exists()

    warren("lock", str(file))
    assert warren("lock", "--check", str(file)).returncode == 0


def test_json_has_the_documented_shape(file: Path) -> None:
    told = json.loads(warren("lock", "portals.yaml", "--json", cwd=file.parent).stdout)

    assert told == {
        "file": "portals.lock",
        "current": False,
        "written": True,
        "changes": [{"rune": "+", "host": "nyc"}, {"rune": "+", "host": "paris"}],
        "hosts": [
            {
                "name": name,
                "addresses": [f"10.77.0.{number}", f"fd77:7:7::{number}"],
                "devices": [
                    {"name": "portals", "port": 51820, "peer": ""},
                    {"name": f"portals-{other}", "port": 51821, "peer": other},
                ],
                "chains": [],
                "maps": [],
                "delegated": [],
                "followed": [],
            }
            for number, name, other in ((1, "nyc", "paris"), (2, "paris", "nyc"))
        ],
        "devices": [],
    }


@pytest.mark.parametrize("text", ["lock: 1\nhosts: {nyc: {addresses: here}}\n", "<<<<<<< HEAD\nlock: 1\n", ""])
def test_a_lock_that_cannot_be_read_is_not_overwritten(file: Path, text: str) -> None:
    """A merge that went wrong is for a person to mend: allotting afresh would renumber everybody."""
    lock = file.with_suffix(".lock")
    lock.write_text(text)

    ended = warren("lock", str(file))

    assert ended.returncode == 1
    assert "portals.lock:" in ended.stderr
    assert lock.read_text() == text


def test_a_file_with_errors_is_not_locked(file: Path) -> None:
    file.write_text(NETWORK.replace("exit: nyc}", "exit: nycc}"))

    ended = warren("lock", str(file))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "error[W061]" in ended.stderr
    assert not file.with_suffix(".lock").exists()


def test_a_link_is_followed_and_the_mode_kept(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "git" / "the.lock"
    elsewhere.parent.mkdir()
    elsewhere.write_text("lock: 1\nhosts: {}\n")
    elsewhere.chmod(0o640)
    file.with_suffix(".lock").symlink_to(elsewhere)

    assert warren("lock", str(file)).returncode == 0

    assert file.with_suffix(".lock").is_symlink()
    assert "nyc:" in elsewhere.read_text()
    assert elsewhere.stat().st_mode & 0o777 == 0o640


def test_a_linked_network_file_has_the_lock_beside_the_link_or_else_beside_the_file(
    file: Path, lock: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    link, beside = elsewhere / "mine.yaml", elsewhere / "mine.lock"
    link.symlink_to(file)
    lock.unlink()

    written = warren("lock", str(link))
    assert (written.returncode, lock.exists(), beside.exists()) == (0, True, False)
    assert f"{lock}: written" in written.stdout
    assert "W100" not in warren("check", str(link)).stdout

    beside.write_text(lock.read_text().replace("udp", "") + "spoilt: 1\n")
    told = warren("check", str(link))
    assert f"{beside}:" in told.stdout and "spoilt" in told.stdout, "its own wins"


def test_where_nothing_can_be_written_that_is_said(file: Path) -> None:
    os.mkdir(file.with_suffix(".lock"))

    ended = warren("lock", str(file))

    assert ended.returncode == 1
    assert "portals.lock: is a directory" in ended.stderr


FOLLOWS = NETWORK.replace("portals:\n  - {from: nyc.eth2, exit: paris}\n  - {from: paris.wlan0, exit: nyc}\n", "") + (
    "delegate:\n  - {follow: nowhere7, from: nyc, to: paris, lans: [wlan0]}\n"
)


@pytest.mark.parametrize(
    ("text", "host", "says"),
    [
        (FOLLOWS, "rome", "has no host `rome`"),
        (FOLLOWS, "paris", "follows a device of `paris`"),
        (FOLLOWS, "nyc", "nowhere7 has no global IPv6 prefix"),
        (NETWORK, "nyc", "follows a device of `nyc`"),
    ],
)
def test_a_look_that_can_note_nothing_is_refused(text: str, host: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "home.yaml").write_text(text)

    ended = warren("lock", "home.yaml", "--host", host, cwd=tmp_path)

    assert ended.returncode == 1 and says in ended.stderr
    assert not (tmp_path / "home.lock").exists()
