"""Which devices NetworkManager runs here (nmcli(1)): it would take a LAN's device down, or another address to it."""

from __future__ import annotations

import os

from warren.model.change import Command
from warren.sys.run import Run, find_program, run

RUNNING = "/run/NetworkManager"
NOT_RUNNING = 8  # nmcli's exit status


def managed(run: Run = run) -> frozenset[str]:
    """Name the devices that NetworkManager manages; none where it is not at work."""
    if not os.path.isdir(RUNNING) or find_program("nmcli") is None:
        return frozenset()
    return parse(run(Command(("nmcli", "-t", "-f", "DEVICE,STATE", "device"), fine=(0, NOT_RUNNING))))


def parse(listed: str) -> frozenset[str]:
    """Read lines of `wlan0:disconnected`; a colon of a name's own is written `\\:`."""
    lines = (line.rpartition(":") for line in listed.splitlines() if ":" in line)
    return frozenset(name.replace("\\:", ":") for name, _, state in lines if not state.startswith("unmanaged"))
