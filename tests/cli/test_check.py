"""`warren check`: what people, editors and scripts see of findings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.shell import NETWORK, on_terminal, warren

BAD = NETWORK.replace("    uplink: eth0", "    mtuu: 1400\n    uplink: eth0", 1).replace("exit: nyc}", "exit: nycc}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "portals.yaml"
    path.write_text(NETWORK)
    return path


def test_a_right_file_is_status_0(file: Path) -> None:
    assert warren("lock", str(file)).returncode == 0

    ended = warren("check", str(file))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{file}: nothing wrong (2 hosts, 2 portals, 0 expectations)\n"


def test_a_warning_stops_nothing(file: Path) -> None:
    ended = warren("check", str(file))

    assert (ended.returncode, ended.stderr) == (0, "0 errors, 1 warning\n")
    assert ended.stdout.startswith(f"{file}:1:10: warning[W100]: ")


def test_without_a_terminal_a_finding_is_one_line_and_its_hint(file: Path) -> None:
    file.write_text(BAD)

    ended = warren("check", "portals.yaml", cwd=file.parent)

    lines = ended.stdout.splitlines()
    assert ended.returncode == 1
    assert lines[:2] == [
        "portals.yaml:7:5: error[W010]: The host `nyc` has no key `mtuu`.",
        "  hint: Did you mean `mtu`?",
    ]
    assert all(re.match(r"portals\.yaml:\d+:\d+: (error|warning)\[W\d{3}\]: .|  hint: .", line) for line in lines)
    assert "\x1b" not in ended.stdout + ended.stderr


def test_a_terminal_gets_the_line_with_a_caret_and_colours(file: Path) -> None:
    file.write_text(BAD)

    status, shown = on_terminal("check", str(file))

    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert status == 1
    assert "  7 |     mtuu: 1400\n    |     ^^^^\n" in plain
    assert "\x1b[1;31merror[W010]" in shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(file: Path, env: dict[str, str]) -> None:
    file.write_text(BAD)

    _, shown = on_terminal("check", str(file), env=env)

    assert "\x1b" not in shown
    assert "    |     ^^^^\n" in shown


def test_json_has_the_documented_shape(file: Path) -> None:
    file.write_text(BAD)

    ended = warren("check", "portals.yaml", "--json", cwd=file.parent)

    told = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert told.keys() == {"ok", "errors", "warnings", "diagnostics"}
    assert (told["ok"], told["errors"], told["warnings"]) == (False, len(told["diagnostics"]), 0)
    assert told["diagnostics"][0] == {
        "code": "W010",
        "severity": "error",
        "file": "portals.yaml",
        "line": 7,
        "column": 5,
        "length": 4,
        "says": "The host `nyc` has no key `mtuu`.",
        "hint": "Did you mean `mtu`?",
    }


def test_a_file_that_is_not_there_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    ended = warren("check", "new.yaml", cwd=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr == "warren: there is no file new.yaml\n  `warren init -o new.yaml` writes a first one.\n"


@pytest.mark.parametrize("path", ["/", "/dev/zero", "/dev/null", "/proc/self/mem"])
def test_what_is_no_network_file_is_told_in_words(path: str) -> None:
    ended = warren("check", path)

    assert ended.returncode == 1
    assert "bug" not in ended.stderr and "Traceback" not in ended.stderr
    assert "cannot read" in ended.stderr or "error[W" in ended.stdout
