"""Kernel settings under /proc/sys (sysctl(8)), and which others the kernel changes along with one.

A name is dotted, with `/` for a dot inside a device's name, as sysctl(8) reads it. What is read is that of the
calling thread's network namespace.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from warren.model.state import Sysctl

ROOT = "/proc/sys"
# The kernel's WireGuard turns this off when a device of it comes up, and never on again (wg_open in its device.c).
BY_WIREGUARD = "net.ipv4.conf.all.send_redirects"


def path_of(name: str) -> str:
    """Give the file of a setting: `net.ipv4.conf.eth0/5.rp_filter` → /proc/sys/net/ipv4/conf/eth0.5/rp_filter."""
    return f"{ROOT}/{name.translate(_SWAP)}"


_SWAP = str.maketrans("./", "/.")


def device_word(device: str) -> str:
    """Write a device's name as part of a setting's name."""
    return device.replace(".", "/")


def read(name: str) -> str | None:
    """Read a setting, its white space made single; None where there is no such setting."""
    try:
        with open(path_of(name), encoding="ascii", errors="replace") as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def read_all(names: Iterable[str]) -> tuple[Sysctl, ...]:
    """Read settings, in the order of their names; those that are not there are left out."""
    found = ((name, read(name)) for name in sorted(set(names)))
    return tuple(Sysctl(name, value) for name, value in found if value is not None)


def writable(name: str) -> bool:
    """Say whether the file of a setting may be written at all (a container's /proc/sys often may not)."""
    path = path_of(name)
    return os.access(path, os.W_OK) and not os.statvfs(path).f_flag & os.ST_RDONLY


def along_with(name: str) -> tuple[str, ...]:
    """Name the settings that the kernel changes by itself when this one is written (ip-sysctl.rst, devinet.c).

    Turning forwarding on or off writes it to every device, to the default for new ones, and for IPv4 turns
    `accept_redirects` the other way round. Whoever puts the one back has to put these back too.
    """
    versions = {
        "net.ipv4.ip_forward": "ipv4",
        "net.ipv4.conf.all.forwarding": "ipv4",
        "net.ipv6.conf.all.forwarding": "ipv6",
    }
    version = versions.get(name)
    if version is None:
        return ()
    try:
        devices = sorted(os.listdir(f"{ROOT}/net/{version}/conf"))
    except OSError:
        return ()
    more = ["net.ipv4.conf.all.accept_redirects"] if version == "ipv4" else []
    return tuple(
        more + [f"net.{version}.conf.{device_word(device)}.forwarding" for device in devices if device != "all"]
    )
