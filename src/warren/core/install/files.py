"""What `warren install` puts on a host, as a value: made here, shown by --dry-run, written and taken back by `sys`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from warren.core.render.tree import File


class Init(StrEnum):
    """The init systems that warren has files for."""

    SYSTEMD = "systemd"
    OPENRC = "openrc"


@dataclass(frozen=True, slots=True)
class Where:
    """What of a host its files depend on; every path is absolute.

    `argv` calls warren, `guard` is the script of the first moments and `state` the directory it lies in (empty `state`:
    the ordinary one). `networkd` says that systemd-networkd is on the host, and deletes what others made of routes.
    `cron` is where daily work goes: `cron.d`, `periodic` (a directory that is gone through each day) or empty: nowhere.
    """

    argv: tuple[str, ...]
    guard: str
    store: str
    default_store: bool = True
    networkd: bool = False
    cron: str = ""


@dataclass(frozen=True, slots=True)
class Enabled:
    """A unit or service that the init system is to start: at which runlevel (OpenRC), and whether at once."""

    name: str
    level: str = ""
    now: bool = False


@dataclass(frozen=True, slots=True)
class Installation:
    """Files with their places, and what is enabled of them, in the order of the boot; `said` is what is left to do."""

    init: Init
    files: tuple[File, ...]
    enabled: tuple[Enabled, ...]
    said: tuple[str, ...] = ()
