"""What follows from knocking: who gets in, and only while somebody listens. Told with every plan."""

from __future__ import annotations

from collections.abc import Iterator

from warren.model.change import Obstacle
from warren.model.state import HostState


def knocks(state: HostState) -> Iterator[Obstacle]:
    """Say that WireGuard's ports are closed to who has not knocked, and that this host has to knock elsewhere."""
    agent = f"warren agent --network {state.owner}"
    if state.knock is not None:
        ports = ", ".join(sorted(str(one.listen_port) for one in state.interfaces))
        traced = state.knock.traced
        also = f", or to anybody at all by a traceroute to udp/{traced[0]} to {traced[1]}" if traced else ""
        yield Obstacle(
            f"WireGuard's ports here ({ports}) open only to peers that knock{also}; only the agent hears peers knock",
            "Keep the agent running: flows that are there go on without it, and nobody new gets in.",
            agent,
            blocks=False,
        )
        if state.knock.run:
            yield Obstacle(
                f"at a knock the agent runs `{' '.join(state.knock.run)}` as nobody",
                "Take `run:` out of the file if that is not meant.",
                "",
                blocks=False,
            )
    if state.knocks:
        yield Obstacle(
            f"{', '.join(state.knocks)} answer{'s' if len(state.knocks) == 1 else ''} only to who knocked",
            "The agent knocks by itself; without it, `warren knock FILE HOST` does it once.",
            agent,
            blocks=False,
        )
