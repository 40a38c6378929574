"""The timer that keeps countries and lists current: systemd takes it, and holds its service tight."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from warren.core.render.upkeep import NAME, upkeep_cron, upkeep_units


@pytest.mark.lab
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in upkeep_units("/bin/true"):
        (tmp_path / Path(unit.path).name).write_text(unit.text)

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / f"{NAME}.timer"), str(tmp_path / f"{NAME}.service")],
        capture_output=True,
        text=True,
    )
    assert NAME not in checked.stderr, checked.stderr

    held = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", str(tmp_path / f"{NAME}.service")],
        capture_output=True,
        text=True,
    )
    exposure = re.search(r"exposure level for .*: ([\d.]+)", held.stdout)
    assert exposure is not None, held.stderr
    assert float(exposure[1]) < 3


def test_cron_waits_by_itself_and_both_refresh() -> None:
    service, timer = upkeep_units("/usr/local/bin/warren")

    assert "ExecStart=/usr/local/bin/warren geo update --refresh\n" in service.text
    assert "RandomizedDelaySec=21600" in timer.text and "Persistent=true" in timer.text
    assert upkeep_cron("/usr/local/bin/warren").split()[5:] == [
        *("root", "/usr/local/bin/warren", "geo", "update", "--refresh", "--json", "--jitter", "3600", ">/dev/null"),
    ]
