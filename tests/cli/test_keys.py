"""`warren keys`: the same arithmetic as wg's, and secrets that stay where they are put."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import WARREN, warren
from warren.model.key import decode_key, looks_private
from warren.sys import keys
from warren.sys.errors import HostError


def test_gen_makes_a_pair_of_which_only_the_public_half_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "private.key"

    ended = warren("keys", "gen", str(file))

    private = file.read_text().strip()
    assert ended.returncode == 0
    assert ended.stdout == subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True).stdout
    assert private not in ended.stdout + ended.stderr
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_no_umask_opens_or_closes_the_file(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        keys.put_away("secret", tmp_path / "key")
    finally:
        os.umask(before)

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "private.key"
    file.write_text("precious")

    for kind in ("gen", "psk"):
        ended = warren("keys", kind, str(file))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "never overwrites a key" in ended.stderr

    assert file.read_text() == "precious"


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private.key").symlink_to(tmp_path / "elsewhere")

    assert warren("keys", "gen", str(tmp_path / "private.key")).returncode == 1

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/full/x", "/dev/full is no directory"),
        ("/proc/x", "no such file or directory"),
        ("/nowhere/at/all/x", "there is no directory /nowhere/at/all"),
    ],
)
def test_where_no_file_can_be_made_that_is_said(path: str, why: str) -> None:
    ended = warren("keys", "gen", path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"cannot write {path}: {why}" in ended.stderr
    assert not os.path.exists("/nowhere")


def test_the_directory_of_warrens_own_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "HOME", tmp_path / "warren")
    keys.put_away("secret", tmp_path / "warren" / "private.key")

    assert (tmp_path / "warren").stat().st_mode & 0o777 == 0o700
    with pytest.raises(HostError, match="there is no directory"):
        keys.put_away("secret", tmp_path / "typo" / "private.key")
    assert not (tmp_path / "typo").exists()


def test_no_room_leaves_no_half_key(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    file = tmp_path / "key"
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "bash"]

    ended = subprocess.run([*limited, *WARREN, "keys", "gen", str(file)], capture_output=True, text=True)

    assert ended.returncode == 1
    assert "cannot write" in ended.stderr and "file too large" in ended.stderr
    assert not file.exists()


def test_pub_agrees_with_wg(tmp_path: Path) -> None:
    """Keys that wg made, unclamped ones among them."""
    for number in range(5):
        made = subprocess.run(["wg", "genkey" if number else "genpsk"], capture_output=True, text=True).stdout
        file = tmp_path / f"{number}.key"
        file.write_text(made)
        wanted = subprocess.run(["wg", "pubkey"], input=made, capture_output=True, text=True).stdout

        assert warren("keys", "pub", str(file)).stdout == wanted
        assert warren("keys", "pub", "-", stdin=made).stdout == wanted


def test_pub_never_repeats_what_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3J\n")

    for ended in (warren("keys", "pub", str(file)), warren("keys", "pub", "-", stdin=file.read_text())):
        assert ended.returncode == 1
        assert "holds no key: a key has 44 characters, this has 43" in ended.stderr
        assert "c2Vj" not in ended.stderr + ended.stdout


def test_psk_goes_into_a_file_and_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "paris.psk"

    ended = warren("keys", "psk", str(file))

    psk = file.read_text().strip()
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(decode_key(psk)) == 32
    assert psk not in ended.stderr
    assert f"psk: {{OTHER: {file}}}" in ended.stderr
    assert file.stat().st_mode & 0o777 == 0o600


def test_json_has_the_documented_shapes(tmp_path: Path) -> None:
    private, psk = tmp_path / "private.key", tmp_path / "psk"

    made = json.loads(warren("keys", "gen", str(private), "--json").stdout)
    shown = json.loads(warren("keys", "pub", str(private), "--json").stdout)

    assert made == {"file": str(private), "public_key": shown["public_key"]}
    assert json.loads(warren("keys", "psk", str(psk), "--json").stdout) == {"file": str(psk)}


def test_new_private_keys_are_clamped_as_wg_genkey_does() -> None:
    """RFC 7748 section 5; check tells by it a private key that was pasted where a public one belongs."""
    made = [decode_key(keys.new_private_key()) for _ in range(200)]

    assert all(raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40 for raw in made)
    assert len(set(made)) == 200
    assert sum(looks_private(raw) for raw in made[:40]) > 20


def test_wg_takes_the_keys(tmp_path: Path) -> None:
    private = keys.new_private_key()

    shown = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True)

    assert shown.stdout.strip() == keys.public_key(private)
