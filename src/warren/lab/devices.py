"""Devices of the lab: brought up as their owners do it, by wg-quick with the configuration that `warren render` writes.

Nothing of warren runs in a device's space afterwards. One line of the configuration is left out: the lab has no
resolver to name, and resolvconf(8), which `DNS =` calls, knows nothing of namespaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from warren.lab.keys import PLACE, key_file
from warren.lab.works import nudge
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState


def connector(network: Network, lock: Lock) -> Callable[[str], HostState]:
    """Make what brings up one device, in its space, and gives the state it was rendered from."""
    # Loaded before the workers are copied.
    from warren.core.render.subject import state_of
    from warren.core.render.wgquick import render_wg_quick
    from warren.model.change import Command
    from warren.sys.run import run
    from warren.sys.tree import keys_at_hand, write_tree

    def work(name: str) -> HostState:
        state = state_of(network, lock, name)
        made = render_wg_quick(replace(state, dns=()))
        keys = keys_at_hand(made.files, str(key_file(name)))
        for conf in write_tree(made.files, str(PLACE / name / "tree"), keys):
            run(Command(("wg-quick", "up", str(conf))))
        # wg-quick brings the device up before its firewall, so the first handshake is not marked as the tunnel's own;
        # what comes in is dropped by a strict reverse-path filter until something marked goes out. Here that is now.
        nudge(lock.by_name[network.devices_by_name[name].into].addresses[0])
        return state

    return work
