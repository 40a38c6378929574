"""Sockets for questions to resolvers, each bound to the device by which it may leave, and giving up what is not needed.

A bound socket's packets leave by that device or not at all, whatever the routes say (socket(7), SO_BINDTODEVICE). Since
Linux 5.7 anybody may bind a socket that is not bound yet, so nothing of root is kept for it.
"""

from __future__ import annotations

import os
import pwd
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

from warren.model.prefix import Address
from warren.sys.errors import HostError


@dataclass(frozen=True, slots=True)
class Target:
    """A resolver as a socket sees it; `name` is what its certificate must be for."""

    address: Address
    port: int
    device: str = ""
    name: str = ""
    path: str = ""

    @property
    def host(self) -> str:
        """Its address."""
        return str(self.address)

    @property
    def where(self) -> tuple[str, int]:
        """Where it is connected to."""
        return self.host, self.port

    @property
    def authority(self) -> str:
        """What HTTP calls it."""
        host = self.name or (f"[{self.host}]" if self.address.version == 6 else self.host)
        return host if self.port == 443 else f"{host}:{self.port}"


def open_socket(target: Target, *, stream: bool) -> socket.socket:
    """Open a socket for a resolver, which does not block; OSError if its device is not there."""
    family = socket.AF_INET if target.address.version == 4 else socket.AF_INET6
    made = socket.socket(family, (socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK)
    try:
        if target.device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, target.device.encode() + b"\0")
    except OSError:
        made.close()
        raise
    return made


def listen_at(address: Address, port: int) -> tuple[socket.socket, socket.socket]:
    """Open the sockets for questions, by UDP and by TCP; HostError if somebody else has the place."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    made = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        try:
            one.bind((str(address), port))
        except OSError as error:
            raise HostError(
                f"nothing can answer at {address} port {port}: {(error.strerror or str(error)).lower()}",
                f"`ss -lnp 'src = {address}:{port}'` says who is there.",
            ) from None
        made.append(one)
    made[1].listen(128)
    made[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return made[0], made[1]


def become(user: str) -> None:
    """Give up being root for good, if we are; HostError if there is no such user."""
    if os.geteuid() != 0 or not user:
        return
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise HostError(f"there is no user {user} to become", "Give another by --user.") from None
    os.setgroups([])
    os.setresgid(found.pw_gid, found.pw_gid, found.pw_gid)
    os.setresuid(found.pw_uid, found.pw_uid, found.pw_uid)


def be_called(name: str) -> None:
    """Be known by a name of one's own among the processes (proc(5), comm), and have room for many sockets."""
    Path("/proc/self/comm").write_text(name[:15])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
