"""What an agent knows of the paths to peers, in a file that `warren status` reads: DIRECTORY/paths/DEVICE.json.

The agent holds the file open under a lock (flock(2)) for as long as it is there, so whoever finds no lock knows that
the agent has gone, however it ended. Root alone reads it (0600): it says where peers are.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warren.proto.known import Known
from warren.sys.codec import CodecError, decode, encode
from warren.sys.errors import HostError
from warren.sys.store import to_text

PATHS = "paths"
LARGEST = 4 << 20  # bytes; 200 peers with 48 places each take one


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says; `alive`: the agent that wrote it is still there."""

    known: Known
    alive: bool


class Note:
    """The file of one device, for the agent that writes it."""

    def __init__(self, directory: str, device: str) -> None:
        self._path = Path(directory, PATHS, f"{device}.json")
        self._held = -1

    def write(self, known: Known) -> None:
        """Replace the file as a whole; HostError if that cannot be. It need not outlive a crash of the machine."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            made = os.open(temporary, flags, 0o600)
            try:
                fcntl.flock(made, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with open(made, "wb", closefd=False) as file:
                    file.write(to_text(encode(known)).encode())
                os.replace(temporary, self._path)
            except BaseException:
                os.close(made)
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise HostError(f"cannot write {self._path}, from which `warren status` tells of paths: {why}") from None
        self._let_go()
        self._held = made

    def remove(self) -> None:
        """Take the file away, unless another agent has written it since."""
        if self._held >= 0:
            with suppress(OSError):  # somebody cleared /run; or it stays, and tells that the agent has gone
                if os.path.samestat(os.fstat(self._held), self._path.stat()):
                    self._path.unlink()
            self._let_go()

    def _let_go(self) -> None:
        if self._held >= 0:
            os.close(self._held)
        self._held = -1


def find(directory: Path, device: str) -> Found | None:
    """Read what the agent of a device wrote; None if there is nothing, or nothing that can be understood."""
    try:
        descriptor = os.open(directory / PATHS / f"{device}.json", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        alive = _is_held(descriptor)
        known = read(file.read(LARGEST))
    return Found(known, alive) if known is not None else None


def read(text: bytes) -> Known | None:
    """Take the text of such a file; None for anything else, whatever it is."""
    try:
        return decode(json.loads(text, parse_constant=_no_number), Known)
    except (CodecError, ValueError, RecursionError):
        return None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of seconds")


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
