"""`warren knock` as it is typed: what it refuses, and in which words. tests/lab/test_knock.py has it knock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import NETWORK, warren


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("doors")
    key = place / "private.key"
    warren("keys", "gen", str(key))
    text = NETWORK.replace("    uplink: eth0\n", "    uplink: eth0\n    knock: true\n", 1)
    text = text.replace("  paris:\n", f"  paris:\n    private_key: {key}\n")
    (place / "doors.yaml").write_text(text)
    assert warren("lock", "doors.yaml", cwd=place).returncode == 0
    return place


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("paris", "--host", "nyc"), "paris is no host of doors.yaml that is knocked at\n  There is: nyc."),
        (("rome", "--host", "paris"), "rome is no host of doors.yaml that is knocked at"),
        (("nyc", "--host", "nyc"), "this machine is nyc itself"),
    ],
)
def test_what_cannot_be_knocked_at_is_said(here: Path, words: tuple[str, ...], says: str) -> None:
    done = warren("knock", "doors.yaml", *words, cwd=here)

    assert done.returncode == 1 and done.stdout == ""
    assert says in done.stderr
