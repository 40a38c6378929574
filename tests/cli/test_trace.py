"""`warren trace` and `warren verify`: what people read, what machines read, and the exit statuses scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import NETWORK, on_terminal, warren

EXPECTS = """\
expect:
  - {from: nyc.eth2, to: 1.1.1.1, exit: paris}
  - {from: nyc.eth2, to: 1.1.1.1, blocked: true, when: {down: [paris]}}
"""
BROKEN = EXPECTS + "  - {from: paris.wlan0, to: 1.1.1.1, exit: paris}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "portals.yaml"
    path.write_text(NETWORK + EXPECTS)
    return path


def test_a_trace_reads_there_and_back(file: Path) -> None:
    ended = warren("trace", str(file), "nyc.eth2", "1.1.1.1", "tcp/443")
    lines = [line.strip() for line in ended.stdout.splitlines()]

    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[0] == "nyc.eth2 → 1.1.1.1 tcp/443 (ipv4)"
    assert lines.index("there") < lines.index("back")
    assert "nyc  eth2 → portals-paris" in lines
    assert any(line.startswith("rule ") and "iif eth2 lookup" in line for line in lines)
    assert any(line.startswith("encrypt ") and "0.0.0.0/0 for paris" in line for line in lines)
    assert any(line.startswith("way back ") and line.endswith("passes") for line in lines)
    assert lines[-1] == "Exits at paris; packets up to 1420 bytes fit."


def test_what_is_down_is_told_and_status_1(file: Path) -> None:
    ended = warren("trace", str(file), "nyc.eth2", "1.1.1.1", "--down", "paris")

    assert ended.returncode == 1
    assert ended.stdout.endswith("Tunnel-down at nyc: paris is down.\n")


def test_every_family_both_ends_have_is_walked(file: Path) -> None:
    both = warren("trace", str(file), "nyc", "paris")
    one = warren("trace", str(file), "nyc", "paris", "--family", "ipv6")

    assert "(ipv4)" in both.stdout and "(ipv6)" in both.stdout
    assert "(ipv4)" not in one.stdout and "(ipv6)" in one.stdout


def test_a_packet_that_is_too_big_says_where(file: Path) -> None:
    ended = warren("trace", str(file), "nyc.eth2", "1.1.1.1", "--size", "1500")

    assert ended.returncode == 1 and "1500 bytes do not fit portals-paris (1420)" in ended.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nyc.eth9", "1.1.1.1"), "no LAN called `eth9`"),
        (("rome", "1.1.1.1"), "no host called `rome`"),
        (("nyc", "1.1.1.1", "tcp/0"), "no protocol and port"),
        (("nyc", "1.1.1.1", "--down", "nyc-rome"), "neither a host nor a tunnel"),
        (("nyc.eth2", "1.1.1.1", "--family", "ipv6"), "have no ipv6"),
    ],
)
def test_wrong_words_are_told_as_in_the_file(file: Path, words: tuple[str, ...], says: str) -> None:
    ended = warren("trace", str(file), *words)

    assert ended.returncode == 1 and says in ended.stderr and ended.stdout == ""


def test_a_trace_as_json_has_its_documented_shape(file: Path) -> None:
    ended = warren("trace", str(file), "nyc.eth2", "1.1.1.1", "--json")
    printed = json.loads(ended.stdout)

    assert differs(printed, SHAPES["trace"]) == []
    assert (printed[0]["disposition"], printed[0]["exit"], printed[0]["path"]) == ("exited", "paris", ["nyc", "paris"])
    assert printed[0]["reply"]["disposition"] == "delivered"


def test_every_claim_that_holds_is_a_line(file: Path) -> None:
    ended = warren("verify", str(file))
    lines = ended.stdout.splitlines()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[0].startswith("ok  nyc.eth2 → 1.1.1.1 ipv4 ") and lines[0].endswith("  exits at paris")
    assert lines[1].startswith("ok  nyc.eth2 → 1.1.1.1 ipv4 with paris down")
    assert lines[-1] == f"all {len(lines) - 1} claims hold"


def test_what_does_not_hold_is_told_with_its_place(file: Path) -> None:
    file.write_text(NETWORK + BROKEN)
    ended = warren("verify", str(file))

    assert ended.returncode == 1
    assert f"{file}:21:5: it leaves by the uplink of nyc" in ended.stdout
    assert "\n1 of " in ended.stdout and "claims does not hold" in ended.stdout


def test_verdicts_as_json_have_their_documented_shape(file: Path) -> None:
    file.write_text(NETWORK + BROKEN)
    ended = warren("verify", str(file), "--json")
    printed = json.loads(ended.stdout)

    assert differs(printed, SHAPES["verify"]) == []
    assert (ended.returncode, printed["ok"]) == (1, False)
    failed = [one for one in printed["verdicts"] if not one["holds"]]
    assert [one["line"] for one in failed] == [21]
    assert failed[0]["trace"]["exit"] == "nyc"


def test_a_file_with_errors_is_not_walked(file: Path) -> None:
    file.write_text(NETWORK + BROKEN.replace("exit: paris}\n", "exit: rome}\n", 1))

    for command in (("verify",), ("trace",)):
        ended = warren(*command, str(file), *(("nyc", "paris") if command == ("trace",) else ()))
        assert ended.returncode == 1 and "no host called" in ended.stderr and ended.stdout == ""


def test_colours_are_for_terminals(file: Path) -> None:
    status, shown = on_terminal("verify", str(file))

    assert status == 0 and "\x1b[32mok\x1b[0m" in shown
