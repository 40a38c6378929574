"""Network namespaces of the lab: made, entered and left by one process, and gone with it.

A space is held by file descriptors alone, nothing is mounted for it: when the process that holds them ends, however
it ends, the kernel takes the spaces, their devices and their routes away. A host's space has mounts of its own too,
because wireguard-go keeps its sockets in /run/wireguard and knows nothing of namespaces.

setns(2), unshare(2), namespaces(7). Python has os.setns from 3.12 on; until then they are called by ctypes.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from warren.sys.errors import HostError

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(HostError):
    """Something the lab needs did not work."""


@dataclass(frozen=True, slots=True)
class Space:
    """A network namespace and, for a host, a mount namespace (-1: that of the lab)."""

    name: str
    net: int
    mounts: int = -1

    @property
    def path(self) -> str:
        """Where ip(8) finds the network namespace while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.net}"


@dataclass
class Spaces:
    """All spaces of one lab. Not for threads: entering one moves the whole process for a moment."""

    base: Space = field(default_factory=lambda: Space("", _open_own("net"), _open_own("mnt")))
    by_name: dict[str, Space] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name[""] = self.base

    def make(self, name: str, private: Iterable[str] = (), bound: Iterable[tuple[str, str]] = ()) -> Space:
        """Make a space; `private` names directories of /run in which it has files of its own.

        `bound` are files that stand in place of others there: theirs first.
        """
        directories = tuple(private)
        try:
            _check(_libc.unshare(CLONE_NEWNET), f"make a network namespace for {name}")
            net, mounts = _open_own("net"), -1
            if directories:
                _check(_libc.unshare(CLONE_NEWNS), f"make a mount namespace for {name}")
                for directory in directories:
                    mount("tmpfs", directory, "tmpfs")
                for ours, theirs in bound:
                    mount(ours, theirs, flags=MS_BIND)
                mounts = _open_own("mnt")
        finally:
            enter(self.base)
        space = Space(name, net, mounts)
        self.by_name[name] = space
        return space

    def __getitem__(self, name: str) -> Space:
        return self.by_name[name]

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a space for a moment: sockets and processes made meanwhile stay there."""
        enter(self.by_name[name])
        try:
            yield
        finally:
            enter(self.base)

    def start(self, name: str, argv: Sequence[str], **how: object) -> subprocess.Popen[str]:
        """Start a program in a space; `how` goes to Popen."""
        with self.inside(name):
            return subprocess.Popen(argv, text=True, **how)  # type: ignore[call-overload,no-any-return]

    def run(self, name: str, argv: Sequence[str], stdin: str = "") -> str:
        """Run a program in a space and give what it printed; LabError with its words if it fails."""
        return self.run_each({name: (argv, stdin)})[name]

    def run_each(self, jobs: Mapping[str, tuple[Sequence[str], str]], at_once: int = 8) -> dict[str, str]:
        """Run one program in each of several spaces, some of them at once."""
        waiting, running, printed = list(jobs), list[tuple[str, subprocess.Popen[str]]](), dict[str, str]()
        while waiting or running:
            while waiting and len(running) < at_once:
                name = waiting.pop(0)
                with _given(jobs[name][1]) as stdin:
                    pipe = subprocess.PIPE
                    running.append((name, self.start(name, jobs[name][0], stdin=stdin, stdout=pipe, stderr=pipe)))
            name, process = running.pop(0)
            printed[name], complaint = process.communicate()
            if process.returncode:
                command = " ".join(jobs[name][0])
                raise LabError(f"in {name or 'the lab'}: {command}: {complaint.strip() or printed[name].strip()}")
        return printed

    def fork(self, name: str, work: Callable[[], int]) -> int:
        """Do `work` in a copy of this process inside a space; gives its pid, which the caller waits for."""
        pid = os.fork()
        if pid:
            return pid
        status = 70  # EX_SOFTWARE: it broke
        try:
            enter(self.by_name[name])
            status = work()
        finally:
            os._exit(status)


def enter(space: Space) -> None:
    """Move this process to a space. Entering mounts puts it in their root directory."""
    if space.mounts >= 0:
        _check(_libc.setns(space.mounts, CLONE_NEWNS), f"enter the mounts of {space.name or 'the lab'}")
    _check(_libc.setns(space.net, CLONE_NEWNET), f"enter {space.name or 'the lab'}")


def mount(what: str, where: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    done = _libc.mount(what.encode(), where.encode(), kind.encode() or None, flags, data.encode() or None)
    _check(done, f"mount {what} on {where}")


@contextmanager
def _given(text: str) -> Iterator[int]:
    """A file that holds `text`, so that no program waits for a pipe to be filled."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    try:
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _open_own(kind: str) -> int:
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int, doing: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise LabError(f"could not {doing}: {os.strerror(number)}")
