"""What the agent's choice of an exit means to a host's state: the route it makes, the set it fills."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from warren.model.choice import AGENT_METRIC, DIRECT, Choice
from warren.model.prefix import Family, Prefix
from warren.model.state import HostState, Route


def chosen_route(choice: Choice, rank: int) -> Route | None:
    """Give the route by which an exit that is not the first is in use; None where none is needed."""
    if rank <= 0:
        return None
    return Route(choice.family.everything, choice.table, choice.exits[rank].device, metric=AGENT_METRIC)


def everything(family: Family) -> tuple[Prefix, ...]:
    """Give all addresses of a family as two halves: not every nft takes a set element of length 0."""
    return tuple(family.everything.subnets(1))


def is_agents(route: Route, choices: Iterable[Choice]) -> bool:
    """Say whether a route is one that the agent made, for a choice that there still is."""
    return route.metric == AGENT_METRIC and any(
        choice.table == route.table
        and route.prefix == choice.family.everything
        and any(one.device == route.device for one in choice.exits)
        for choice in choices
    )


def rank_of(choice: Choice, routes: Iterable[Route]) -> int:
    """Say which exit is in use, by the routes that are there."""
    for route in routes:
        if is_agents(route, (choice,)):
            return next(rank for rank, one in enumerate(choice.exits) if one.device == route.device)
    return 0


def as_chosen(state: HostState, choice: Choice, rank: int) -> HostState:
    """Give a host's state with another choice: of an exit by its rank, or DIRECT."""
    route = chosen_route(choice, rank)
    routes = tuple(one for one in state.routes if not is_agents(one, (choice,))) + ((route,) if route else ())
    held = everything(choice.family) if rank == DIRECT else ()
    tables = tuple(
        replace(
            table,
            sets=tuple(replace(one, elements=held) if one.name == choice.direct else one for one in table.sets),
        )
        for table in state.tables
    )
    return replace(state, routes=routes, tables=tables if choice.direct else state.tables)
