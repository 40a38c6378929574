"""Machines for tests: each a network and a mount namespace of its own, with a private /run and state directory.

Two test runs at once never meet: nothing in here has a name outside its own namespaces.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pathlib import Path
from typing import TypeVar

from warren.sys.machine import Machine
from warren.sys.netns import call_in
from warren.sys.store import Store

_T = TypeVar("_T")
_HOLD = "mount -t tmpfs none /run && mkdir -p /run/netns && ip link set lo up && echo ready && exec sleep infinity"


class Box:
    """One machine."""

    def __init__(self, directory: Path) -> None:
        self.state = directory
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", _HOLD],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline().strip() == "ready"
        self.net = Path(f"/proc/{self.holder.pid}/ns/net")
        self.mounts = Path(f"/proc/{self.holder.pid}/ns/mnt")

    @property
    def machine(self) -> Machine:
        """The machine as warren's verbs take it; to be used inside `call`."""
        return Machine(Store(self.state), patience=10)

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function of warren's in this box."""
        return call_in(self.net, function, self.mounts)

    def fork(self, function: Callable[[], object]) -> int:
        """Call a function in a process of its own in this box; give its exit status, negative if a signal ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.start(function), 0)[1])

    def start(self, function: Callable[[], object]) -> int:
        """Start such a process and give its number."""

        def split() -> int:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    function()
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            return child

        return self.call(split)

    def argv(self, *words: str) -> list[str]:
        """Give the command line that runs a program in this box."""
        return ["nsenter", f"--net={self.net}", f"--mount={self.mounts}", "--", *words]

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script in this box and return what it printed."""
        done = subprocess.run(self.argv("sh", "-euc", script), capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ok(self, script: str) -> bool:
        """Say whether a script succeeds."""
        return subprocess.run(self.argv("sh", "-euc", script), capture_output=True, timeout=60).returncode == 0

    def popen(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Start a program in this box."""
        return subprocess.Popen(self.argv(*words), text=True, **options)  # type: ignore[call-overload,no-any-return]

    def wire(self, name: str, other: Box, its_name: str) -> None:
        """Lay a cable to another box."""
        self.sh(f"ip link add {name} type veth peer name {its_name} netns {other.holder.pid}; ip link set {name} up")
        other.sh(f"ip link set {its_name} up")

    def close(self) -> None:
        """End everything that runs in this box, and the box."""
        if self.holder.poll() is not None:
            return
        inode = os.stat(self.net).st_ino
        for process in _processes():
            try:
                if os.stat(f"/proc/{process}/ns/net").st_ino == inode:
                    os.kill(process, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        self.holder.kill()
        self.holder.wait()

    def picture(self) -> str:
        """Everything that can be told of this box's network, as text in which nothing counts or ticks.

        Rules and chains stand in their order; routes, devices and addresses, which have none, are sorted.
        """
        listings = [
            "nft list ruleset",
            "ip rule",
            "ip -6 rule",
            "ip route show table all | sort",
            "ip -6 route show table all | sort",
            "ip -d -o link | cut -d: -f2- | sort",
            "ip -o addr | cut -d: -f2- | sort",
            "cd /proc/sys/net; grep -r . ipv4/conf ipv6/conf ipv4/ip_forward 2>/dev/null || true",
        ]
        text = self.sh("\n".join(f"echo '# {each}'\n{each}" for each in listings))
        text = re.sub(r"(packets|bytes) \d+", r"\1 N", text)
        text = re.sub(r"_timer +[\d.]+", "", text)
        text = re.sub(r"qdisc \w+ |valid_lft \w+|preferred_lft \w+|expires \w+| tentative", "", text)
        # Link-local addresses of cables come a moment after the cable.
        return "\n".join(line for line in text.splitlines() if "stable_secret" not in line and "fe80::" not in line)


def difference(one: str, other: str) -> str:
    """Give the lines in which two pictures differ."""
    return "\n".join(
        line for line in unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0) if line[:2] != "@@"
    )


def _processes() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            yield int(entry)


@contextmanager
def boxes(directory: Path, *names: str) -> Iterator[list[Box]]:
    """Make machines, and end them."""
    made: list[Box] = []
    try:
        for name in names:
            state = directory / name
            state.mkdir(mode=0o700)
            made.append(Box(state))
        yield made
    finally:
        for box in made:
            box.close()
