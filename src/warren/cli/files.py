"""The files a command is given: read in bounds, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from warren.sys.errors import HostError


def read_file(path: str, most: int, remedy: str = "") -> bytes:
    """Read a file, at most one byte more than `most`; HostError with the remedy if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise HostError(f"there is no file {path}", remedy) from None
    except OSError as error:
        raise HostError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def write_file(path: str, text: str) -> None:
    """Put a text in a file's place at once (rename(2)): whoever is killed at any moment leaves the old or the new.

    A link is followed, and the file keeps its mode; a new one is readable by all, as the umask allows.
    """
    target = Path(path).resolve()
    temporary = None
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{target.name}.", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise HostError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _umask() -> int:
    """Read the umask; there is no way but to set it (umask(2))."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
