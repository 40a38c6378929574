"""What stands in the way of our packets on a host, though it is not ours to move: named, with the exact remedy.

Warren's own table can only close: an accept there never overrides a drop in somebody else's. So what would drop our
packets is said before apply, in the words of the tool that does it, and so is what would carry them elsewhere.

    blocks      packets of the network will not pass, or apply will fail
    otherwise   something to know
"""

from __future__ import annotations

from warren.core.obstacles.firewalls import foreign_chains
from warren.core.obstacles.knock import knocks
from warren.core.obstacles.machine import backend, devices, ipv6, names, networkd, programs, reverse_path, settings
from warren.core.obstacles.published import taken
from warren.core.obstacles.routing import foreign_routes, foreign_rules, hidden_routes, yielded_prefixes
from warren.model.change import Obstacle
from warren.model.state import HostState
from warren.model.surroundings import Surroundings


def find_obstacles(state: HostState, surroundings: Surroundings) -> tuple[Obstacle, ...]:
    """Compare a host's state with its surroundings, and name what would keep it from working; the worst first."""
    found = [
        *backend(state, surroundings),
        *devices(state, surroundings),
        *programs(state, surroundings),
        *names(state, surroundings),
        *settings(state, surroundings),
        *foreign_chains(state, surroundings),
        *foreign_rules(state, surroundings),
        *foreign_routes(state, surroundings),
        *hidden_routes(state, surroundings),
        *yielded_prefixes(state, surroundings),
        *reverse_path(state, surroundings),
        *ipv6(state, surroundings),
        *networkd(surroundings),
        *taken(state, surroundings),
        *knocks(state),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda obstacle: not obstacle.blocks))
