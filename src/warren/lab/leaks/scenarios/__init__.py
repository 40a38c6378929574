"""What may happen to a host, grouped by what it happens to. Every group is a file."""

from __future__ import annotations

from warren.lab.leaks.scenario import Scenario
from warren.lab.leaks.scenarios import (
    applies,
    clients,
    exits,
    firewall,
    networks,
    programs,
    resolvers,
    routes,
    rules,
    settings,
    tunnels,
    uplink,
)

SCENARIOS: tuple[Scenario, ...] = (
    *firewall.SCENARIOS,
    *routes.SCENARIOS,
    *rules.SCENARIOS,
    *tunnels.SCENARIOS,
    *exits.SCENARIOS,
    *applies.SCENARIOS,
    *programs.SCENARIOS,
    *networks.SCENARIOS,
    *uplink.SCENARIOS,
    *settings.SCENARIOS,
    *clients.SCENARIOS,
    *resolvers.SCENARIOS,
)
GROUPS = tuple(dict.fromkeys(one.group for one in SCENARIOS))
