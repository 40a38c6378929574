"""The process that holds the lab of the matrix: started by `warren lab matrix`, by way of `control`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from warren.lab.lab import Lab
from warren.lab.matrix.faults import play_all
from warren.lab.matrix.field import Field
from warren.lab.matrix.kinds import Pairing, choose, kinds_of
from warren.lab.supervise import Supervisor, Told, main


class Holder(Supervisor):
    """Holds the lab, has pairs meet in it, and plays faults."""

    def bring_up(self) -> Lab:
        """Bring up hosts and servers; agents are started when somebody is to meet."""
        self.field = Field(kinds_of(self.network.by_name), self.network)
        return self.field.lab

    def answer(self, wanted: dict[str, Any]) -> Iterator[Told]:
        """Do what the matrix asks for, or what any lab does."""
        match wanted["do"]:
            case "meet":
                return self.meet(wanted["pairs"], wanted["runs"], wanted["at_once"])
            case "faults":
                return self.faults(wanted["names"])
        return super().answer(wanted)

    def meet(self, pairs: list[list[str]], runs: int, at_once: int) -> Iterator[Told]:
        """Have these pairs meet so many times; tell of each time."""
        pairings = [Pairing(choose((one,))[0], choose((other,))[0]) for one, other in pairs]
        for _ in range(runs):
            for batch in self.field.meet_all(pairings, at_once):
                found = [
                    {"one": each.pairing.one.name, "other": each.pairing.other.name, "path": each.path}
                    | asdict(each.met)
                    | {"as_told": each.as_told}
                    for each in batch
                ]
                yield {"met": found}
        yield {"ok": True}

    def faults(self, names: list[str]) -> Iterator[Told]:
        """Play faults, and tell of each."""
        for outcome in play_all(self.field, names):
            yield {"fault": asdict(outcome) | {"holds": outcome.holds}}
        yield {"ok": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Holder))
