"""The entry point: what is listed, what is imported, and how each kind of error is told."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from tests.cli.shell import WARREN, warren
from warren import __version__
from warren.cli import main
from warren.cli.main import COMMANDS, Entry, run

HEAVY = (
    "rich",
    "yaml",
    "cryptography",
    "warren.core",
    "warren.sys",
    "warren.model",
    "warren.lab",
    "asyncio",
    "subprocess",
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "fail", Entry("tests.cli.failing:fail", main.MORE, "Fail."))
    monkeypatch.delenv("WARREN_DEBUG", raising=False)


def commands() -> dict[str, click.Command]:
    """Every command and subcommand by what is typed."""
    found: dict[str, click.Command] = {}
    for name, entry in COMMANDS.items():
        module, _, attribute = entry.target.partition(":")
        command = getattr(import_module(module), attribute)
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": command.commands[sub] for sub in command.commands}
    return found


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["plna"], ["check", "--help"], ["apply", "--help"]])
def test_what_need_not_be_imported_is_not(args: list[str]) -> None:
    """Help and version come fast because nothing but click is imported for them."""
    script = (
        "import sys; from warren.cli.main import run; run(sys.argv[1:]);"
        "print('imported:', *(name for name in sys.modules), file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, check=True)

    imported = ended.stderr.rpartition("imported:")[2].split()
    assert "click" in imported
    # Telling an error takes the class of errors, which is a file of 15 lines.
    heavy = {name for name in imported if name.startswith(HEAVY)}
    assert heavy <= ({"warren.sys", "warren.sys.errors"} if args == ["plna"] else set())


def test_help_lists_every_command_under_its_heading() -> None:
    shown = warren("--help").stdout

    for name, entry in COMMANDS.items():
        assert f"\n  {name} " in shown
        assert f"  {entry.help}\n" in shown
        assert f"\n{entry.group}:\n" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0

    assert capsys.readouterr().out.startswith(f"Usage: warren {name} ")


def test_every_command_takes_json() -> None:
    """Two have none, because they become another program."""
    without = [
        name
        for name, command in commands().items()
        if not isinstance(command, click.Group) and not any("--json" in one.opts for one in command.params)
    ]

    assert without == ["lab exec", "lab capture"]


def test_version() -> None:
    ended = warren("--version")

    assert (ended.returncode, ended.stdout) == (0, f"warren {__version__}\n")


def test_an_unknown_command_is_told_with_the_nearest() -> None:
    ended = warren("chekc")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "there is no command `chekc`. Did you mean `check`?" in ended.stderr


@pytest.mark.parametrize("args", [["check"], ["check", "--frobnicate", "x"], ["lock", "a", "b"], ["keys", "burn"]])
def test_a_wrong_command_line_is_status_1_because_2_means_changes(args: list[str]) -> None:
    ended = warren(*args)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Usage: warren ")
    assert "--help` explains" in ended.stderr


def test_no_command_shows_the_help() -> None:
    ended = warren()

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Find all that is wrong with a network file." in ended.stderr


def test_what_is_wrong_on_the_host_is_told_with_what_helps(failing: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "host"]) == 1

    assert capsys.readouterr() == ("", "warren: the tunnel is full\n  Dig another.\n")


@pytest.mark.parametrize("args", [["fail", "host", "--json"], ["fail", "--json", "host"]])
def test_with_json_an_error_is_json_too(args: list[str], failing: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(args) == 1

    assert json.loads(capsys.readouterr().out) == {"error": {"says": "the tunnel is full", "remedy": "Dig another."}}


def test_a_wrong_command_line_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["error"]["says"] == "Missing argument 'FILE'."


def test_an_error_of_the_system_is_no_bug(failing: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "full"]) == 1

    assert capsys.readouterr().err == "warren: /etc/warren/x: no space left on device\n"


def test_a_bug_says_how_to_report_it(failing: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "bug"]) == 1

    told = capsys.readouterr().err
    assert told.startswith("warren: this is a bug in warren: KeyError: 'paris'")
    assert "Please report it" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("how", ["--debug", "WARREN_DEBUG"])
def test_a_bug_shows_its_traceback_when_asked(
    how: str, failing: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "WARREN_DEBUG":
        monkeypatch.setenv(how, "1")

    assert run(["--debug", "fail", "bug"] if how == "--debug" else ["fail", "bug"]) == 1

    told = capsys.readouterr().err
    assert "Traceback" in told
    assert 'raise KeyError("paris")' in told


def test_a_bug_names_the_line_of_ours() -> None:
    def broken() -> None:
        from warren.model.key import decode_key

        decode_key(3)  # type: ignore[arg-type]

    try:
        broken()
    except TypeError as error:
        assert "(model/key.py:" in main._words(error)[0]


def test_interrupting_is_130_and_says_nothing(failing: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "stopped"]) == 130

    assert capsys.readouterr() == ("", "\n")


def test_a_command_chooses_its_status(failing: None) -> None:
    assert run(["fail", "status"]) == 2


def test_nobody_reading_on_is_quiet(tmp_path: Path) -> None:
    """`warren check big.yaml | head -1` complains of nothing."""
    file = tmp_path / "big.yaml"
    file.write_text("network: big\n" + "".join(f"x{number}: {{}}\n" for number in range(900)))

    process = subprocess.Popen([*WARREN, "check", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()

    assert "error[W011]" in first
    assert "Traceback" not in told and "Exception ignored" not in told and "bug" not in told
    assert process.wait(timeout=60) in (1, 141)  # 1: all of it fitted into the pipe


def test_a_terminal_without_utf8_gets_no_traceback() -> None:
    ended = subprocess.run(
        [*WARREN, "keys", "--help"], capture_output=True, env={"PYTHONIOENCODING": "ascii"}, timeout=60
    )

    assert ended.returncode == 0
