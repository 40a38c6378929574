"""What check tells its reader: one finding, its place, its reason and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error stops everything that would act on the file; a warning stops nothing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in a file; line and column count from 1, `length` is what a caret underlines."""

    file: str
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: `code` is W and three digits, `says` the reason, `hint` the remedy."""

    code: str
    severity: Severity
    where: Where
    says: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.severity}[{self.code}]: {self.says}"
