"""One qemu, from start to end: its output streamed, its time bounded, nothing of it left behind.

It emulates the processor (TCG), so it needs no KVM and no privilege. Two serial lines come out of it:

    ttyS0 → console.log   the kernel, and three lines of guest/job: ready, exit N (or what went wrong)
    ttyS1 → a pipe        the command's output, byte for byte
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kernel import Kernel

BOOT_TIMEOUT = 180.0  # it takes 10 s; a machine busy with other tests may take far longer
# A guest that runs nothing but our tests need not guard against itself: 15 % faster.
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 watchdog_thresh=60 softlockup_panic=1"
LOCKED_UP = "softlockup: hung tasks"  # after two minutes in which one of its processors did nothing else
GLANCE = 0.1  # how often the console is looked at while the command is silent


class Broken(Exception):
    """The machine did not do its part; the console's last words are in the message."""


class LockedUp(Broken):
    """The guest's kernel ran in a circle: seen once in some thirty runs, in its ksoftirqd, on an emulated processor."""


class TimeIsUp(Exception):
    """The command ran longer than it may."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command in the machine ended."""

    status: int
    boot_seconds: float
    run_seconds: float


def run_machine(kernel: Kernel, initramfs: Path, scratch: Path, output: BinaryIO, timeout: float) -> Ended:
    """Boot, copy the command's output to `output` as it comes, and wait for the end."""
    console = scratch / "console.log"
    console.write_bytes(b"")
    started = time.monotonic()
    ready = 0.0
    machine = subprocess.Popen(_qemu(kernel, initramfs, console), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert machine.stdout is not None
    try:
        while True:
            readable, _, _ = select.select([machine.stdout], [], [], GLANCE)
            chunk = os.read(machine.stdout.fileno(), 65536) if readable else None
            now = time.monotonic()
            if not ready and "warren-vm: ready" in _text(console):
                ready = now
            if chunk == b"":  # qemu is gone
                break
            if chunk:
                output.write(chunk)
                output.flush()
            elif not ready and now > started + BOOT_TIMEOUT:
                raise Broken(f"it did not boot within {BOOT_TIMEOUT:.0f} s. {_last_words(console)}")
            if ready and now > ready + timeout:
                raise TimeIsUp(f"ended after {timeout:.0f} s, the command had not. {_last_words(console)}")
    finally:
        machine.kill()
        machine.wait()
        machine.stdout.close()
    said = re.search(r"warren-vm: exit (\d+)", _text(console))
    if not said and LOCKED_UP in _text(console):
        raise LockedUp(f"its kernel locked up. {_last_words(console, 60)}")
    if not said:
        raise Broken(f"it ended without a word about the command. {_last_words(console)}")
    return Ended(int(said[1]), ready - started, time.monotonic() - ready)


def _qemu(kernel: Kernel, initramfs: Path, console: Path) -> list[str]:
    # Were we killed, qemu must not live on.
    with_us = ["setpriv", "--pdeathsig", "KILL"]
    return [
        *with_us, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1500",
        "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(kernel.image), "-initrd", str(initramfs),
        "-append", KERNEL_ARGUMENTS,
        "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        "-serial", f"file:{console}", "-serial", "stdio",
    ]  # fmt: skip


def _text(console: Path) -> str:
    return console.read_text(errors="replace")


def _last_words(console: Path, lines: int = 20) -> str:
    return "The console's last words:\n" + "\n".join(_text(console).splitlines()[-lines:])
