"""The table of codes, and the page made of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from warren.core.codes import CODES, GROUPS
from warren.core.conf.diagnostics import CODES as CONF_CODES
from warren.core.conf.diagnostics import GROUPS as CONF_GROUPS
from warren.core.diagnostics import as_text, finding, has_errors, in_order, render_errors
from warren.core.imports.diagnostics import CODES as IMPORT_CODES
from warren.core.imports.diagnostics import GROUPS as IMPORT_GROUPS
from warren.core.source import Source
from warren.model.diagnostic import Severity, Where

PAGE = Path(__file__).parent.parent.parent / "docs" / "errors.md"
SOURCES = Path(__file__).parent.parent.parent / "src" / "warren" / "core"


def test_the_page_is_the_table() -> None:
    """`UPDATE_GOLDEN=1 pytest tests/core/test_diagnostics.py` writes it anew."""
    text = render_errors((CONF_GROUPS, CONF_CODES), (IMPORT_GROUPS, IMPORT_CODES))
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text)

    assert text == PAGE.read_text()
    for code in (*CODES, *CONF_CODES, *IMPORT_CODES):
        assert text.count(f"### {code}: ") == 1


def test_every_code_is_used_and_every_use_is_in_the_table() -> None:
    files = [*SOURCES.glob("parse/*.py"), *SOURCES.glob("check/*.py"), *SOURCES.glob("render/*.py")]
    files += [SOURCES / "lockfile.py", SOURCES / "source.py"]
    used = {code for file in files for code in re.findall(r'"(W\d{3})"', file.read_text())}

    assert used - {"W010"} == set(CODES) - {"W010"}


def test_codes_are_in_order_and_in_one_group_each() -> None:
    assert list(CODES) == sorted(CODES)
    assert all(sum(code.startswith(prefix) for prefix, _ in GROUPS) == 1 for code in CODES)
    assert not set(CODES) & {*CONF_CODES, *IMPORT_CODES}


def test_rows_are_sentences() -> None:
    for row in CODES.values():
        assert row.why.endswith((".", ")")) and row.remedy.endswith((".", ")"))
        assert not row.title[0].isupper() or row.title.startswith(("MTU", "YAML"))
        assert row.example


def test_findings_are_sorted_by_place_and_said_once() -> None:
    late = finding("W011", Where("f", 3, 1), "b", "h")
    early = finding("W100", Where("f", 2, 9), "a", "h")

    assert in_order([late, early, late]) == (early, late)
    assert has_errors([late]) and not has_errors([early])
    assert early.severity is Severity.WARNING


def test_an_excerpt_points_at_the_place() -> None:
    source = Source("f", "one\nnetwork: pörtals\n")

    text = as_text(finding("W020", Where("f", 2, 10, 7), "Says.", "Do."), source)
    assert text == "f:2:10: error[W020]: Says.\n  2 | network: pörtals\n    |          ^^^^^^^\n  hint: Do.\n"


def test_an_excerpt_of_another_file_is_left_out() -> None:
    assert as_text(finding("W020", Where("g", 1, 1), "Says.", "Do."), Source("f", "x")).count("\n") == 2


def test_what_would_disturb_a_terminal_is_not_shown() -> None:
    shown = Source("f", "a\x1b[31m\tb\u202ec").excerpt(Where("f", 1, 1))

    assert shown.splitlines()[0] == "1 | a·[31m b·c"


def test_wide_characters_push_the_caret() -> None:
    assert Source("f", "東京: x").excerpt(Where("f", 1, 5)).splitlines()[1] == "  |       ^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown = Source("f", "x" * 500 + "HERE" + "y" * 500).excerpt(Where("f", 1, 501, 4))
    line, carets = shown.splitlines()

    assert len(line) < 180
    assert line[carets.index("^") :].startswith("HERE")


def test_a_key_is_not_shown_even_where_the_line_is_cut() -> None:
    key = "EJtbgjxitkyn5fhFahPI1dBvTs5SKli8K4p4Tc82CXA="
    for before in range(0, 400, 7):
        line = " " * before + key + " " * 300
        for column in (before + 1, before + 20, before + 100, max(1, before - 60)):
            assert key[5:15] not in Source("f", line).excerpt(Where("f", 1, column))
