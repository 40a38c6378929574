"""Who forgets what names stood for: a shell that sleeps, and empties one set of each pair in turn (`core.domains`).

The kernel lets it: the element that says when a set was emptied last can be made only once the one before has run out,
and that and the emptying are one transaction. So neither two of these shells nor one that is started again and again
can empty a set before its twin has collected for long enough.
"""

from __future__ import annotations

from warren.core.compile.firewall.names import name_sets
from warren.core.compile.here import Here
from warren.core.domains import KEPT, TURN
from warren.model.state import HostState, Program, Service

FORGETTER = "names"
MARGIN = 5  # seconds: nobody comes a moment too early, to wait for a whole turn more


def lay_forgetting(here: Here) -> tuple[Service, ...]:
    """List the program that empties the sets of names, where there are some."""
    letters = {held.name: held.name[-1] for held in name_sets(here) if held.points and held.name != TURN}
    if not letters:
        return ()
    table = f"inet {HostState(here.host.name, here.fabric.network.name).table_name}"
    flushes = "\n".join(f"flush set {table} {name[:-1]}$turn" for name, letter in letters.items() if letter == "a")
    text = f"""\
# Made by warren for the network {here.fabric.network.name}: what names stood for is forgotten, set by set.
trap 'kill $! 2>/dev/null; exit 0' TERM INT
while :; do
  for turn in a b; do
    sleep {KEPT + MARGIN} & wait $!
    nft -f - <<END
create element {table} {TURN} {{ 0.0.0.0 }}
{flushes}
END
  done
done
"""
    return (Service(FORGETTER, Program.SHELL, text, why="addresses that names no longer stand for are forgotten"),)
