"""Say what was tried, in the shape that `warren lab test --json` keeps and that views are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from warren.core.verify.expects import wanted
from warren.lab.judge import Found
from warren.lab.trial import Verdict
from warren.model.expect import Expect
from warren.model.prefix import Family


@dataclass(frozen=True, slots=True)
class Line:
    """One expectation as told outside the lab: its place among those of the file, and texts.

    `families` are those it was tried with, `seen_as` the source addresses where it arrived.
    """

    number: int
    claim: str
    faults: tuple[str, ...]
    families: tuple[str, ...]
    expected: str
    predicted: str
    observed: str
    seen_as: tuple[str, ...]
    holds: bool
    says: str
    at: str
    seconds: float


def line_of(verdict: Verdict, expects: tuple[Expect, ...]) -> Line:
    """Tell a verdict on one of a file's expectations."""
    expect = verdict.expect
    return Line(
        number=next(number for number, one in enumerate(expects) if one is expect),
        claim=f"{expect.source_place} → {expect.target}",
        faults=tuple(f"{one} down" for one in expect.down),
        families=tuple(found.family.word for found in verdict.observed),
        expected=wanted(expect),
        predicted=_told(verdict.predicted),
        observed=_told(verdict.observed),
        seen_as=tuple(str(found.source) for found in verdict.observed if found.source is not None),
        holds=verdict.holds,
        says="; ".join(filter(None, (verdict.shortfall, verdict.disagreement))),
        at=str(expect.at) if expect.at else "",
        seconds=round(verdict.seconds, 2),
    )


def _told(found: tuple[Found, ...]) -> str:
    """Say it once if the families agree."""
    words = {one.family: str(one) for one in found}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{Family(family).word} {text}" for family, text in words.items())


def as_dict(line: Line) -> dict[str, object]:
    """Give a line as what JSON can hold."""
    return asdict(line)


def from_dict(told: dict[str, object]) -> Line:
    """Read it back."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Line(**values)  # type: ignore[arg-type]
