"""Which of several programs this host uses for the same thing."""

from __future__ import annotations

import os
import re
import sys
from glob import glob

from warren.core.render.services import Tools
from warren.sys import systemd
from warren.sys.run import find_program


def tools_here() -> Tools:
    """Choose the programs: resolvconf before resolvectl, and what stands in for wireguard-go, as wg-quick does."""
    dns = next((name for name in ("resolvconf", "resolvectl") if find_program(name)), "")
    userspace = os.environ.get("WG_QUICK_USERSPACE_IMPLEMENTATION") or "wireguard-go"
    return Tools(
        dns=dns or "resolvconf",
        dns_prefix=_resolvconf_rank(),
        userspace=userspace,
        systemd=systemd.runs_units_here(),
        one_user=_one_user(),
        no_dns=dns != "resolvconf" and not os.path.isdir("/run/systemd/resolve"),
        warren=(sys.executable, "-m", "warren"),
        kea_hook=kea_hook(),
    )


def kea_hook() -> str:
    """Find the library by which kea calls a script; where Debian has it on this machine, if it is not there."""
    name = "kea/hooks/libdhcp_run_script.so"
    found = [path for place in ("/usr/lib/*/", "/usr/lib/", "/usr/lib64/") for path in glob(place + name)]
    return found[0] if found else Tools().kea_hook


def _one_user() -> bool:
    """Say whether this user namespace knows a single user: nobody else can be become (user_namespaces(7))."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as mapped:
            return sum(int(line.split()[2]) for line in mapped) == 1
    except OSError:
        return False


def _resolvconf_rank() -> str:
    """Give the prefix under which resolvconf ranks a tunnel's resolvers first, as wg-quick finds it; often none."""
    try:
        with open("/etc/resolvconf/interface-order", encoding="utf-8", errors="replace") as order:
            found = re.search(r"^([A-Za-z0-9-]+)\*$", order.read(), re.MULTILINE)
    except OSError:
        return ""
    return f"{found[1]}." if found else ""
