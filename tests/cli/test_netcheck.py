"""`warren netcheck` on the command line: which servers it is to ask, and what it says where there is nothing to ask."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import NETWORK, warren
from tests.lab.enclosed import enclosed
from warren.cli.main import run
from warren.model.key import PublicKey, SecretRef
from warren.model.state import HostState, WgInterface
from warren.sys import journal
from warren.sys.store import Store

KEY = "KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w="


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "name the network file, or a server"),
        (("--server", "rv1.example.net:51819"), "--server rv1.example.net:51819: "),
        (("--server", f"rv1.example.net={KEY}"), "has no port"),
        (("--server", f"rv1.example.net:0={KEY}"), "The port of an endpoint cannot be"),
        (("--server", "rv1.example.net:51819=short"), "a key has 44 characters"),
        (("plain.yaml",), "plain.yaml names no rendezvous server"),
        (("nowhere.yaml",), "there is no file nowhere.yaml"),
    ],
)
def test_what_cannot_be_asked_is_said(
    args: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "plain.yaml").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARREN_STATE_DIR", str(tmp_path / "state"))
    assert run(["netcheck", *args]) == 1
    told = capsys.readouterr().err
    assert says in told and "bug" not in told


@pytest.mark.lab
def test_a_name_that_stands_for_nothing_where_there_is_no_way_out(tmp_path: Path) -> None:
    ended = enclosed(lambda: warren("netcheck", "--server", f"nowhere.invalid:51819={KEY}", "--json", cwd=tmp_path))
    told = json.loads(ended.stdout)
    assert ended.returncode == 1 and differs(told, SHAPES["netcheck"]) == []
    assert told["unknown"] == ["nowhere.invalid:51819"] and told["routers"] == []
    assert [one["kind"] for one in told["findings"]] == ["no-way-out", "no-name"]


@pytest.mark.lab
def test_without_a_file_it_goes_by_what_is_applied(tmp_path: Path) -> None:
    text = NETWORK.partition("portals:\n")[0] + f"rendezvous: [{{address: 'nowhere.invalid:51819', key: {KEY}}}]\n"
    (tmp_path / "mesh.yaml").write_text(text.replace("    endpoint: nyc.example.net:51820\n", ""))
    assert warren("lock", "mesh.yaml", cwd=tmp_path).returncode == 0
    texts = ((tmp_path / name).read_text() for name in ("mesh.yaml", "mesh.lock"))
    source = journal.Source(str(tmp_path / "mesh.yaml"), *texts)
    device = WgInterface("portals", PublicKey(KEY), SecretRef("/nowhere"), 51820, 0, 1420, (), ())
    applied = HostState("nyc", "portals", interfaces=(device,))
    store = Store(tmp_path / "state")

    def work() -> subprocess.CompletedProcess[str]:
        journal.save(store, journal.Journal("portals", "nyc", applied=applied, source=source))
        return warren("netcheck", cwd=tmp_path, env={"WARREN_STATE_DIR": str(store.path)})

    ended = enclosed(work)
    assert ended.returncode == 1 and "nowhere.invalid stands for no address." in ended.stdout, ended.stderr
