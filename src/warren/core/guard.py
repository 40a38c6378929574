"""What of a host's state can stand before any of its devices does: what a boot puts up first.

The nft table, the rules and the routes that go nowhere need no device, no address and no name. With them a portal's
packets find the `unreachable` behind their exit, and the guard by ingress stands too: whatever the machine forwards by
then, nothing of a portal leaves by the uplink.
"""

from __future__ import annotations

from warren.model.state import HostState


def guard_of(state: HostState) -> HostState:
    """Give the part of a state that needs nothing to be there."""
    return HostState(
        host=state.host,
        owner=state.owner,
        backend=state.backend,
        routes=tuple(route for route in state.routes if not route.device and route.via is None),
        rules=state.rules,
        tables=state.tables,
        choices=state.choices,
    )
