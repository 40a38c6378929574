"""Run a command of this directory on Debian's kernel, in a VM: ./dev vm -- COMMAND...

For what is true only of kernel WireGuard, Wi-Fi or netem. The guest sees this machine's own files under the same paths;
what it writes is gone afterwards. It has no network but what it makes itself. Output is streamed (standard output and
error as one); the exit status is the command's own, or one of

    77   no VM can be had here: no qemu, no kernel image, another processor
    124  the time was up (as timeout(1) says it)
    125  the VM broke: it did not boot, or ended without a word
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from initramfs import build_initramfs
from kernel import NoVM, cached_kernel
from machine import Broken, LockedUp, TimeIsUp, run_machine

NO_VM, TIME_IS_UP, BROKEN = 77, 124, 125
PROGRAMS = ("qemu-system-x86_64", "/bin/busybox", "cpio", "setpriv", "/sbin/modprobe")
PASSED_ON = ("HOME", "LANG", "NO_COLOR", "PATH", "PYTEST_ADDOPTS", "TERM")


def main() -> int:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="./dev vm", description=__doc__, formatter_class=as_written)
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS", help="end it then (1800)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run in there, e.g. wg --version")
    asked = parser.parse_args()
    command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
    if not command:
        parser.error("which command?")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what we made is cleaned up
    try:
        return run_in_vm(command, asked.timeout)
    except NoVM as why:
        return _say(f"no VM here: {why}", NO_VM)
    except TimeIsUp as why:
        return _say(str(why), TIME_IS_UP)
    except Broken as why:
        return _say(str(why), BROKEN)
    except KeyboardInterrupt:
        return _say("stopped", 128 + signal.SIGINT)


def run_in_vm(command: list[str], timeout: float) -> int:
    """Boot, run, stop; give the command's exit status."""
    if os.uname().machine != "x86_64":
        raise NoVM(f"the guest runs this machine's programs on an x86_64 kernel, and they are {os.uname().machine}")
    for program in PROGRAMS:
        if not shutil.which(program):
            raise NoVM(f"no `{program}` (./dev setup installs what is needed on Debian and Ubuntu)")
    kernel = cached_kernel()
    ours = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("WARREN_")}
    environment = {**ours, "WARREN_IN_VM": kernel.release}
    with tempfile.TemporaryDirectory(prefix="warren-vm-") as scratch:
        initramfs = build_initramfs(kernel, command, Path.cwd(), environment, Path(scratch))
        try:
            ended = run_machine(kernel, initramfs, Path(scratch), sys.stdout.buffer, timeout)
        except LockedUp as why:  # the emulated machine's failure, not the command's; a second is told as it is
            _say(f"{why}\nOnce more.")
            ended = run_machine(kernel, initramfs, Path(scratch), sys.stdout.buffer, timeout)
    _say(f"booted Linux {kernel.release} in {ended.boot_seconds:.1f} s, ran for {ended.run_seconds:.1f} s")
    return ended.status


def _say(words: str, status: int = 0) -> int:
    print(f"vm: {words}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
