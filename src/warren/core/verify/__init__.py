"""Prove a network before anything changes: every `expect`, and what needs no asking.

All of it is walked over the same states that `apply` would make; a verdict that fails carries its trace.
"""

from __future__ import annotations

from collections.abc import Mapping

from warren.core.verify.exempt import judge_exempted
from warren.core.verify.expects import Breaker, judge_expects
from warren.core.verify.health import judge_health
from warren.core.verify.leaks import judge_leaks, judge_near
from warren.core.verify.published import judge_published
from warren.core.verify.reach import judge_reach
from warren.core.verify.unasked import judge_loops, judge_mtu, judge_replies, judge_shadows
from warren.core.verify.verdict import Kind, Verdict, prediction
from warren.core.walk import Scene, Walker
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.state import HostState
from warren.model.surroundings import Surroundings
from warren.model.world import World

__all__ = ["Kind", "Verdict", "prediction", "verify"]


def verify(
    network: Network,
    lock: Lock,
    states: Mapping[str, HostState],
    surroundings: Mapping[str, Surroundings],
    world: World,
) -> tuple[Verdict, ...]:
    """Judge all expectations in the file's order, and then what needs no asking, from loops to MTU."""
    walker = Walker(Scene(states, surroundings, world))
    breaker = Breaker(walker)
    expects = tuple(judge_expects(network, lock, world, breaker))
    leaks = tuple(judge_leaks(network, walker, breaker))
    exempt = tuple(judge_exempted(network, walker, breaker))
    published = tuple(judge_published(network, lock, walker, breaker))
    asked = expects + leaks + exempt + published
    walked = [(verdict.claim, verdict.trace) for verdict in asked if verdict.trace is not None]
    return (
        *expects,
        *judge_loops(walked),
        *leaks,
        *exempt,
        *judge_health(network, walker),
        *judge_near(network, lock, walker, breaker),
        *judge_reach(network, walker, breaker),
        *published,
        *judge_shadows(network, walker),
        *judge_replies(asked),
        *judge_mtu(network, walker),
    )
