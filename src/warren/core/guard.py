"""What of a host's state can stand before any of its devices does: what a boot puts up first.

The nft table, the rules and the routes that go nowhere need no device, no address and no name. With them a portal's
packets find the `unreachable` behind their exit, and the guard by ingress stands too: whatever the machine forwards by
then, nothing of a portal leaves by the uplink.
"""

from __future__ import annotations

from dataclasses import replace

from warren.model.state import Hooks, HostState


def guard_of(state: HostState) -> HostState:
    """Give the part of a state that needs nothing to be there."""
    return replace(
        state,
        interfaces=(),
        routes=tuple(route for route in state.routes if not route.device and route.via is None),
        sysctls=(),
        consents=(),
        dns=(),
        forget=(),
        hooks=Hooks(),
        lan_addresses=(),
        retired=(),
        services=(),
    )
