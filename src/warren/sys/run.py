"""One program, run to its end.

Input and output go through memory files, not pipes: a daemon that a program leaves behind (wireguard-go) may keep
them open without anybody waiting for it, nothing can fill up and block, and a secret in the input never touches a
disk. Children get a small environment (no secrets of ours, LC_ALL=C so that their words are the ones we know) and
`/usr/sbin` in their PATH, which a user's own often lacks.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from warren.model.change import Command
from warren.sys.errors import HostError
from warren.sys.secret import read_secrets

TIMEOUT = 60.0  # seconds; the largest batch ever measured took 2
UNTIL = 10.0  # seconds that a daemon may take until it answers
_KEPT = ("HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "XDG_RUNTIME_DIR")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_INPUT_LINE = (
    re.compile(r"^Command failed -:(\d+)", re.MULTILINE),  # ip -batch
    re.compile(r"^(?:/dev/stdin|-|internal:0):(\d+):", re.MULTILINE),  # nft -f
)

_SECRET = re.compile(r"@secret:(\d+)@")

Run = Callable[[Command], str]
"""What runs a command and returns its standard output; raises CommandFailed."""


class MissingProgram(HostError):
    """A program that is not installed."""


class CommandFailed(HostError):
    """A program ended with an exit status that is not fine, or not in time."""

    def __init__(self, command: Command, words: str, status: int | None) -> None:
        self.command = command
        self.status = status
        self.words = words
        self.line = _line_of(command, words)
        ended = f"failed with status {status}" if status is not None else f"did not end within {TIMEOUT:.0f} s"
        what = f"the hook {command.hook} = {command.argv[-1]}" if command.hook else f"`{show(command)}`"
        says = f"{what} {ended}"
        if self.line:
            says += f", at its input line `{self.line}`"
        super().__init__(says + (f"; it says: {words}" if words else ""))


def run(command: Command, *, timeout: float = TIMEOUT) -> str:
    """Run one command to its end and return its standard output, in the network namespace of the calling thread.

    Raises CommandFailed (the command, its input line, its words; never a secret) and HostError when the program
    or a secret's file is missing. man: pidfd_open(2), memfd_create(2).
    """
    if command.hook:
        return _run_hook(command)
    secrets = read_secrets(command.secrets)
    text = _SECRET.sub(lambda found: secrets[int(found[1])], command.stdin) if secrets else command.stdin
    with _memory(text) as stdin, _memory() as stdout, _memory() as stderr:
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=environment(os.environ),
                text=True,
                process_group=0,  # Ctrl-C at the terminal is for us to act on, not for a batch to die of
            )
        except FileNotFoundError:
            raise missing_program(command.argv[0]) from None
        except PermissionError:
            raise HostError(f"`{command.argv[0]}` may not be run here: permission denied") from None
        status = _wait(process, timeout)
        out, words = _read(stdout), _read(stderr)
    if status is None or status not in command.fine:
        for secret in secrets:  # `wg` quotes a key it does not like
            words = words.replace(secret, "(secret)")
        raise CommandFailed(command, words.strip(), status)
    if command.until:
        _await(Command(command.until))
    return out


def _run_hook(command: Command) -> str:
    """Run a conf's hook as wg-quick does: it may ask at the terminal, take its time, and be stopped by Ctrl-C.

    What it prints goes to standard error: standard output is for what the command itself was asked for.
    """
    environ = {**os.environ, "PATH": environment(os.environ)["PATH"], "LC_ALL": "C"}
    try:
        status = subprocess.call(command.argv, stdout=2, env=environ)
    except FileNotFoundError:
        raise missing_program(command.argv[0]) from None
    if status:
        raise CommandFailed(command, "", status)
    return ""


def _await(command: Command) -> None:
    """Run a command until it succeeds, for UNTIL seconds at most: the one way to learn that a daemon answers."""
    deadline = time.monotonic() + UNTIL
    pause = 0.005
    while True:
        try:
            run(command)
            return
        except CommandFailed:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.2)


def show(command: Command) -> str:
    """Write a command's argv as a person would type it."""
    return " ".join(word if re.fullmatch(r"[\w@%+=:,./-]+", word) else f"'{word}'" for word in command.argv)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of every program we run."""
    path = [part for part in ours.get("PATH", "").split(":") if part]
    path += [part for part in _SYSTEM_PATH if part not in path]
    return {name: ours[name] for name in _KEPT if name in ours} | {"PATH": ":".join(path), "LC_ALL": "C"}


def find_program(name: str) -> str | None:
    """Find a program where `run` would, or None."""
    import shutil

    return shutil.which(name, path=environment(os.environ)["PATH"])


_PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "conntrack": "conntrack (conntrack-tools)",
    "sysctl": "procps",
    "resolvconf": "openresolv or resolvconf",
    "iptables": "iptables",
    "dnsmasq": "dnsmasq-base",
    "ndppd": "ndppd",
    "kea-dhcp6": "kea-dhcp6-server",
}


def missing_program(name: str) -> MissingProgram:
    """Say that a program is not there, and which package brings it."""
    package = _PACKAGES.get(name)
    return MissingProgram(
        f"the program `{name}` is not installed", f"Install the package {package} and try again." if package else ""
    )


def _memory(text: str = "") -> TextIO:
    """Make an anonymous file, which only we and our child can see."""
    file = os.fdopen(os.memfd_create("warren", os.MFD_CLOEXEC), "w+", encoding="utf-8", errors="replace")
    if text:
        file.write(text)
        file.flush()
        file.seek(0)
    return file


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _wait(process: subprocess.Popen[str], timeout: float) -> int | None:
    """Wait for the end of a process, in seconds; None when it had to be killed. Negative: the signal that ended it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # a kernel before 5.3
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if poll.poll(timeout * 1000):
            return process.wait()
        process.send_signal(signal.SIGKILL)
        process.wait()
        return None
    except BaseException:  # Ctrl-C: the program must not go on behind our back
        process.kill()
        process.wait()
        raise
    finally:
        os.close(descriptor)


def _line_of(command: Command, words: str) -> str:
    """Find the line of the input that the program's words point at."""
    lines = command.stdin.splitlines()
    for pattern in _INPUT_LINE:
        if (found := pattern.search(words)) and 0 < int(found[1]) <= len(lines):
            return lines[int(found[1]) - 1].strip()
    for quoted in re.findall(r'"([^"]+)"', words):  # ip does not number a line it cannot even read
        holding = [line.strip() for line in lines if quoted in line.split()]
        if len(holding) == 1:
            return holding[0]
    return lines[0].strip() if len(lines) == 1 else ""
