"""The protocols have no I/O, no clock and no chance of their own, whatever they import by however many steps."""

from __future__ import annotations

import grimp

FORBIDDEN = ("asyncio", "os", "random", "secrets", "socket", "subprocess", "time", "click", "yaml")


def test_nothing_of_the_outside_is_imported() -> None:
    graph = grimp.build_graph("warren", include_external_packages=True)
    ours = {"warren.proto", *graph.find_descendants("warren.proto")}
    assert len(ours) > 20
    chains = [
        chain
        for outside in (*FORBIDDEN, "warren.core", "warren.sys", "warren.daemon")
        if outside in graph.modules
        for module in sorted(ours)
        if (chain := graph.find_shortest_chain(module, outside))
    ]

    assert chains == []
    assert {"socket", "time"} <= graph.modules  # known to the graph: others import them
