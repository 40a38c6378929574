"""Confs on this machine: found by name or path, read with the machine's own names, written back whole.

A bare name means /etc/wireguard/NAME.conf, as for wg-quick; anything else is a path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from warren.core.conf.parse import Parsed, check_access, parse_conf
from warren.core.conf.values import NAME
from warren.model.diagnostic import Diagnostic
from warren.sys.errors import HostError
from warren.sys.secret import MAX_FILE
from warren.sys.store import sync_directory

DIRECTORY = "/etc/wireguard"
RT_TABLES = ("/usr/share/iproute2/rt_tables", "/usr/lib/iproute2/rt_tables", "/etc/iproute2/rt_tables")


@dataclass(frozen=True, slots=True)
class ConfFile:
    """A conf that was read: `name` is its device, `shown` what people called it, `path` where it really lies."""

    name: str
    shown: str
    path: Path
    data: bytes
    parsed: Parsed

    @property
    def owner(self) -> str:
        """The owner of everything the conf makes."""
        return f"conf:{self.name}"

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """All that is to be said of the file."""
        return self.parsed.diagnostics


def is_conf(argument: str) -> bool:
    """Say whether an argument names a conf rather than a network file: by `.conf`, or as a bare name of no file."""
    if argument.endswith(".conf"):
        return True
    return NAME.fullmatch(argument) is not None and (exists(argument) or not os.path.isfile(argument))


def exists(argument: str) -> bool:
    """Say whether the conf that an argument stands for is there."""
    return os.path.exists(locate(argument)[1])


def for_down(argument: str) -> ConfFile:
    """Read a conf only if it wants to be saved when its tunnel goes; nothing else in it counts then."""
    path = locate(argument)[1]
    try:
        with open(path, "rb") as file:
            saves = b"saveconfig" in file.read(MAX_FILE).lower()
    except OSError:
        saves = False
    return read(argument) if saves else absent(argument)


def absent(argument: str) -> ConfFile:
    """Stand in for a conf whose file is not needed or not there: its tunnel can be taken down all the same."""
    name, shown = locate(argument)
    return ConfFile(name, shown, Path(shown), b"", Parsed(None, ()))


def locate(argument: str, *, path: bool = False) -> tuple[str, str]:
    """Give the device's name and the path that an argument stands for; HostError if it cannot be a conf's.

    `path`: take it for a path where there is such a file, even if it could be a bare name (`wg0.conf`).
    """
    bare = NAME.fullmatch(argument) is not None and not (path and os.path.isfile(argument))
    file = f"{DIRECTORY}/{argument}.conf" if bare else argument
    name, dot, suffix = os.path.basename(file).rpartition(".")
    if suffix != "conf" or not dot:
        raise HostError(
            f"{argument} is no conf: its name does not end in .conf",
            "Call the file NAME.conf, where NAME is the device it makes.",
        )
    return name, file


def read(argument: str, *, path: bool = False) -> ConfFile:
    """Find and read a conf; what is wrong inside is among its findings. HostError if there is none to read.

    `path` as for `locate`.
    """
    name, shown = locate(argument, path=path)
    real = Path(os.path.realpath(shown))
    try:
        with open(real, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        remedy = "Run warren as root: a conf holds keys." if isinstance(error, PermissionError) else _there(argument)
        raise HostError(f"cannot read {shown}: {why}", remedy) from None
    if len(data) > MAX_FILE:
        raise HostError(f"{shown} is larger than any conf: more than {MAX_FILE // 2**20} MiB")
    parsed = parse_conf(data, shown, name, str(real), services=service_port, tables=table_number)
    access = check_access(shown, str(real), mode, real.parent.stat().st_mode)
    return ConfFile(name, shown, real, data, Parsed(parsed.conf, access + parsed.diagnostics))


def write(path: Path, text: str) -> None:
    """Replace a conf as a whole, readable by its owner alone; it is on the disk when this returns."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HostError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def service_port(name: str) -> int | None:
    """Find a service's UDP port in the machine's own list (services(5))."""
    import socket

    try:
        return socket.getservbyname(name, "udp")
    except (OSError, UnicodeEncodeError):
        return None


def table_number(name: str) -> int | None:
    """Find a routing table's number by its name in the machine's own lists (ip-route(8))."""
    files = [Path(file) for file in RT_TABLES]
    files += sorted(Path("/etc/iproute2/rt_tables.d").glob("*.conf"))
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := re.search(rf"^\s*(0x[0-9a-fA-F]+|\d+)\s+{re.escape(name)}\s*(?:#|$)", text, re.MULTILINE):
            return int(found[1], 0)
    return None


def _there(argument: str) -> str:
    """Name the confs that there are, where one was called by a bare name; or the file here that was meant."""
    if not NAME.fullmatch(argument):
        return ""
    if os.path.isfile(argument):
        return f"A bare name stands for a conf in {DIRECTORY}. For the file here, write ./{argument}."
    try:
        names = sorted(path.stem for path in Path(DIRECTORY).glob("*.conf"))
    except OSError:
        return ""
    return f"There are: {', '.join(names)}." if names else f"There is no conf in {DIRECTORY}."
