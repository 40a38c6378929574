"""Namespaces of the lab's own: nothing in them is seen outside, and nothing of them stays.

    caller ── guard (outside) ── init (pid 1 inside) ── work
                 │                 └ reaps what wireguard-go leaves behind
                 └ waits for init, or for its caller's end of a pipe to close

Killing any of the three ends all: the kernel kills init when its guard dies (PR_SET_PDEATHSIG), and everything in a
pid namespace when its pid 1 dies (pid_namespaces(7)); the namespaces go with their processes. An ordinary user gets
a user namespace in which he is root (user_namespaces(7)); root needs none.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from warren.lab.spaces import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, LabError, mount

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
PR_SET_PDEATHSIG = 1
DETACHED = b"d"  # what a caller writes into the pipe before it closes it and leaves the lab alone
BROKEN = 70  # EX_SOFTWARE

_libc = ctypes.CDLL(None, use_errno=True)


def complain(error: BaseException) -> None:
    """Say on standard error why something ended: its words if they are for people, else all of it."""
    if isinstance(error, LabError):
        print(error, file=sys.stderr)
    else:
        sys.excepthook(type(error), error, error.__traceback__)


def enclose(work: Callable[[], int], caller: int = -1, complain: Callable[[BaseException], None] = complain) -> int:
    """Do `work` in new mount, pid and network namespaces with a /run and /proc of their own; give its status.

    `caller` is the reading end of a pipe: when all writers are gone and none wrote DETACHED, work is killed.
    `complain` is given, inside, whatever ended it early: nobody outside would see it raised. The process must have
    one thread. LabError if namespaces cannot be had here.
    """
    _unshare()
    alive, guard = os.pipe()
    pid = os.fork()
    if pid == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.close(guard)
        _leave_with(lambda: _be_init(work, alive, complain), complain)
    os.close(alive)
    return _guard(pid, caller, guard)


def _unshare() -> None:
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID
    user, group = os.getuid(), os.getgid()
    if user:
        flags |= CLONE_NEWUSER
    if _libc.unshare(flags) < 0:
        why = os.strerror(ctypes.get_errno())
        raise LabError(
            f"could not make namespaces: {why.lower()}",
            "This system does not let ordinary users make them; run the lab as root." if user else "",
        )
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _guard(pid: int, caller: int, guard: int) -> int:
    """Wait for init, or kill it when the caller is gone. As long as `guard` is open, init knows that we live."""
    ended = os.pidfd_open(pid)
    _keep_only(ended, caller, guard)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    if caller >= 0:
        poll.register(caller, select.POLLIN)
    unwanted = False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if ended in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code < 0 and not unwanted:
                print(f"the lab's first process was {killed_by(-code)}", file=sys.stderr)
            return code & 0xFF
        if os.read(caller, 1) != DETACHED:
            unwanted = True
            os.kill(pid, signal.SIGKILL)
        poll.unregister(caller)


def _be_init(work: Callable[[], int], alive: int, complain: Callable[[BaseException], None]) -> int:
    """Furnish the namespaces, start work, and reap until it ends."""
    if select.select([alive], [], [], 0)[0]:  # before its death could be signalled
        raise LabError("the process that guards the lab was gone before the lab began")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the terminal's; who started us decides
    os.chdir("/")
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc")
        mount("tmpfs", "/run", "tmpfs")
    except LabError as error:  # AppArmor on newer Ubuntus, or a container that covers parts of /proc
        raise LabError(
            error.says, "This system lets a lab of an ordinary user do too little; run it as root."
        ) from None
    pid = os.fork()
    if pid == 0:
        _leave_with(work, complain)
    _keep_only(alive)
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                print(f"the process that runs the lab was {killed_by(-code)}", file=sys.stderr)
            return code & 0xFF


def killed_by(number: int) -> str:
    """Say by which signal a process was ended, and what that mostly means."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"killed by {name}" + (": was there too little memory? (`dmesg` tells)" if number == signal.SIGKILL else "")


def _keep_only(*descriptors: int) -> None:
    """Close what was only passed on: a socket is shut when the last who holds it lets go."""
    first = 3
    for descriptor in sorted(descriptors):
        os.closerange(first, max(first, descriptor))
        first = max(first, descriptor + 1)
    os.closerange(first, 1 << 16)


def _leave_with(work: Callable[[], int], complain: Callable[[BaseException], None]) -> None:
    """End this forked process with the status of `work`; its caller's frames never run on in here."""
    status = BROKEN
    try:
        status = work()
    except BaseException as error:
        complain(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
