"""Devices on the command line: named like hosts, rendered and traced, never applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import warren

NESTED = str(Path(__file__).parents[2] / "examples" / "nested.yaml")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_warren_does_not_run_on_a_device(command: str) -> None:
    ended = warren(command, NESTED, "--host", "phone")

    assert ended.returncode == 1
    assert "phone is a device, on which warren does not run" in ended.stderr
    assert "--host phone --as wg-quick" in ended.stderr


def test_a_trace_begins_at_a_device_and_tells_what_refuses_it() -> None:
    there = warren("trace", NESTED, "phone", "home.br0", "--family", "ipv6")
    beyond = warren("trace", NESTED, "phone", "cloud", "--family", "ipv4")

    assert there.returncode == 0
    assert "destination 198.51.100.7 port 51822 to 10.60.0.2 port 51822" in there.stdout, "the outer packet is led on"
    assert beyond.returncode == 1 and "not in the reach of this device" in beyond.stdout


def test_check_counts_devices() -> None:
    assert "2 hosts, 2 devices" in warren("check", NESTED).stdout
