"""What keeps countries and lists current on a host without an agent: a timer of systemd, or a line of cron.

Both run `warren geo update --refresh` once a day, at a time of each host's own: a registry that is asked by everybody
at once answers nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from warren.core.render.systemd import Section, unit_text
from warren.core.render.tree import File

NAME = "warren-geo"
JITTER = 6 * 3600  # seconds in which the day's one time lies
CRON_JITTER = 3600
_UNITS = "etc/systemd/system"
# What holds the service to what it needs: HTTPS, nft, network files to read, and one directory to write.
_HELD = (
    "Nice=10",
    "UMask=0077",
    "StateDirectory=warren",
    "StateDirectoryMode=0700",
    # It alters nft sets, and reads lists that belong to somebody else.
    "CapabilityBoundingSet=CAP_NET_ADMIN CAP_DAC_READ_SEARCH",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
)


def upkeep_units(warren: str) -> tuple[File, File]:
    """Give the service and its timer; `warren` is the program's path."""
    return (
        File(f"{_UNITS}/{NAME}.service", unit_text(_service(warren))),
        File(f"{_UNITS}/{NAME}.timer", unit_text(_timer())),
    )


def upkeep_cron(warren: str) -> str:
    """Give the line of /etc/cron.d that does the same; it waits by itself, as cron does not."""
    return f"17 4 * * *  root  {quote(warren)} geo update --refresh --json --jitter {CRON_JITTER} >/dev/null\n"


def _service(warren: str) -> Iterator[Section]:
    yield (
        "Unit",
        (
            "Description=Addresses of countries and lists, fetched and put into the sets in force",
            "Documentation=man:nft(8)",
            "Wants=network-online.target",
            "After=network-online.target",
        ),
    )
    yield "Service", ("Type=oneshot", f"ExecStart={warren} geo update --refresh", "TimeoutStartSec=1h", *_HELD)


def _timer() -> Iterator[Section]:
    yield "Unit", ("Description=Countries and lists once a day",)
    lines = ("OnCalendar=daily", f"RandomizedDelaySec={JITTER}", "Persistent=true")
    yield "Timer", lines
    yield "Install", ("WantedBy=timers.target",)
