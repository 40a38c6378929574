"""`warren render`: what is printed holds no key, what is written has its mode, and no key is overwritten."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import NETWORK, warren

CONF = "etc/wireguard/portals-paris.conf"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A locked network whose host nyc has its private key in nyc.key."""
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True).stdout
    (tmp_path / "nyc.key").write_text(private)
    public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True).stdout.strip()
    (tmp_path / "portals.yaml").write_text(NETWORK.replace("Cq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk=", public))
    assert warren("lock", "portals.yaml", cwd=tmp_path).returncode == 0
    return tmp_path


def render(where: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return warren("render", "portals.yaml", "--host", "nyc", "--as", "wg-quick", *more, cwd=where)


def test_what_is_printed_has_names_and_modes_and_no_key(where: Path) -> None:
    done = render(where, "--private-key", "nyc.key")

    assert done.returncode == 0 and done.stderr == ""
    assert f"# /{CONF} (0600)\n" in done.stdout
    assert "PrivateKey = (the private key of nyc, whose public key is " in done.stdout
    assert (where / "nyc.key").read_text().strip() not in done.stdout


def test_a_key_that_is_here_is_written_for_its_owner_alone(where: Path) -> None:
    done = render(where, "--private-key", "nyc.key", "-o", "out")

    assert done.returncode == 0 and "W151" not in done.stderr
    conf = where / "out" / CONF
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert f"PrivateKey = {(where / 'nyc.key').read_text().strip()}\n" in conf.read_text()
    assert f"out/{CONF}" in done.stdout.splitlines()
    assert "wg-quick up portals-paris" in done.stderr


def test_a_key_that_is_not_here_has_its_place_kept(where: Path) -> None:
    done = render(where, "-o", "out")

    assert done.returncode == 0
    assert "warning[W151]: The private key of nyc is not here" in done.stderr
    assert "PrivateKey = (the private key of nyc, " in (where / "out" / CONF).read_text()


def test_a_key_that_was_put_in_by_hand_is_not_lost(where: Path) -> None:
    render(where, "--private-key", "nyc.key", "-o", "out")

    again = render(where, "-o", "out")

    assert again.returncode == 1 and "may hold the private key of nyc" in again.stderr
    assert (where / "nyc.key").read_text() in (where / "out" / CONF).read_text()
    assert render(where, "--private-key", "nyc.key", "-o", "out").returncode == 0


def test_the_wrong_key_is_refused(where: Path) -> None:
    (where / "other.key").write_text(subprocess.run(["wg", "genkey"], capture_output=True, text=True).stdout)

    done = render(where, "--private-key", "other.key", "-o", "out")

    assert done.returncode == 1 and "is not the one that is wanted" in done.stderr
    assert not (where / "out").exists()


def test_a_host_that_is_not_there_is_named(where: Path) -> None:
    done = warren("render", "portals.yaml", "--host", "rome", "--as", "wg-quick", "--json", cwd=where)

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == {
        "says": "portals.yaml has no host rome",
        "remedy": "It has: nyc, paris.",
    }


def test_a_code_is_drawn_only_with_its_key(where: Path) -> None:
    words = ("render", "portals.yaml", "--host", "nyc", "--as", "qr")

    without = warren(*words, "-o", "out", cwd=where)
    drawn = warren(*words, "--private-key", "nyc.key", cwd=where)
    warren(*words, "--private-key", "nyc.key", "-o", "out", cwd=where)

    assert without.returncode == 1 and "the private key of nyc is not here" in without.stderr
    assert "█▀" in drawn.stdout and "W150" in drawn.stderr
    assert (where / "out" / "portals-paris.png").read_bytes().startswith(b"\x89PNG")
    assert {stat.S_IMODE(file.stat().st_mode) for file in (where / "out").iterdir()} == {0o600}


def test_a_tree_can_be_laid_over_a_machine_whatever_the_umask(where: Path) -> None:
    before = os.umask(0o077)
    try:
        render(where, "-o", "out")
    finally:
        os.umask(before)

    modes = {name: stat.S_IMODE((where / "out" / name).stat().st_mode) for name in ("etc", "etc/wireguard")}
    assert modes == {"etc": 0o755, "etc/wireguard": 0o700}
