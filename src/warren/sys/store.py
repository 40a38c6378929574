"""The directory in which warren remembers what it did to this host: /var/lib/warren, or $WARREN_STATE_DIR.

    lock                     held by whoever changes the host
    register.json            numbers and settings that owners share (register.py)
    owners/OWNER/journal     what was applied, is being applied, was confirmed (journal.py)
    owners/OWNER/DIGEST.json those states, each written once
    endpoints.json           where the names of endpoints led when they were last found (endpoints.py)
    install.json             what `warren install` made of this host's files (install.py)
    boot/guard.sh            what a boot puts up before there is any network (boot_guard.py)
    punch.json               the time of `warren punch`'s last greeting, which must never go back (daemon/wish.py)
    confirm.log              what the guard of an unconfirmed apply said

What does not outlive a boot is in /run/warren, or in run/ of another directory:
    paths/DEVICE.json        what the agent knows of peers that it finds (known.py)

Only root reads it (0700). A file is replaced whole, and is on the disk before its name is: whoever is killed at
any moment leaves the old file or the new one (rename(2), fsync(2)).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warren.sys.errors import HostError

DEFAULT_STATE_DIR = "/var/lib/warren"
RUN = "/run/warren"


@dataclass(frozen=True, slots=True)
class Store:
    """Where this host's memory is."""

    path: Path

    @classmethod
    def of_host(cls) -> Store:
        """Find it: $WARREN_STATE_DIR, else /var/lib/warren."""
        return cls(Path(os.environ.get("WARREN_STATE_DIR") or DEFAULT_STATE_DIR))

    @property
    def run(self) -> Path:
        """Where things are that nobody needs after a boot."""
        return Path(RUN) if self.path == Path(DEFAULT_STATE_DIR) else self.path / "run"

    def prepare(self) -> None:
        """Make the directory, readable by its owner alone; HostError when that cannot be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self.trouble(error, "make", self.path) from None

    def trouble(self, error: OSError, verb: str, path: Path) -> HostError:
        """Say what the file system refused."""
        why = (error.strerror or str(error)).lower()
        return HostError(
            f"cannot {verb} {path}, where warren remembers what it did to this host: {why}",
            "Run warren as root, or name a directory you may write in the environment variable WARREN_STATE_DIR.",
        )

    def read(self, *names: str) -> Any | None:
        """Read a JSON file; None if there is none. HostError with a remedy if it is damaged."""
        path = self.path.joinpath(*names)
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.trouble(error, "read", path) from None
        except ValueError as error:
            raise damaged(path, str(error)) from None

    def write(self, data: Any, *names: str) -> None:
        """Replace a JSON file as a whole; it is on the disk when this returns."""
        self.write_text(to_text(data), *names)

    def write_text(self, text: str, *names: str) -> None:
        """Replace a text file as a whole; it is on the disk when this returns."""
        self.write_bytes(text.encode() + b"\n", *names)

    def write_bytes(self, data: bytes, *names: str) -> None:
        """Replace a file as a whole; it is on the disk when this returns."""
        path = self.path.joinpath(*names)
        self.prepare()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_directory(path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self.trouble(error, "write", path) from None

    def remove(self, *names: str) -> None:
        """Remove a file, whether it is there or not."""
        path = self.path.joinpath(*names)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self.trouble(error, "remove", path) from None


def to_text(data: Any) -> str:
    """Write a JSON value in as few characters as it takes."""
    return json.dumps(data, separators=(",", ":"))


def damaged(path: Path, why: str) -> HostError:
    """Say that a file of the store cannot be understood, and what helps."""
    return HostError(
        f"{path} is damaged: {why}",
        f"Move it away (`mv {path} {path}.damaged`) and run `warren apply` again: it looks at the host itself and puts "
        "right what differs. Devices that were made before are then no longer known as warren's; remove them with "
        "`ip link del`.",
    )


def sync_directory(path: Path) -> None:
    """Have a directory's new names on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kernel_id() -> str:
    """Name the kernel memory that this process changes: the boot, and the network namespace in it.

    What an earlier boot or another namespace (a container started anew) was given is gone.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return f"{boot}/{_namespace()}"


def _namespace() -> int:
    """Number this network namespace: its cookie, never used again in a boot (Linux 5.14), or else its inode."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        try:
            return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
        except OSError:
            return os.stat("/proc/thread-self/ns/net").st_ino


_SO_NETNS_COOKIE = 71  # asm-generic/socket.h
