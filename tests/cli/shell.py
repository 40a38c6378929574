"""Run warren as people and scripts do: as a process, with pipes or with a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

WARREN = (sys.executable, "-m", "warren")
PLAIN = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "WARREN_DEBUG")}

NETWORK = """\
network: portals
overlay: [10.77.0.0/24, fd77:7:7::/64]
hosts:
  nyc:
    key: Cq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk=
    endpoint: nyc.example.net:51820
    uplink: eth0
    lans:
      eth2: {address: 192.168.21.1/24}
  paris:
    key: aq8hJ0BCa7uwbWcDkAw8MHop9wfzZ/65zq/S+X4k2gk=
    uplink: eth0
    lans:
      wlan0: {address: 192.168.22.1/24}
portals:
  - {from: nyc.eth2, exit: paris}
  - {from: paris.wlan0, exit: nyc}
"""


def warren(
    *args: str, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command line with pipes for its output."""
    return subprocess.run(
        [*WARREN, *args], input=stdin, capture_output=True, text=True, env=PLAIN | (env or {}), cwd=cwd, timeout=60
    )


def on_terminal(*args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[int, str]:
    """Run one command line whose input and output is a terminal; give its status and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*WARREN, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=PLAIN | {"TERM": "xterm"} | (env or {}),
        cwd=cwd,
        start_new_session=True,
    )
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # a terminal whose last user is gone says EIO
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")
