"""The programs that run for a network: which of them are at work, and with which configuration. Reads only.

How they are started and stopped is `core.render.programs`; how one is told to look at its files again is here too,
because the agent does that between two applies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from warren.core.render.programs import KINDS, Files, files_of, plain_config
from warren.core.render.services import Tools
from warren.model.change import Command
from warren.model.state import HostState, Service
from warren.sys import systemd
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, Run, run
from warren.sys.tools import kea_hook


def running(states: Iterable[HostState], owner: str, directory: str, run: Run = run) -> tuple[Service, ...]:
    """List the services at work of those that some state of an owner names, with the configuration they have."""
    known: dict[str, list[Service]] = {}
    for state in states:
        for service in state.services:
            known.setdefault(service.name, []).append(service)
    found = (_observed(named, files_of(name, owner, directory), run) for name, named in sorted(known.items()))
    return tuple(service for service in found if service is not None)


def _observed(named: list[Service], files: Files, run: Run) -> Service | None:
    text = read(files.config)
    if text is None or not is_at_work(files, run):
        return None
    config = plain_config(text, files, Tools(kea_hook=kea_hook()))
    same = next((service for service in named if service.config == config), None)
    return same or replace(named[0], config=config, announces=(), answers=())


def sweep(owner: str, directory: str, kept: Iterable[str]) -> None:
    """Take away files of services that are not to run: who was killed between writing and starting leaves some.

    A hotspot's configuration has a passphrase in it.
    """
    ours = tuple(f"{name}." for name in kept)
    folder = Path(directory, owner)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.rpartition(".")[2] in KINDS and not path.name.startswith(ours):
            path.unlink(missing_ok=True)


def is_at_work(files: Files, run: Run = run) -> bool:
    """Say whether somebody watches over the program of these files."""
    if systemd.runs_units_here():
        try:
            run(Command(("systemctl", "is-active", "--quiet", files.unit)))
        except CommandFailed:
            return False
        return True
    return watcher(files) is not None


def watcher(files: Files) -> int | None:
    """Give the number of the shell that watches over a program; None if it is gone, or the number is another's now."""
    text = read(files.pid)
    if text is None or not text.strip().isdecimal():
        return None
    try:
        words = Path(f"/proc/{text.strip()}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return int(text) if files.pid.encode() in words else None


def start_anew(files: Files, run: Run = run) -> None:
    """Have a program read its files again; HostError if it is not at work."""
    if systemd.runs_units_here():
        run(Command(("systemctl", "restart", files.unit), says=f"start {files.unit} anew"))
        return
    number = watcher(files)
    if number is None:
        raise HostError(f"nothing watches over {files.config}", "Run `warren apply` again: it starts what is missing.")
    os.kill(number, signal.SIGUSR1)


def read(path: str) -> str | None:
    """Read a service's file; None if it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def rewrite(path: str, text: str) -> None:
    """Replace a service's file as a whole, readable by its owner alone."""
    temporary = f"{path}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
