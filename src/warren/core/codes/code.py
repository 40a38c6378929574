"""One kind of finding."""

from __future__ import annotations

from dataclasses import dataclass

from warren.model.diagnostic import Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding: why it is one, a snippet that has it, and what to do."""

    severity: Severity
    title: str
    why: str
    example: str
    remedy: str
