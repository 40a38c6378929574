"""What machines read: every `--json` prints one JSON value on standard output, in a shape that docs/json.md keeps.

Keys are only ever added. What a command found wrong is told by its exit status too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from warren.model.diagnostic import Diagnostic, Severity


def print_json(value: Any) -> None:
    """Print a value of plain dicts, lists, texts, numbers and booleans."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(says: str, remedy: str) -> None:
    """Tell what kept a command from doing what was asked: `{error: {says, remedy}}`."""
    print_json({"error": {"says": says, "remedy": remedy}})


def diagnostic_json(found: Diagnostic) -> dict[str, Any]:
    """Give one finding: `{code, severity, file, line, column, length, says, hint}`."""
    return {
        "code": found.code,
        "severity": found.severity.value,
        "file": found.where.file,
        "line": found.where.line,
        "column": found.where.column,
        "length": found.where.length,
        "says": found.says,
        "hint": found.hint,
    }


def findings_json(found: Iterable[Diagnostic]) -> dict[str, Any]:
    """Give all findings of a file: `{ok, errors, warnings, diagnostics: […]}`."""
    diagnostics = list(found)
    errors = sum(one.severity is Severity.ERROR for one in diagnostics)
    return {
        "ok": not errors,
        "errors": errors,
        "warnings": len(diagnostics) - errors,
        "diagnostics": [diagnostic_json(one) for one in diagnostics],
    }
