"""Countries and lists by the command line: what is missing is said with its remedy, and what is there is used."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.shell import NETWORK, warren

ROWS = """\
2|apnic|20260505|2|19830613|20260504|+1000
apnic|*|ipv4|*|1|summary
apnic|*|ipv6|*|1|summary
apnic|XX|ipv4|45.12.0.0|768|20110414|allocated
apnic|XX|ipv6|2620:100::|32|20110414|allocated
"""
FILE = (
    NETWORK.replace("portals:\n", "lists: {work: lists/work.txt}\nportals:\n", 1)
    .replace("192.168.21.1/24", '[192.168.21.1/24, "fd21:21::1/64"]')
    .replace("exit: paris}", "exit: paris, except: [country:XX, list:work]}")
    .replace("exit: nyc}", "exit: nyc, family: ipv4, only: [country:XX]}")
)
EXPECTS = """\
expect:
  - {from: nyc.eth2, to: 45.12.2.255, exit: nyc, when: {down: [paris]}}
  - {from: nyc.eth2, to: 45.12.3.0, exit: paris}
  - {from: nyc.eth2, to: 48.0.0.1, exit: nyc}
  - {from: nyc.eth2, to: 45.12.3.0, blocked: true, when: {down: [paris]}}
  - {from: nyc.eth2, to: 2620:100::1, exit: nyc, when: {down: [paris]}}
  - {from: nyc.eth2, to: 2606:4700::1111, exit: paris}
  - {from: paris.wlan0, to: 45.12.0.1, exit: nyc}
  - {from: paris.wlan0, to: 1.1.1.1, exit: paris}
"""


def written(directory: Path) -> tuple[Path, dict[str, str]]:
    """Write a network file with its list and a registry's file, and give it with the environment that names them."""
    file = directory / "net.yaml"
    file.write_text(FILE.replace("network: portals", "network: net", 1) + EXPECTS)
    (directory / "lists").mkdir()
    (directory / "lists/work.txt").write_text("48.0.0.0/16\n10.0.0.0/8\n")
    (directory / "delegated").write_text(ROWS)
    return file, {"WARREN_GEO_DIR": str(directory / "geo")}


def test_from_a_registry_file_to_a_proof(tmp_path: Path) -> None:
    file, env = written(tmp_path)
    (tmp_path / "lists").rename(tmp_path / "elsewhere")
    without = warren("check", str(file), env=env)

    assert without.returncode == 1
    assert "error[W170]: `country:XX` cannot be had: there is no registry data" in without.stdout + without.stderr
    assert "warren geo update" in without.stdout + without.stderr
    assert "`list:work` cannot be had" in without.stdout + without.stderr

    (tmp_path / "elsewhere").rename(tmp_path / "lists")
    assert warren("geo", "update", "--from", str(tmp_path / "delegated"), env=env).returncode == 0
    assert warren("lock", str(file), env=env).returncode == 0

    checked = warren("check", str(file), env=env)
    assert checked.returncode == 0
    doubt = "warning[W177]: `country:XX` may lack something: there is no file of afrinic"
    assert doubt in checked.stdout + checked.stderr
    verified = warren("verify", str(file), "--json", env=env, cwd=tmp_path)
    told = json.loads(verified.stdout)
    assert verified.returncode == 0, verified.stdout
    assert {one["kind"] for one in told["verdicts"]} >= {"expect", "exempt"}
