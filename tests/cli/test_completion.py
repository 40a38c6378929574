"""`warren completion`: a real bash completes commands, options, hosts; zsh and fish get what click makes for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.cli.shell import NETWORK, PLAIN, warren
from warren.cli import options
from warren.cli.main import warren as warren_group

TAB = """
eval "$(warren completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_warren_completion warren
printf '%s\\n' "${COMPREPLY[@]}"
"""


Tab = Callable[..., list[str]]


@pytest.fixture
def tab(tmp_path: Path) -> Tab:
    """Press Tab in bash after some words; give what it offers."""
    program = tmp_path / "bin" / "warren"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m warren "$@"\n')
    program.chmod(0o755)
    (tmp_path / "portals.yaml").write_text(NETWORK)
    path = f"{program.parent}:{os.environ['PATH']}"

    def press(*words: str) -> list[str]:
        ended = subprocess.run(
            ["bash", "--norc", "-c", TAB, "bash", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=PLAIN | {"PATH": path},
            timeout=60,
        )
        assert ended.stderr == ""
        return ended.stdout.split()

    return press


def test_commands(tab: Tab) -> None:
    assert tab("warren", "ch") == ["check"]
    assert tab("warren", "con") == ["confirm"]
    assert tab("warren", "keys", "") == ["gen", "psk", "pub"]


def test_options(tab: Tab) -> None:
    assert tab("warren", "lock", "--") == ["--check", "--host", "--json", "--help"]


def test_hosts_of_the_file(tab: Tab) -> None:
    assert tab("warren", "plan", "portals.yaml", "--host", "") == ["nyc", "paris"]
    assert tab("warren", "plan", "portals.yaml", "--host", "p") == ["paris"]
    assert tab("warren", "render", "portals.yaml", "--as", "n") == ["networkd", "networkmanager"]
    assert tab("warren", "render", "portals.yaml", "--host", "n") == ["nyc"]


def test_confs_by_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(options, "CONFS", str(tmp_path))
    for name in ("wg0.conf", "wg1.conf", "home.conf", "notes.txt"):
        (tmp_path / name).touch()

    complete = ShellComplete(warren_group, {}, "warren", "_WARREN_COMPLETE").get_completions

    assert [item.value for item in complete(["up"], "wg")] == ["wg0", "wg1"]
    assert [item.value for item in complete(["strip"], "")] == ["home", "wg0", "wg1"]
    assert [item.type for item in complete(["up"], "./w")] == ["file"]
    monkeypatch.setattr(options, "CONFS", str(tmp_path / "nowhere"))
    assert complete(["up"], "") == []


def test_no_file_no_hosts(tab: Tab) -> None:
    assert tab("warren", "plan", "nowhere.yaml", "--host", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    script = warren("completion", shell).stdout

    assert f"_WARREN_COMPLETE={shell}_complete" in script
    assert json.loads(warren("completion", shell, "--json").stdout) == {
        "shell": shell,
        "script": script.removesuffix("\n"),
    }


def test_another_shell_is_refused_in_words() -> None:
    ended = warren("completion", "tcsh")

    assert ended.returncode == 1
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in ended.stderr
