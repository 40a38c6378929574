"""What becomes of knocking where no agent runs: said by every target, for none of them has one."""

from __future__ import annotations

from collections.abc import Iterator

from warren.core.render.unsaid import Unsaid
from warren.model.state import HostState


def unheard(state: HostState) -> Iterator[Unsaid]:
    """Say that nobody hears the knocks of peers, and that nobody knocks at them."""
    if state.knock is not None:
        traced = "only traceroute's is heard, by the kernel: the ports open to anybody who makes it"
        yield Unsaid(
            f"that WireGuard's ports of {state.host} answer only peers that knocked",
            "there is no agent that hears them",
            traced if state.knock.traceroute is not None else "the ports are open to everybody",
        )
    if state.knocks:
        yield Unsaid(
            f"that {state.host} knocks at {', '.join(state.knocks)}",
            "there is no agent that does it",
            "knock by other means, or the tunnel does not come up",
        )
