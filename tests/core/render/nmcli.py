"""NetworkManager's own reading of a keyfile: nmcli, offline, reads one and writes it as it understood it.

`./dev setup` unpacks nmcli below .venv-tools, without installing a NetworkManager that would run.
"""

from __future__ import annotations

import os
import subprocess
from configparser import ConfigParser

from tests.unpacked import UNPACKED, program


def environment() -> dict[str, str]:
    """Give the environment in which the unpacked programs find their libraries."""
    return os.environ | {"LD_LIBRARY_PATH": ":".join(str(one.parent) for one in UNPACKED.glob("usr/lib/*/libnm.so.0"))}


def understood(keyfile: str) -> ConfigParser:
    """Have nmcli read a keyfile; give what it makes of it."""
    name = parsed(keyfile)["connection"]["id"]
    done = subprocess.run(
        [program("bin/nmcli"), "--offline", "connection", "modify", "connection.id", name],
        input=keyfile,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return parsed(done.stdout)


def parsed(keyfile: str) -> ConfigParser:
    """Read a keyfile with Python's own reader of the format."""
    parser = ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(keyfile)
    return parser
