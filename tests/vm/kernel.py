"""Debian's kernel as files: fetched once, unpacked into the user's cache, never installed.

    ~/.cache/warren/vm/linux-image-6.1.0-56-amd64/boot/vmlinuz-6.1.0-56-amd64
                                                  lib/modules/6.1.0-56-amd64/...

A directory of that name is complete: it is filled under another name and renamed when done.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Depends on the kernel that Debian's current stable release runs.
METAPACKAGE = "linux-image-amd64"


class NoVM(Exception):
    """Say why no VM can be had on this machine."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image and the tree (`lib/modules/RELEASE` below `root`) its modules are in."""

    root: Path
    release: str

    @property
    def image(self) -> Path:
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.root / "lib" / "modules"


def cached_kernel() -> Kernel:
    """Give the newest kernel in the cache, fetched now if there is none. Raises NoVM where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warren" / "vm"
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        kernels = sorted(cache.glob("linux-image-*"), key=_numbers_in) or [_fetch(cache)]
    root = kernels[-1]
    return Kernel(root, root.name.removeprefix("linux-image-"))


def _fetch(cache: Path) -> Path:
    package = _current_package()
    print(f"vm: fetching {package} (70 MB) into {cache}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        scratch = Path(name)
        try:
            _run("apt-get", "-q", "download", package, cwd=scratch)
        except NoVM:
            if os.geteuid() != 0:
                raise
            _run("apt-get", "-q", "update", cwd=scratch)  # the package list may name a version that is gone
            _run("apt-get", "-q", "download", package, cwd=scratch)
        [archive] = scratch.glob("*.deb")
        unpacked = scratch / "unpacked"
        _run("dpkg", "-x", str(archive), str(unpacked))
        _run("/sbin/depmod", "-b", str(unpacked), package.removeprefix("linux-image-"))
        return unpacked.rename(cache / package)


def _current_package() -> str:
    listed = _run("apt-cache", "depends", METAPACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", listed)
    if not found:
        raise NoVM(f"apt-get knows no {METAPACKAGE} here; the kernel lane boots Debian's kernel")
    return found[1]


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NoVM(f"no `{command[0]}`, and with it Debian's kernel would be fetched") from error
    if done.returncode:
        raise NoVM(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _numbers_in(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory against other processes of ours."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
