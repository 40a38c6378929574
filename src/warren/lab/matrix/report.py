"""What the matrix found, as values: for each pair what theory says, and how its runs went, simulated and in the lab."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from warren.lab.matrix.kinds import Kind, Pairing
from warren.lab.matrix.simulate import Met

DIRECT, RELAY, NONE = "direct", "relay", "none"


@dataclass(frozen=True, slots=True)
class Times:
    """Some runs: how many, how many went as theory says; seconds to the first byte and to a direct path: p50, p99."""

    runs: int = 0
    as_told: int = 0
    first: tuple[float, float] | None = None
    direct: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A pair. `expected` is direct, relay, or none."""

    one: str
    other: str
    expected: str
    simulated: Times = Times()
    lab: Times = Times()

    @property
    def holds(self) -> bool:
        """Whether every run went as theory says."""
        return all(times.runs == times.as_told for times in (self.simulated, self.lab))


def line_of(pairing: Pairing) -> Line:
    """Give the line of a pair of which no run is known yet."""
    expected = DIRECT if pairing.direct else RELAY if pairing.connects else NONE
    return Line(pairing.one.name, pairing.other.name, expected)


def simulated(line: Line, pairing: Pairing, runs: Sequence[Met]) -> Line:
    """Add simulated runs."""
    fit = sum(
        (met.direct is not None) == pairing.direct and (met.first is not None) == pairing.connects for met in runs
    )
    return replace(line, simulated=times_of(runs, fit))


def times_of(runs: Sequence[Met], as_told: int) -> Times:
    """Sum runs up."""
    firsts = [met.first for met in runs if met.first is not None]
    directs = [met.direct for met in runs if met.direct is not None]
    return Times(len(runs), as_told, _percentiles(firsts), _percentiles(directs))


def _percentiles(seconds: Iterable[float]) -> tuple[float, float] | None:
    ordered = sorted(seconds)
    if not ordered:
        return None
    return tuple(round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3) for share in (50, 99))  # type: ignore[return-value]


def picture(kinds: Sequence[Kind], lines: Iterable[Line]) -> str:
    """Draw who goes how with whom, a letter a pair: D directly, r by relay, a dot not at all; ! not as theory says."""
    letters = {DIRECT: "D", RELAY: "r", NONE: "·"}
    drawn: dict[frozenset[str], str] = {}
    for line in lines:
        drawn[frozenset((line.one, line.other))] = letters[line.expected] if line.holds else "!"
    wide = max(len(kind.name) for kind in kinds)
    rows = [f"{'':>{wide + 4}}" + "".join(f"{number:>3}" for number in range(1, len(kinds) + 1))]
    for number, one in enumerate(kinds, 1):
        cells = "".join(f"{drawn.get(frozenset((one.name, other.name)), ' '):>3}" for other in kinds[:number])
        rows.append(f"{number:>3} {one.name:<{wide}}{cells:<{3 * len(kinds)}}  {one.says}")
    return "\n".join(rows)
