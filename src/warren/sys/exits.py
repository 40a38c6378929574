"""What the agent has chosen of a portal's exits, in the kernel: a route of its own, or a set that holds everything."""

from __future__ import annotations

from warren.core.choices import chosen_route, everything, rank_of
from warren.core.render.ip import route_words
from warren.model.change import Command
from warren.model.choice import AGENT_METRIC, DIRECT, Choice
from warren.sys import ip, nft
from warren.sys.run import Run, run


def in_use(choice: Choice, table: str, run: Run = run) -> int:
    """Say which exit is in use, or DIRECT; `table` is the network's nft table."""
    if choice.direct and nft.elements("inet", table, choice.direct, run):
        return DIRECT
    return rank_of(choice, ip.routes(choice.family, table=choice.table, run=run))


def use(choice: Choice, rank: int, table: str, run: Run = run) -> None:
    """Have new flows leave by an exit, or by none; HostError if that cannot be."""
    if choice.direct:  # the rest of the network's table stays as it is
        text = f"flush set inet {table} {choice.direct}\n"
        if rank == DIRECT:
            text += f"add element inet {table} {choice.direct} {{ {', '.join(map(str, everything(choice.family)))} }}\n"
        run(Command(("nft", "-f", "-"), stdin=text, says=f"what of {choice.portal} leaves directly"))
    ip_ = ("ip", f"-{choice.family.value}", "route")
    route = chosen_route(choice, rank)
    if route is not None:
        run(Command((*ip_, "replace", *route_words(route).split()), says=f"{choice.portal} by {route.device}"))
    else:
        gone = (str(choice.family.everything), "table", str(choice.table), "metric", str(AGENT_METRIC), "proto", "77")
        run(Command((*ip_, "del", *gone), says=f"{choice.portal} by its first exit", fine=(0, 2)))
