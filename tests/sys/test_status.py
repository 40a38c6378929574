"""`warren status` in every state that a network can be in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.sys.site import ANYWHERE, site
from tests.sys.test_commands import Desk

pytestmark = pytest.mark.lab


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with site(tmp_path, "nyc", "paris", "client") as made:
        yield Desk(made, tmp_path)


def test_a_networks_states(desk: Desk) -> None:
    nyc, file = desk.here["nyc"], str(desk.file)
    assert "nothing of warren's is on this host" in desk.warren("nyc", "status").stdout
    desk.warren("nyc", "apply", file, "--host", "nyc")
    desk.warren("paris", "apply", file, "--host", "paris")
    desk.here["client"].sh(f"ping -c1 -W8 {ANYWHERE[0]}")

    told = json.loads(desk.warren("nyc", "status", "--json").stdout)
    assert differs(told, SHAPES["status"]) == []
    one = told["owners"][0]
    assert (one["state"], one["file_changed"], told["installed"]) == ("up", "no", None)
    peer = next(device for device in one["devices"] if device["name"] == "portals-paris")["peers"][0]
    assert (peer["name"], peer["endpoint"]) == ("paris", "192.0.2.20:51820")
    assert peer["handshake"] < 60 and peer["received"] and peer["sent"]
    text = desk.warren("nyc", "status").stdout
    assert f"portals on nyc: up\n  from {file}\n" in text
    assert "paris: 192.0.2.20:51820, handshake " in text

    desk.file.write_text("network: [")
    assert "has 1 error" in desk.warren("nyc", "status").stdout
    desk.write("nyc.eth2")
    nyc.sh("ip rule del pref 7778; ip link del portals-paris")
    broken = desk.warren("nyc", "status", status=1).stdout
    assert "portals-paris: not there" in broken and "not as applied" in broken

    desk.warren("nyc", "apply", file, "--host", "nyc", "--confirm", "600")
    assert "up, but not confirmed; undone in " in desk.warren("nyc", "status", status=1).stdout
    desk.warren("nyc", "confirm")
    here = desk.here
    here.restart("nyc")
    assert "not here; what was confirmed comes back" in desk.warren("nyc", "status", status=1).stdout
    desk.file.with_name("nyc.key").rename(desk.file.with_name("away"))
    told = json.loads(desk.warren("nyc", "apply", "--at-boot", "--json", status=1).stdout)
    assert told["error"]["says"].startswith("portals: ") and told["error"]["remedy"] == "Up: nothing."
    assert json.loads(desk.warren("nyc", "status", "--json", status=1).stdout)["owners"][0]["state"] == "guarded"
