"""From outside: start a lab, find one that is up, and ask it things.

A lab that stays up is found by the path of its network file: it listens at an abstract Unix address (unix(7)), which
belongs to this user's network namespace, is no file, and is gone when the lab is.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from warren.lab.enclose import DETACHED, killed_by
from warren.lab.spaces import LabError
from warren.model.lock import Lock
from warren.model.network import Network
from warren.sys.lock_file import lock_path

ENDING = 3.0  # seconds a lab that hung up may take until its process is gone


class Session:
    """A conversation with a lab. Ending a session that started it ends the lab too, unless it was left alone."""

    def __init__(
        self,
        line: socket.socket,
        process: subprocess.Popen[bytes] | None = None,
        leash: int = -1,
        log: BinaryIO | None = None,
    ) -> None:
        self._line, self._process, self._leash, self._log = line, process, leash, log
        self._reader = line.makefile("rb")
        self.seconds = 0.0  # that it took to come up

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, wanted: str, **more: Any) -> Iterator[dict[str, Any]]:
        """Ask for something, and give what is told until it is done; LabError if the lab is in trouble."""
        self._line.sendall(json.dumps({"do": wanted, **more}).encode())
        while True:
            told = self.hear()
            yield told
            if "ok" in told:
                return

    def hear(self) -> dict[str, Any]:
        """Give the next thing told."""
        try:
            said = self._reader.readline()
        except ConnectionResetError:  # it ended with something of ours unread
            said = b""
        if not said:
            raise self.over()
        told: dict[str, Any] = json.loads(said)
        if "error" in told:
            raise LabError(told["error"]["says"], told["error"]["remedy"])
        return told

    def over(self) -> LabError:
        """Say that the lab ended by itself, and why as far as that is known: its log, and how its process ended."""
        if self._process is None or self._log is None:
            return LabError("the lab ended unexpectedly", "It was taken down, or somebody killed it.")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING)  # before we hang up, which would end it in our way
        status = self._process.returncode
        self._hang_up()
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip()
        if status is None:
            how = "it no longer answered, though its process lived"
        elif status < 0:
            how = f"its process was {killed_by(-status)}"
        else:
            how = f"its process ended with status {status}"
        return LabError(f"the lab ended unexpectedly: {how}", words)

    @property
    def pid(self) -> int:
        """The process that holds the lab, for a session with one that was found."""
        pid, _, _ = struct.unpack("3i", self._line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    def wait_for_end(self) -> None:
        """Wait until a lab that was told to end has hung up."""
        while self._reader.readline():
            pass

    def leave_alone(self) -> None:
        """Let the lab outlive this session."""
        os.write(self._leash, DETACHED)
        self._process = None

    def close(self) -> None:
        """Hang up; a lab on the leash ends."""
        self._reader.close()
        self._line.close()
        self._hang_up()
        if self._log is not None:
            self._log.close()

    def _hang_up(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        if self._process is not None:
            self._process.wait()


@dataclass(frozen=True, slots=True)
class Door:
    """Where the lab of a network file listens."""

    file: str

    @property
    def address(self) -> str:
        """The abstract address: the user and the file tell labs apart."""
        digest = blake2s(os.path.realpath(self.file).encode(), digest_size=12).hexdigest()
        return f"\0warren-lab-{os.getuid()}-{digest}"

    def find(self) -> Session | None:
        """Call the lab that is up; None if there is none. LabError if the file has changed since."""
        session = self.call()
        if session is not None and next(session.ask("version"))["version"] != self.version():
            session.close()
            raise LabError(
                f"the lab that is up was made from an earlier version of {self.file}",
                f"`warren lab down {self.file}` takes it down; then bring it up again.",
            )
        return session

    def version(self) -> str:
        """Tell versions of the file apart, and of its lock."""
        digest = blake2s(digest_size=12)
        for path in (Path(self.file), Path(lock_path(self.file))):
            digest.update(path.read_bytes() if path.exists() else b"")
        return digest.hexdigest()

    def call(self) -> Session | None:
        """Call the lab that is up, whatever it was made from; None if there is none."""
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(self.address)
        except ConnectionRefusedError:
            line.close()
            return None
        return Session(line)

    def bind(self) -> socket.socket:
        """Take the address for a lab that is about to come up; LabError if one has it."""
        door = socket.socket(socket.AF_UNIX)
        try:
            door.bind(self.address)
        except OSError as error:
            door.close()
            if error.errno == errno.EADDRINUSE:
                raise LabError(
                    f"the lab of {self.file} is up already", f"`warren lab down {self.file}` takes it down."
                ) from None
            raise
        return door


def start(network: Network, lock: Lock | None, at: Door | None = None, holder: str = "warren.lab.supervise") -> Session:
    """Start a lab and wait until it is up; LabError says why it did not come up.

    With a door others can find it; without one it is this session's own. `holder` is the module that is run to hold it.
    """
    door = at.bind() if at else None
    ours, theirs = socket.socketpair()
    held, leash = os.pipe()
    inherited = [theirs.fileno(), held] + ([door.fileno()] if door else [])
    log = os.fdopen(os.memfd_create("warren-lab-log"), "w+b")
    numbers = (theirs.fileno(), door.fileno() if door else -1, held)
    try:
        process = subprocess.Popen(
            (sys.executable, "-P", "-m", holder, *map(str, numbers)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,  # one that stays must keep nobody's terminal or pipe open
            pass_fds=inherited,
            start_new_session=True,
        )
    finally:
        theirs.close()
        os.close(held)
        if door:
            door.close()
    session = Session(ours, process, leash, log)
    assert process.stdin is not None
    try:
        try:
            with process.stdin as stdin:
                pickle.dump((network, lock, at.version() if at else ""), stdin)
        except BrokenPipeError:
            raise session.over() from None
        session.seconds = session.hear()["up"]
    except BaseException:
        session.close()
        raise
    return session


def entry_command(session: Session, machine: str) -> tuple[str, ...]:
    """Give the nsenter(1) command that leads into a machine of a lab; LabError if there is no such."""
    told = next(session.ask("where"))
    if machine not in told["spaces"]:
        raise LabError(f"the lab has no machine {machine}", f"It has: {', '.join(told['spaces'])}.")
    net, mounts = told["spaces"][machine]
    process = f"/proc/{session.pid}"
    user: tuple[str, ...] = ()
    if os.stat(f"{process}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        user = (f"--user={process}/ns/user", "--preserve-credentials")
    mount = f"{process}/fd/{mounts}" if mounts >= 0 else f"{process}/ns/mnt"
    return ("nsenter", *user, f"--net={process}/fd/{net}", f"--mount={mount}", f"--pid={process}/ns/pid", "--")


def uplink_of(session: Session, machine: str) -> str:
    """Name the device of a machine at which a capture is most telling."""
    uplinks: dict[str, str] = next(session.ask("where"))["uplinks"]
    return uplinks.get(machine, "any")
