"""What changes on this host's links, addresses and routes, as `ip monitor` tells it (ip-monitor(8))."""

from __future__ import annotations

MONITOR = ("ip", "-o", "monitor", "link", "address", "route")


def is_of(line: str, device: str) -> bool:
    """Say whether a line tells of a device, or of a default route by whatever device."""
    words = line.replace(":", " ").replace("@", " ").split()
    return device in words or "default" in words
