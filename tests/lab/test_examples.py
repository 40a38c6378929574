"""Every promise of every example is kept by real packets, and walk had predicted what the kernel did."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def warren(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run warren as a person does."""
    program = "from warren.cli.main import main; main()"
    return subprocess.run((sys.executable, "-c", program, *words), capture_output=True, text=True, timeout=120, **how)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_keeps_its_promises(file: Path) -> None:
    done = warren("lab", "test", str(file), "--json")

    told = json.loads(done.stdout)
    assert [line["says"] for line in told["expectations"] if not line["holds"]] == []
    assert told["ok"] and done.returncode == 0
    assert len(told["expectations"]) >= 12
    assert any(line["faults"] for line in told["expectations"])
    assert {family for line in told["expectations"] for family in line["families"]} == {"ipv4", "ipv6"}


def test_the_examples_are_those_the_project_promises() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "chain",
        "failover",
        "full-exit-mesh",
        "gateway",
        "hotspot",
        "ipv6-land",
        "mesh",
        "names",
        "nested",
        "overlap",
        "own-traffic",
        "portals",
        "site-to-site",
        "smart",
    ]


def test_a_promise_that_is_not_kept_fails_and_says_what_happened_instead(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "examples" / "own-traffic.yaml").read_text()
    head, _, rest = text.partition("expect:\n")
    lab = rest[rest.index("\nlab:") :]
    wrong = [
        "{from: home.lan, to: 1.1.1.1, exit: cabin}",
        "{from: home.lan, to: 1.1.1.1, blocked: true}",
        "{from: laptop, to: 1.1.1.1, exit: home, path: [laptop, cabin, home]}",
        "{from: laptop, to: home.lan, arrives: true, source: cabin}",
        "{from: laptop, to: home.lan, arrives: true, mtu: 1421}",
    ]
    file = tmp_path / "wrong.yaml"
    file.write_text(head + "expect:\n" + "".join(f"  - {line}\n" for line in wrong) + lab)

    done = warren("lab", "test", str(file), "--json")

    assert done.returncode == 1
    lines = json.loads(done.stdout)["expectations"]
    assert [line["holds"] for line in lines] == [False] * len(wrong)
    said = [line["says"] for line in lines]
    assert said[0] == said[1] == "exits at home"
    assert said[2] == "its way is laptop, home"
    assert said[3].startswith("its source is 10.50.0.1")
    assert said[4] == "1421 bytes do not fit"
