"""A command of the owner's: as nobody, one at a time, not for long, and told of nothing but what it is for."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from warren.core.render.services import Tools
from warren.sys import errand
from warren.sys.errand import Errand
from warren.sys.errors import HostError
from warren.sys.tools import tools_here

ALONE = tools_here().one_user or os.getuid() != 0  # there is nobody else to become
TOOLS = Tools(one_user=ALONE)


def done(work: Errand, file: Path) -> str:
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while work._process is not None:
        work.look()
        assert time.monotonic() < deadline
    return file.read_text()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory to which `nobody` finds its way, and may write."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_it_runs_as_nobody_and_knows_what_it_is_told(place: Path) -> None:
    file = place / "said"
    work = Errand(("/bin/sh", "-c", f'echo "$(id -u) $WARREN_PEER $PWD ${{HOME-none}}" >{file}'), "test", TOOLS)

    assert work.begin({"WARREN_PEER": "paris; $(true)"})

    user = os.getuid() if ALONE else pwd.getpwnam("nobody").pw_uid
    assert done(work, file) == f"{user} paris; $(true) / none\n"


def test_one_at_a_time_and_not_for_ever(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errand, "LONGEST", 0.3)
    work = Errand(("/bin/sh", "-c", "sleep 1000 & wait"), "test", TOOLS)
    assert work.begin({})
    assert not work.begin({})

    deadline = time.monotonic() + 20
    while not work.begin({}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    monkeypatch.setattr(errand, "LONGEST", -1)
    while work._process is not None:
        work.look()
        assert time.monotonic() < deadline


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(HostError, match="/nowhere/knocked cannot be run as nobody: no such file"):
        Errand(("/nowhere/knocked",), "test", TOOLS).begin({})
