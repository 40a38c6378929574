"""`warren init`: a file that passes check, never over one that is there."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import PLAIN, WARREN, warren

KEY = "Cq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk="
OTHER = "aq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk="
TWO = ("--host", "nyc=nyc.example.net", "--host", "paris")
KEYS = ("--key", f"nyc={KEY}", "--key", f"paris={OTHER}")


@pytest.mark.parametrize("mesh", [(), ("--exit-mesh",)])
def test_the_file_passes_check_and_verify_once_it_has_keys(mesh: tuple[str, ...], tmp_path: Path) -> None:
    ended = warren("init", *TWO, *KEYS, *mesh, cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert warren("lock", "home.yaml", cwd=tmp_path).returncode == 0
    assert warren("check", "home.yaml", cwd=tmp_path).stdout.startswith("home.yaml: nothing wrong (2 hosts")
    assert warren("verify", "home.yaml", cwd=tmp_path).returncode == 0


def test_hosts_without_a_key_are_told_how_to_make_one(tmp_path: Path) -> None:
    ended = warren("init", *TWO, cwd=tmp_path)

    assert "warren keys gen " in ended.stdout and "on nyc and paris" in ended.stdout
    checked = warren("check", "home.yaml", cwd=tmp_path)
    assert checked.returncode == 1
    assert {line.split(": ")[1] for line in checked.stdout.splitlines() if line.startswith("home")} == {"error[W030]"}
    assert "endpoint: nyc.example.net:51820" in (tmp_path / "home.yaml").read_text()


def test_what_it_says_comes_next_are_commands_there_are(tmp_path: Path) -> None:
    told = warren("init", *TWO, cwd=tmp_path).stdout

    named = [line.split()[1] for line in told.splitlines() if line.startswith("  warren ")]
    assert named == ["keys", "check", "lock", "verify", "apply"]


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "home.yaml").write_text("precious")

    refused = warren("init", *TWO, cwd=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is a file home.yaml already" in refused.stderr
    assert (tmp_path / "home.yaml").read_text() == "precious"
    assert warren("init", *TWO, "--force", cwd=tmp_path).returncode == 0
    assert "network: home" in (tmp_path / "home.yaml").read_text()


def test_standard_output(tmp_path: Path) -> None:
    ended = warren("init", "--name", "portals", *TWO, "-o", "-", cwd=tmp_path)

    assert "\nnetwork: portals\n" in ended.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "name at least one --host"),
        (("--host", "New_York=192.0.2.1"), "New_York"),
        (("--host", "a", "--host", "b"), "at least one site has to be dialable"),
        (("--host", "a=a.example.net", "--host", "a"), "--host names a twice"),
        (("--host", "a", "--host", "a"), "--host names a twice"),
        (("--host", "a", "--key", f"a={KEY}", "--key", f"a={KEY}"), "--key names a twice"),
        (("--host", ""), "--host names no host"),
        (("--host", "a=a.example.net:70000"), "70000"),
        (("--name", "Home!", "--host", "a"), "Home!"),
        (("--host", "a", "--key", f"b={KEY}"), "--key names b"),
        (("--host", "a", "--key", "a=short"), "44 characters"),
        (("--host", "a\nb: {}"), "makes no sense"),
    ],
)
def test_what_check_would_refuse_is_not_written(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    ended = warren("init", *args, cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert says in ended.stderr and "bug" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_endpoints_may_leave_out_the_port_and_the_brackets(tmp_path: Path) -> None:
    text = warren(
        "init", "--host", "a=2001:db9::1", "--host", "b=192.0.2.9", "--host", "c=[2001:db9::3]:7", "-o", "-"
    ).stdout

    assert '"[2001:db9::1]:51820"' in text and "192.0.2.9:51820" in text and '"[2001:db9::3]:7"' in text


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    told = json.loads(warren("init", *TWO, "--key", f"nyc={KEY}", "--json", cwd=tmp_path).stdout)

    text = (tmp_path / "home.yaml").read_text()
    assert told == {
        "file": "home.yaml",
        "network": "home",
        "hosts": ["nyc", "paris"],
        "without_key": ["paris"],
        "text": text,
    }


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """Each answer is typed when its question is there, as a person does."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*WARREN, "init"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=PLAIN, start_new_session=True
    )
    os.close(theirs)
    shown = ""
    talk = [
        ("[home]: ", "portals"),
        ("Host 1: ", "nyc"),
        ("dial nyc?", "nyc.example.net:51820"),
        ("Host 2: ", "paris"),
        ("dial paris?", ""),
        ("Host 3: ", ""),
        ("[y/N]: ", "y"),
    ]
    for question, answer in talk:
        while question not in shown:
            shown += os.read(ours, 4096).decode()
        shown = ""
        os.write(ours, answer.encode() + b"\n")

    while b"warren apply" not in shown.encode():
        shown += os.read(ours, 4096).decode()
    os.close(ours)

    assert process.wait(timeout=60) in (0, -1)  # or the terminal hung up on its last words
    text = (tmp_path / "portals.yaml").read_text()
    assert "network: portals" in text and "{from: paris.to-nyc, exit: nyc}" in text
