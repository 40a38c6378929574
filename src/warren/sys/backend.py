"""Which WireGuard this host can have: the kernel's, wireguard-go, or none. Asked without changing anything."""

from __future__ import annotations

import errno
import os

from warren.model.change import Command
from warren.model.state import Backend
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, Run, find_program, run

USERSPACE = "wireguard-go"
TUN = "/dev/net/tun"
MODULES = "/lib/modules"


def detect(run: Run = run) -> Backend:
    """Say what can carry WireGuard here.

    The kernel has it when the module is loaded or built in (/sys/module), or when modprobe would find it
    (`modprobe -n` loads nothing). wireguard-go needs a tun device that may be opened, which containers and the file's
    mode can forbid.
    """
    if os.path.isdir("/sys/module/wireguard") or _module_there(run):
        return Backend.KERNEL
    if find_program(USERSPACE) and not _tun_trouble():
        return Backend.USERSPACE
    return Backend.NONE


def require(backend: Backend) -> None:
    """Refuse, with what helps, when there is no WireGuard at all."""
    if backend is not Backend.NONE:
        return
    if find_program(USERSPACE):
        trouble = _tun_trouble()
        if trouble in (errno.EACCES, errno.EPERM):
            raise HostError(
                f"no WireGuard here: this kernel has none, and wireguard-go has no permission for {TUN}",
                f"`chmod 666 {TUN}` as root gives it to everybody, as Debian does by default; or do this as root. "
                "A container has to be given the device.",
            )
        raise HostError(
            f"no WireGuard here: this kernel has none, and wireguard-go needs {TUN}: {os.strerror(trouble).lower()}",
            f"Load the tun module (`modprobe tun`), or give the container the device {TUN}.",
        )
    raise HostError(
        "no WireGuard here: neither the kernel's module nor wireguard-go",
        "A kernel from 5.6 on has it (`modprobe wireguard`). In a container without modules, or on an older kernel, "
        "install the package wireguard-go.",
    )


def _tun_trouble() -> int:
    """Open the tun device as wireguard-go does, which makes no interface yet; gives the error number, 0 if it may."""
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _module_there(run: Run) -> bool:
    if find_program("modprobe") is None or not os.path.exists(f"{MODULES}/{os.uname().release}"):
        return False
    try:
        run(Command(("modprobe", "-n", "-q", "wireguard")))
    except CommandFailed:
        return False
    return True
