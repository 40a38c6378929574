"""Programs that die without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from warren.core.lockfile import render_lock
from warren.lab.keys import PLACE
from warren.lab.leaks.scenario import LIVES, Check, Scenario
from warren.lab.leaks.stage import Stage
from warren.lab.spaces import LabError
from warren.lab.topology import host_space
from warren.lab.works import memory
from warren.model.network import Network

_WARREN = "from warren.cli.main import main; main()"


def agent_on(stage: Stage, host: str) -> subprocess.Popen[str]:
    """Start the agent on a host as a person does, and wait until it says that it watches."""
    folder = PLACE / "agent"
    folder.mkdir(exist_ok=True)
    file = folder / Path(stage.network.file).name
    file.write_bytes(Path(stage.network.file).read_bytes())
    file.with_suffix(".lock").write_text(render_lock(stage.lab.lock))
    process = stage.lab.spaces.start(
        host_space(host),
        (sys.executable, "-P", "-c", _WARREN, "agent", str(file), "--host", host),
        env={**os.environ, "WARREN_STATE_DIR": str(memory(host))},
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    if "watching" not in said:
        process.kill()
        raise LabError(f"the agent on {host} did not come up: {said.strip()}")
    return process


def _killed(stage: Stage) -> Generator[Check]:
    agents = [agent_on(stage, host) for host in stage.entries]
    try:
        yield LIVES
    finally:
        for process in agents:
            process.send_signal(signal.SIGKILL)
            process.wait()
    yield LIVES


def _with_flap(stage: Stage) -> Generator[Check]:
    """The agent is killed while it sees to an uplink that comes back."""
    agents = [agent_on(stage, host) for host in stage.entries]
    try:
        for host in stage.entries:
            stage.flap(host)
    finally:
        for process in agents:
            process.send_signal(signal.SIGKILL)
            process.wait()
    yield LIVES


def readable(network: Network) -> str:
    return "" if Path(network.file).exists() else "its file cannot be read again"


SCENARIOS = (
    Scenario(
        "agent-killed",
        "programs",
        "`warren agent` is killed with SIGKILL on every host",
        "all arrives by the exits",
        _killed,
        readable,
    ),
    Scenario(
        "agent-killed-at-work",
        "programs",
        "`warren agent` is killed while it sees to an uplink that came back",
        "all arrives by the exits",
        _with_flap,
        readable,
    ),
)
