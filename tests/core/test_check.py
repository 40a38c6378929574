"""Every finding, as its reader sees it: tests/golden/check/NAME.yaml (and NAME.lock) in, NAME.txt out.

`UPDATE_GOLDEN=1 pytest tests/core/test_check.py` writes the texts anew, for a diff to be read.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import yaml

from tests.core.sets import read_sets
from warren.core.codes import CODES
from warren.core.load import load
from warren.core.parse import tree
from warren.model.key import PublicKey

GOLDEN = Path(__file__).parent.parent / "golden" / "check"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
SPOKEN = re.compile(r"^\S+:\d+:\d+: (error|warning)\[(W\d{3})\]: ", re.MULTILINE)

# What no small file can have (it has a test of its own below), and what only `warren render` says.
NOT_GOLDEN = {"W008", *(code for code in CODES if code.startswith("W15"))}


@pytest.mark.parametrize("name", CASES)
def test_findings_read_as_written_down(name: str) -> None:
    lock = GOLDEN / f"{name}.lock"
    text = _says(name, lock.read_bytes() if lock.exists() else None)
    expected = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)

    assert text == expected.read_text()


def _says(name: str, lock: bytes | None) -> str:
    loaded = load((GOLDEN / f"{name}.yaml").read_bytes(), lock, f"{name}.yaml", sets=read_sets)
    return loaded.text() or "(nothing)\n"


def test_every_code_is_seen_in_a_golden_text() -> None:
    seen = {code for path in GOLDEN.glob("*.txt") for _, code in SPOKEN.findall(path.read_text())}

    assert set(CODES) - seen == NOT_GOLDEN
    assert seen <= set(CODES)


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
    assert {path.stem for path in GOLDEN.glob("*.lock")} <= set(CASES)


def test_a_host_has_tables_for_ninety_nine_next_hops() -> None:
    def text(others: int) -> bytes:
        hosts = [f"  h{at}: {{endpoint: 'h{at}.example.net:51820', uplink: eth0}}" for at in range(others + 1)]
        lans = ", ".join(f"l{at}: {{address: 10.1.{at}.1/24}}" for at in range(1, others + 1))
        hosts[0] = hosts[0].replace("uplink: eth0", f"uplink: eth0, lans: {{{lans}}}")
        portals = [f"  - {{from: h0.l{at}, exit: h{at}}}" for at in range(1, others + 1)]
        return "\n".join(["network: n", "overlay: [10.77.0.0/24]", "hosts:", *hosts, "portals:", *portals]).encode()

    assert load(text(99), None, "f", PublicKey).ok
    found = load(text(100), None, "f", PublicKey).diagnostics
    assert [one.code for one in found] == ["W078"]
    assert "by 100 hosts, and at most 99" in found[0].says


@pytest.mark.parametrize("name", [name for name in CASES if name != "yaml-double-colon"])
def test_the_same_is_found_where_libyaml_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own YAML parser is less strict about `[fd77::]` and places a bad escape one character later."""
    data = (GOLDEN / f"{name}.yaml").read_bytes()
    found = load(data, None, name, sets=read_sets).diagnostics
    monkeypatch.setattr(tree, "_LOADER", yaml.SafeLoader)
    slowly = load(data, None, name, sets=read_sets).diagnostics

    assert [(one.code, one.where.line, one.says) for one in slowly] == [
        (one.code, one.where.line, one.says) for one in found
    ]


@pytest.mark.parametrize("lan", ["10.{high}.{low}.1/24", "192.168.1.1/24"])
def test_a_thousand_hosts_behind_a_hub_take_seconds(lan: str) -> None:
    lines = ["network: big", "overlay: [10.64.0.0/12, 'fd77::/64']", "hub: h0", "hosts:"]
    for at in range(1000):
        address = lan.format(high=at // 256, low=at % 256)
        lines += [f"  h{at}:", "    uplink: eth0", f"    lans: {{eth1: {{address: [{address}, 'fd00:{at:x}::1/64']}}}}"]
        lines += ["    endpoint: hub.example.net:51820"] if at == 0 else []
    lines += ["portals:", *(f"  - {{from: h{at}.eth1, exit: h0, except: [8.8.8.0/24]}}" for at in range(1, 1000))]
    lines += ["expect:", *(f"  - {{from: h{at}.eth1, to: 1.1.1.1, exit: h0}}" for at in range(1, 1000))]
    data = "\n".join(lines).encode()
    start = time.process_time()
    loaded = load(data, None, "big.yaml", PublicKey)

    assert loaded.ok, loaded.text()[:500]
    assert time.process_time() - start < 8.0
