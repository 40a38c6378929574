"""Tell WireGuard its peers' endpoints once more, after the host's own address has changed.

With an endpoint both kernel and wireguard-go keep the source address that they last used for it. Set anew, it is
chosen anew; sessions and counters stay.
"""

from __future__ import annotations

from collections.abc import Collection

from warren.model.change import Command
from warren.sys import wg
from warren.sys.run import CommandFailed, Run, run


def renew_endpoints(devices: Collection[str], run: Run = run) -> int:
    """Set the endpoints that the peers of these devices have; give how many."""
    count = 0
    for name, seen in wg.devices(devices, run).items():
        words: list[str] = []
        for each in seen.peers:
            if each.peer.endpoint is not None:
                words += ["peer", each.peer.public_key, "endpoint", str(each.peer.endpoint)]
                count += 1
        if words:
            try:
                run(Command(("wg", "set", name, *words), says=f"endpoints of {name}, once more"))
            except CommandFailed:  # the device went away meanwhile
                continue
    return count
