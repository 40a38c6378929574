"""Whether this process may change, or even see, the network of the host (capabilities(7)).

It is the capability that counts, not the user: a service with CAP_NET_ADMIN needs no root, and root in a container
may lack it.
"""

from __future__ import annotations

from warren.sys.errors import HostError

CAP_NET_ADMIN = 12


def has_net_admin() -> bool:
    """Say whether CAP_NET_ADMIN is in the effective set."""
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> CAP_NET_ADMIN & 1)
    return False


def require_net_admin(what: str) -> None:
    """Refuse in words when the capability is missing; `what` says what it is needed for."""
    if not has_net_admin():
        raise HostError(
            f"{what} needs the capability CAP_NET_ADMIN, which this process lacks",
            "Run it as root (sudo warren …), or give the container that capability (--cap-add NET_ADMIN).",
        )
