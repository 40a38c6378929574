"""The script of a boot's first moments, as text and by the shells that may run it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.core.render.states import nyc
from warren.core.guard import guard_of
from warren.core.render.guard import render_guard


def test_nothing_of_it_needs_a_device() -> None:
    guard = guard_of(nyc())

    assert guard.tables == nyc().tables and guard.rules == nyc().rules
    assert guard.routes and all(route.kind == "unreachable" for route in guard.routes)
    assert not (guard.interfaces or guard.sysctls or guard.services or guard.lan_addresses or guard.forget)


def test_what_exempts_stands_before_what_steers() -> None:
    lines = render_guard([nyc()]).splitlines()
    priorities = [int(line.split()[4]) for line in lines if line.startswith("ip4 rule add")]

    assert priorities == [7700, 7712, 7730, 7778]
    assert lines.index("exit $status") < next(at for at, line in enumerate(lines) if line.startswith("nft "))


@pytest.mark.parametrize("shell", [("sh",), ("bash",), ("busybox", "ash")])
def test_each_part_is_fed_to_its_program(shell: tuple[str, ...], tmp_path: Path) -> None:
    """With programs that only write down what they are given; a part that is refused does not keep the other away."""
    script = tmp_path / "guard.sh"
    script.write_text(render_guard([nyc()]).replace("PATH=/usr/local/sbin:", f"PATH={tmp_path}:"))
    for name, ends in (("nft", "echo 'no such thing'; exit 1"), ("ip", "echo 'RTNETLINK answers: File exists'")):
        (tmp_path / name).write_text(f'#!/bin/sh\ncat >"{tmp_path}/fed$1"\n{ends}\n')
        (tmp_path / name).chmod(0o755)

    done = subprocess.run([*shell, str(script)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (1, "warren: the firewall is not up: no such thing\n")
    state = guard_of(nyc())
    fed = {option: (tmp_path / f"fed{option}").read_text() for option in ("-f", "-4", "-6")}
    assert fed["-f"].count("\tchain ") == sum(len(table.chains) for table in state.tables)
    for option, version in (("-4", 4), ("-6", 6)):
        assert fed[option].count("rule add") == sum(rule.family == version for rule in state.rules)
        assert fed[option].count("route replace unreachable") == sum(
            route.prefix.version == version for route in state.routes
        )


def test_a_host_without_networks_has_a_guard_that_does_nothing() -> None:
    text = render_guard([])

    assert "for no network" in text
    assert text.endswith("exit $status\n\n")
