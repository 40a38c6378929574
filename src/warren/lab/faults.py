"""Break the network for real, and heal it.

A host that is down has its cable pulled: the far end of its uplink goes down, so nothing passes and its devices stay.
A tunnel that is down has lost its peers, on both sides; applying the network again puts them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warren.lab.topology import host_space
from warren.model.expect import Down

if TYPE_CHECKING:
    from warren.lab.lab import Lab


def break_down(lab: Lab, down: tuple[Down, ...]) -> None:
    """Break all of these at once."""
    for one in down:
        if one.tunnel is not None:
            for host, peer in (one.tunnel, one.tunnel[::-1]):
                _forget_peer(lab, host, peer)
        else:
            uplink = lab.wiring.uplinks[one.host]
            lab.spaces.run(uplink.space, ("ip", "link", "set", uplink.device, "down"))


def heal(lab: Lab, down: tuple[Down, ...]) -> None:
    """Bring back what `break_down` took away."""
    for one in down:
        if one.tunnel is not None:
            for host in one.tunnel:  # one after the other: the second begins the handshake, and the first is there
                lab.apply((host,))
        else:
            uplink = lab.wiring.uplinks[one.host]
            lab.spaces.run(uplink.space, ("ip", "-batch", "-"), "\n".join(uplink.revive))


def _forget_peer(lab: Lab, host: str, peer: str) -> None:
    """Remove a peer from every device of a host."""
    space, key = host_space(host), lab.network.by_name[peer].key
    for line in lab.spaces.run(space, ("wg", "show", "all", "peers")).splitlines():
        device, found = line.split()
        if found == key:
            lab.spaces.run(space, ("wg", "set", device, "peer", key, "remove"))
