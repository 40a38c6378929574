"""Play one scenario on a stage: what happens, what is seen, and whether the lab came back from it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from warren.lab.leaks.scenario import Scenario
from warren.lab.leaks.senders import Sender
from warren.lab.leaks.stage import Found, Stage
from warren.lab.leaks.watch import Leak
from warren.sys.errors import HostError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a scenario, as told outside the lab.

    `leaks` says which packets were seen where they must not be, `short` what else was not as promised, `said` which
    packets of senders were seen to whom nothing is promised here. `checks` is how often everybody asked anew. `spoiled`
    is why nothing more should be played in the same lab; empty if it came back to what it was.
    """

    name: str
    leaks: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    checks: int = 0
    seconds: float = 0.0
    spoiled: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything was as promised."""
        return not self.leaks and not self.short


def play(stage: Stage, scenario: Scenario) -> Outcome:
    """Play it through and take it back."""
    started = time.monotonic()
    outcome = Outcome(scenario.name)
    steps = scenario.play(stage)
    try:
        stage.begin()
        for check in steps:
            if stage.sabotage:
                stage.everywhere(stage.sabotage)
            found = stage.ask(check)
            outcome = _with(outcome, stage, found, check.says)
            if not found.fine:
                break
    except HostError as error:
        outcome = replace(outcome, short=(*outcome.short, str(error)))
    finally:
        steps.close()
    spoiled = stage.recover()
    return replace(outcome, spoiled=spoiled, seconds=round(time.monotonic() - started, 2))


def _with(outcome: Outcome, stage: Stage, found: Found, says: str) -> Outcome:
    leaks = tuple(tell(leak, stage.senders[leak.sender]) for leak in found.leaks)
    short = (*found.short, *((found.flaw,) if found.flaw else ()))
    said = tuple(dict.fromkeys(f"{stage.senders[leak.sender].name}: {says}" for leak in found.said))
    return replace(
        outcome,
        leaks=outcome.leaks + leaks,
        short=outcome.short + short,
        said=tuple(dict.fromkeys(outcome.said + said)),
        checks=outcome.checks + 1,
    )


def tell(leak: Leak, sender: Sender) -> str:
    """Say a leak: whose, where, which packet, how many."""
    kind, _, name = leak.space.partition(".")
    where = f"{leak.device} of {name}" if kind == "host" else "the internet, from no exit of it"
    return f"{sender.name} at {where}: {leak.says} ({leak.count} of the like)"


def as_dict(outcome: Outcome) -> dict[str, object]:
    """Give an outcome as what JSON can hold."""
    return asdict(outcome)


def from_dict(told: dict[str, object]) -> Outcome:
    """Read it back."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Outcome(**values)  # type: ignore[arg-type]
