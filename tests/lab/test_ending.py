"""A lab that ends before its time says why: who asked it, or started it, hears."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.lab.enclosed import enclosed
from tests.lab.test_lab import TINY
from warren.cli.network import stand_in_key
from warren.core.load import load
from warren.lab.control import Session, start
from warren.lab.enclose import enclose
from warren.lab.spaces import LabError
from warren.model.lock import Lock
from warren.model.network import Network

pytestmark = pytest.mark.lab


@pytest.fixture
def network() -> Network:
    loaded = load(TINY.encode(), None, "tiny.yaml", stand_in_key)
    assert loaded.network is not None
    return loaded.network


@pytest.mark.parametrize(
    ("program", "how", "words"),
    [
        ("echo 'No module named warren' >&2; exit 3", "its process ended with status 3", "No module named warren"),
        ("cat >/dev/null; exit 4", "its process ended with status 4", ""),
        ("exec 0<&-; kill -9 $$", "its process was killed by SIGKILL", ""),
    ],
)
def test_a_lab_that_does_not_even_begin(
    program: str, how: str, words: str, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\n{program}\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    with pytest.raises(LabError) as told:
        start(network, None)
    assert how in told.value.says and told.value.remedy == words


def test_a_lab_that_breaks_while_it_comes_up(network: Network) -> None:
    nonsense: Lock = "no lock"  # type: ignore[assignment]
    with pytest.raises(LabError, match=r"the lab broke: AttributeError") as told:
        start(network, nonsense)
    assert "bring_up" in told.value.remedy, "the traceback is there"


@pytest.mark.parametrize("generation", [0, 1, 2], ids=["guard", "init", "work"])
def test_a_lab_whose_processes_are_killed(network: Network, generation: int) -> None:
    with start(network, None) as session:
        os.kill(_descendant(session, generation), signal.SIGKILL)
        with pytest.raises(LabError) as told:
            list(session.ask("test"))
    assert "killed by SIGKILL" in f"{told.value}"


def test_what_is_asked_and_cannot_be_done_is_answered(network: Network) -> None:
    with start(network, None) as session, pytest.raises(LabError, match=r"the lab broke: KeyError: 'dance'") as told:
        list(session.ask("dance"))
    assert "Traceback" in told.value.remedy


def test_what_ends_the_first_process_inside_is_told_outside() -> None:
    """The mounts are refused in a place that has no root of its own to change."""

    def nested() -> list[str]:
        said: list[str] = []
        os.chroot("/run")
        reading, writing = os.pipe()
        if os.fork() == 0:
            enclose(lambda: 0, complain=lambda error: os.write(writing, f"{error}".encode()) and None)
            os._exit(0)
        os.close(writing)
        os.wait()
        said.append(os.read(reading, 1000).decode())
        return said

    assert "could not mount" in enclosed(nested)[0]


def _descendant(session: Session, generation: int) -> int:
    assert session._process is not None
    pid = session._process.pid
    for _ in range(generation):
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid
