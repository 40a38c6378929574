"""The script that stops a service: in the shells that machines have, and never somebody else's process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from warren.core.render.programs import STOP

SHELLS = pytest.mark.parametrize("shell", [("sh",), ("busybox", "sh")], ids=["sh", "busybox"])


@SHELLS
def test_ours_is_stopped_by_its_file(shell: tuple[str, ...], tmp_path: Path) -> None:
    pid = str(tmp_path / "ra.pid")
    with subprocess.Popen(["sh", "-c", "read -r line; :", "ra", pid], stdin=subprocess.PIPE) as ours:
        Path(pid).write_text(f"{ours.pid}\n")

        stopped = subprocess.run([*shell, "-c", STOP, "sh", pid], capture_output=True, timeout=20)

        assert (stopped.returncode, stopped.stderr) == (0, b"")
        assert ours.wait(timeout=5) == -15


@SHELLS
def test_a_number_that_is_somebody_elses_by_now_is_left_alone(shell: tuple[str, ...], tmp_path: Path) -> None:
    pid = str(tmp_path / "ra.pid")
    with subprocess.Popen(["sleep", "60"]) as other:
        Path(pid).write_text(f"{other.pid}\n")

        for text in (f"{other.pid}\n", "", "4194303\n"):
            Path(pid).write_text(text)
            stopped = subprocess.run([*shell, "-c", STOP, "sh", pid], capture_output=True, timeout=20)
            assert (stopped.returncode, stopped.stderr) == (0, b"")

        assert other.poll() is None
        other.kill()
