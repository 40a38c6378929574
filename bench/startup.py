"""What anybody waits for before anything happens: Python itself, click, and the modules a command imports."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.networks import file_of
from bench.row import Row, seconds

TIMES = 15
WARREN = Path(sys.executable).with_name("warren")


def rows() -> Iterator[Row]:
    """Measure the installed program, beside a Python that does nothing."""
    bare = _taken(sys.executable, "-c", "pass")
    for args in (("--version",), ("--help",), ("apply", "--help")):
        yield _row(f"warren {' '.join(args)}", _taken(str(WARREN), *args), bare)
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(file_of(3, public=1))
        file.flush()
        yield _row("warren check, three hosts", _taken(str(WARREN), "check", file.name), bare, aim="")


def _row(what: str, taken: float, bare: float, aim: str = "< 150 ms") -> Row:
    return Row(what, f"{taken * 1000:.0f} ms", f"bare Python {bare * 1000:.0f} ms", f"{taken / bare:.1f}×", aim)


def _taken(*argv: str) -> float:
    """Give the median wall time of a process, in seconds."""
    return seconds(partial(subprocess.run, argv, check=True, capture_output=True), TIMES)
