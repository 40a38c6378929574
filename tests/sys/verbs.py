"""Real wg-quick and the warren command, run in boxes (boxes.py) on confs of the test's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.sys.boxes import Box

PATH = "/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAIN = "from warren.cli.main import main; main()"
Done = subprocess.CompletedProcess[str]

# A stand-in for resolvconf(8), which this machine may lack: it writes down how it is called.
_RESOLVCONF = """#!/bin/sh
echo "resolvconf $*" >> /run/resolvers
[ "$1" != -a ] || cat >> /run/resolvers
"""


def furnish(box: Box) -> None:
    """Give a box a resolvconf, and an /etc it may write to."""
    box.sh("mkdir -p /run/u /run/w /run/bin")
    box.sh("mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/u,workdir=/run/w /etc")
    stub = box.state / "resolvconf"
    stub.write_text(_RESOLVCONF)
    box.sh(f"install -m 755 {stub} /run/bin/resolvconf")


def settle(box: Box, *devices: str) -> None:
    """Wait until cables are alive and the kernel has added to them what it adds by itself, a moment later."""
    alive = " && ".join(
        f"ip link show {device} | grep -q 'state UP' && ip -6 route show table local dev {device} | grep -q ff00"
        for device in devices
    )
    wait_for(lambda: box.ok(alive))


def wait_for(what: Callable[[], object], within: float = 20) -> None:
    """Wait until something is so; AssertionError when the time is up."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.02)


def wg_quick(box: Box, verb: str, conf: Path) -> Done:
    """Run wg-quick in a box."""
    return run(box, "wg-quick", verb, str(conf))


def warren(box: Box, *words: str) -> Done:
    """Run the warren command in a box, with its own state directory."""
    return run(box, sys.executable, "-c", MAIN, *words)


def run(box: Box, *argv: str) -> Done:
    """Run a program in a box."""
    return subprocess.run(box.argv(*environment(box), *argv), capture_output=True, text=True, timeout=60)


def environment(box: Box) -> tuple[str, ...]:
    """Give the words that set a box's environment for the program behind them."""
    return ("env", f"PATH={PATH}", f"WARREN_STATE_DIR={box.state}")


def write(box: Box, text: str, name: str = "wg0") -> Path:
    """Put a conf into a box's private directory, which `{DIR}` stands for in it."""
    conf = box.state / f"{name}.conf"
    conf.write_text(text.replace("{DIR}", str(box.state)))
    conf.chmod(0o600)
    return conf
