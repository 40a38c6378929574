"""Which UDP ports of this host are taken, as /proc/net/udp tells (proc(5)); kernel WireGuard's own are among them."""

from __future__ import annotations


def ports_in_use() -> frozenset[int]:
    """Give every local UDP port that some socket of this network namespace is bound to."""
    found: set[int] = set()
    for name in ("udp", "udp6"):
        try:
            with open(f"/proc/thread-self/net/{name}", encoding="ascii", errors="replace") as file:
                lines = file.read().splitlines()[1:]
        except OSError:  # built without IPv6
            continue
        found |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines if line.strip()}
    return frozenset(found - {0})
