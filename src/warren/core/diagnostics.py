"""Findings: made of a code and what is said of one place, put in order, shown; and the page that explains the codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from warren.core.codes import CODES, ERROR, GROUPS, Code
from warren.core.source import Source, without_keys
from warren.model.diagnostic import Diagnostic, Where


def finding(code: str, where: Where, says: str, hint: str) -> Diagnostic:
    """Make a diagnostic of a code of the table; what could be a private key in the wrong place is not repeated."""
    return Diagnostic(code, CODES[code].severity, where, without_keys(says), without_keys(hint))


def in_order(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort findings by place, each kind once per place and reason."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: (one.where, one.code, one.says)))


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    """Say whether something stands in the way of acting on the file."""
    return any(one.severity is ERROR for one in findings)


def as_text(diagnostic: Diagnostic, *sources: Source) -> str:
    """Write a finding with its excerpt (from whichever source it is in) and its remedy, without colours."""
    excerpts = (source.excerpt(diagnostic.where) for source in sources)
    excerpt = next((text for text in excerpts if text), "")
    lines = [str(diagnostic), *("  " + line for line in excerpt.splitlines())]
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


# Headings by the beginning of their codes, and the codes.
Rows = tuple[Sequence[tuple[str | tuple[str, ...], str]], Mapping[str, Code]]


def render_errors(*tables: Rows) -> str:
    """Write docs/errors.md: this table, then those of others (confs have one of their own)."""
    return "\n".join(_errors(((GROUPS, CODES), *tables))) + "\n"


def _errors(tables: Sequence[Rows]) -> Iterator[str]:
    yield "# What warren can find fault with"
    yield ""
    yield (
        "Every finding has a code that never changes its meaning. An *error* stops everything that would act on the "
        "file; a *warning* stops nothing. This page is generated from the tables in `core/codes`, "
        "`core/conf/diagnostics.py` and `core/imports/diagnostics.py`."
    )
    for groups, codes in tables:
        for prefix, heading in groups:
            yield ""
            yield f"## {heading}"
            for code, row in codes.items():
                if code.startswith(prefix):
                    yield from _error(code, row)


def _error(code: str, row: Code) -> Iterator[str]:
    yield ""
    yield f"### {code}: {row.title}"
    yield ""
    yield f"*{row.severity.value.capitalize()}.* {row.why}"
    yield ""
    yield "```"
    yield row.example
    yield "```"
    yield ""
    yield f"**What to do**: {row.remedy}"
