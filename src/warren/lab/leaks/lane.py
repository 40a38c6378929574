"""The process that holds a lab in which scenarios are played: started by `suite`, by way of `control`.

build the world · show that every probe is seen on the uplinks · apply · note who arrives by his exit · play
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from warren.lab.lab import Lab, build_up
from warren.lab.leaks.play import as_dict, play
from warren.lab.leaks.scenarios import SCENARIOS
from warren.lab.leaks.stage import Stage
from warren.lab.spaces import LabError
from warren.lab.supervise import Supervisor, Told, main

# Takes every guard of warren's away, and lets through what is left: for a suite that must be able to fail.
SABOTAGE = """
for table in $(nft list tables inet | awk '$3 ~ /^warren-/ {print $3}'); do nft delete table inet $table; done
while ip rule del protocol 77 2>/dev/null; do :; done
while ip -6 rule del protocol 77 2>/dev/null; do :; done
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""


class Lane(Supervisor):
    """Holds a lab with a stage on it."""

    def bring_up(self) -> Lab:
        """Bring the world up, show that all is visible, and apply the network."""
        lab = build_up(self.network, self.lock)
        self.stage = Stage(lab)
        throwers = {one.name: one.throws for one in SCENARIOS if one.throws and not one.needs(lab.network)}
        self.seen = self.stage.prove_visible(throwers)
        self.stage.apply()
        lab.let_learn()
        self.stage.settle_first()
        if not self.stage.alive:
            raise LabError("nobody arrives by his exit in this network, so there is nothing to break")
        return lab

    def answer(self, wanted: dict[str, Any]) -> Iterator[Told]:
        """Play what is asked for, or do what any lab does."""
        if wanted["do"] == "play":
            return self.play(wanted["name"], wanted.get("sabotage", False))
        return super().answer(wanted)

    def play(self, name: str, sabotage: bool | str) -> Iterator[Told]:
        """Play a scenario; with `sabotage`, every guard is gone when it is checked, or what its script says is done."""
        scenario = next(one for one in SCENARIOS if one.name == name)
        self.stage.sabotage = sabotage if isinstance(sabotage, str) else SABOTAGE if sabotage else ""
        unseen = scenario.throws is not None and not self.seen[name]
        outcome = as_dict(play(self.stage, scenario))
        alive = [self.stage.senders[n].name for n in sorted(self.stage.alive)]
        yield {"outcome": outcome, "unseen": unseen, "alive": alive, "senders": len(self.stage.senders), "ok": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Lane))
