"""Units of systemd for the networks of a host.

    warren-guard     before any network is up: sh, nft and ip put up what keeps portals' packets in
        network-pre.target ── the host's own network manager
    warren-apply     brings back what was confirmed, again and again until its devices and names are there
    warren-agent@    one for each network: sees to what no apply can foresee
    warren-geo       by a timer: countries and lists

No unit takes anything down when it stops, and none but the agent is stopped by a shutdown before the network is: as
long as the kernel may forward a packet, the guard stands. `warren down` is what takes a network away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warren.core.install.files import Enabled, Init, Installation, Where
from warren.core.render.systemd import Section, unit_text
from warren.core.render.tree import File

PLACE = "etc/systemd/system"
NETWORKD = "etc/systemd/networkd.conf.d/70-warren.conf"
# Whatever else may empty the ruleset or set the kernel does so first. Names that are not there are no trouble.
_FIRST = "local-fs.target systemd-sysctl.service systemd-modules-load.service nftables.service ufw.service"

# What none of them needs. Kernel modules are loaded by the kernel itself when nft or ip ask for what they hold.
_NO_UNIT_NEEDS = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateMounts=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "LockPersonality=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "KeyringMode=private",
    "UMask=0077",
)


def systemd_files(where: Where, networks: Iterable[str], *, geo: bool) -> Installation:
    """Give the units for a host with systemd; `geo`: some network has sets that are fetched."""
    files = [
        _file("warren-guard.service", _guard(where)),
        _file("warren-apply.service", _apply(where)),
        _file("warren-agent@.service", _agent(where)),
    ]
    enabled = [Enabled("warren-guard.service"), Enabled("warren-apply.service")]
    enabled += [Enabled(f"warren-agent@{name}.service", now=True) for name in networks]
    if geo:
        files += [_file("warren-geo.service", _geo(where)), _file("warren-geo.timer", _geo_timer())]
        enabled.append(Enabled("warren-geo.timer", now=True))
    said: tuple[str, ...] = ()
    if where.networkd:
        lines = ("ManageForeignRoutes=no", "ManageForeignRoutingPolicyRules=no")
        files.append(File(NETWORKD, _HEAD + unit_text([("Network", lines)])))
        said = (
            "systemd-networkd reads its new setting when it starts: `systemctl restart systemd-networkd`, or a boot",
        )
    return Installation(Init.SYSTEMD, tuple(files), tuple(enabled), said)


_HEAD = "# Made by `warren install`, taken away by `warren uninstall`. For changes of your own: systemctl edit.\n"


def _file(name: str, sections: Iterable[Section]) -> File:
    return File(f"{PLACE}/{name}", _HEAD + unit_text(sections))


def _guard(where: Where) -> Iterator[Section]:
    yield (
        "Unit",
        (
            "Description=What keeps the packets of portals in, before there is any network",
            "DefaultDependencies=no",  # it does not wait for the rest of the system, and is not stopped with it
            f"RequiresMountsFor={where.store}",
            f"ConditionPathExists={where.guard}",
            f"After={_FIRST}",
            "Wants=network-pre.target",
            "Before=network-pre.target",
        ),
    )
    alone = ("CapabilityBoundingSet=CAP_NET_ADMIN", "RestrictAddressFamilies=AF_NETLINK AF_INET AF_INET6 AF_UNIX")
    closed = ("ProtectHome=yes", "ProtectProc=invisible", "PrivateDevices=yes", "ProtectKernelTunables=yes")
    yield (
        "Service",
        (
            "Type=oneshot",
            "RemainAfterExit=yes",
            f"ExecStart=/bin/sh {where.guard}",
            *alone,
            *_NO_UNIT_NEEDS,
            *closed,
            "SystemCallFilter=~@resources",
            "IPAddressDeny=any",  # netlink is no such traffic
        ),
    )
    yield "Install", ("WantedBy=sysinit.target",)


def _apply(where: Where) -> Iterator[Section]:
    yield (
        "Unit",
        (
            "Description=The confirmed networks of warren",
            "Wants=warren-guard.service",
            "After=warren-guard.service network.target",
            "StartLimitIntervalSec=0",
        ),
    )
    yield (
        "Service",
        (
            "Type=exec",
            "RemainAfterExit=yes",
            f"ExecStart={_argv(where, 'apply', '--at-boot', '--retry')}",
            "Restart=on-failure",
            "RestartSec=30",
            "KillMode=process",  # where wireguard-go carries the tunnels, it stays
            *_environment(where),
            *_privileges("CAP_NET_ADMIN", "CAP_NET_RAW"),
            "DevicePolicy=closed",
            "DeviceAllow=/dev/net/tun rw",  # wireguard-go again
        ),
    )
    yield "Install", ("WantedBy=multi-user.target",)


def _agent(where: Where) -> Iterator[Section]:
    yield (
        "Unit",
        (
            "Description=The agent of warren's network %i",
            "Wants=warren-apply.service",
            "After=warren-apply.service",
            "StartLimitIntervalSec=0",
        ),
    )
    yield (
        "Service",
        (
            "Type=notify",
            "WatchdogSec=90",  # far longer than any command that a duty waits for
            f"ExecStart={_argv(where, 'agent', '--network')} %i",
            "Restart=always",
            "RestartSec=5",
            *_environment(where),
            *_privileges("CAP_NET_ADMIN", "CAP_NET_RAW", families="AF_PACKET"),  # it hears at WireGuard's own port
            "PrivateDevices=yes",
        ),
    )
    yield "Install", ("WantedBy=multi-user.target",)


def _geo(where: Where) -> Iterator[Section]:
    yield (
        "Unit",
        (
            "Description=Countries and lists of warren's networks, brought up to date",
            "Wants=network-online.target",
            "After=network-online.target warren-apply.service",
        ),
    )
    yield (
        "Service",
        (
            "Type=oneshot",
            f"ExecStart={_argv(where, 'geo', 'update', '--refresh')}",
            *_environment(where),
            *_privileges("CAP_NET_ADMIN"),
            "PrivateDevices=yes",
            "ProtectKernelTunables=yes",
        ),
    )


def _geo_timer() -> Iterator[Section]:
    yield "Unit", ("Description=Countries and lists of warren's networks, once a day",)
    # Not all of the world at midnight.
    yield "Timer", ("OnCalendar=daily", "RandomizedDelaySec=6h", "Persistent=yes")
    yield "Install", ("WantedBy=timers.target",)


def _privileges(*capabilities: str, families: str = "") -> tuple[str, ...]:
    """Give what a unit that runs warren itself may do: it writes where it remembers, and to /run."""
    return (
        # A key may belong to another user than root, who reads it as by hand.
        f"CapabilityBoundingSet={' '.join((*capabilities, 'CAP_DAC_READ_SEARCH'))}",
        f"RestrictAddressFamilies=AF_NETLINK AF_INET AF_INET6 AF_UNIX {families}".rstrip(),
        *_NO_UNIT_NEEDS,
        "ProtectHome=read-only",
        "ProtectProc=invisible",
        "PrivateTmp=yes",
        "ReadWritePaths=/run -/etc/resolv.conf",
    )


def _environment(where: Where) -> tuple[str, ...]:
    state = () if where.default_store else (f"Environment=WARREN_STATE_DIR={where.store}",)
    return (*state, f"ReadWritePaths={where.store}")


def _argv(where: Where, *words: str) -> str:
    """Write a command line; no word of it has a character that means something to systemd (sys/install.py)."""
    return " ".join((*where.argv, *words))
