"""`warren import`: confs in, a file that passes check out; no key printed, nothing overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import warren
from tests.core.imports import private, public, with_keys

GOLDEN = Path(__file__).parent.parent / "golden" / "import"


@pytest.fixture
def firm(tmp_path: Path) -> Path:
    """Three confs of a firm, as their owner has them."""
    return confs("firm", tmp_path)


def confs(name: str, to: Path) -> Path:
    for path in (GOLDEN / name).glob("*.conf"):
        conf = to / path.name
        conf.write_text(with_keys(path.read_text()))
        conf.chmod(0o600)
    return to


FIRM = ("office.conf", "north.conf", "wg0.conf")


def test_a_file_and_its_lock_are_written_and_told(firm: Path) -> None:
    ended = warren("import", *FIRM, "-o", "firm.yaml", cwd=firm)

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "firm.yaml and firm.lock are written: 4 hosts, 1 portal."
    assert "  ? south         lan0       10.3.0.1/16" in lines
    assert "office.conf:7:10: warning[W161]: an accept in the host's own firewall is not taken over" in ended.stderr
    assert warren("check", "firm.yaml", cwd=firm).stdout.startswith("firm.yaml: nothing wrong (4 hosts, 1 portal")
    assert warren("lock", "--check", "firm.yaml", cwd=firm).returncode == 0
    assert warren("verify", "firm.yaml", cwd=firm).returncode == 0


def test_what_it_says_comes_next_are_commands_there_are(firm: Path) -> None:
    told = warren("import", *FIRM, cwd=firm).stdout

    assert [line.split()[1] for line in told.splitlines() if line.startswith("  warren ")] == [
        "verify",
        "lab",
        "plan",
        "apply",
    ]


def test_preshared_keys_go_into_files_and_nowhere_else(firm: Path) -> None:
    ended = warren("import", *FIRM, "-o", "firm.yaml", cwd=firm)

    file = firm / "firm.head-office.north.psk"
    assert file.read_text() == private("psk north") + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(firm.glob("*.key"))
    written = "".join((firm / name).read_text() for name in ("firm.yaml", "firm.lock"))
    for name in ("office", "north", "laptop", "psk north"):
        assert private(name) not in written + ended.stdout + ended.stderr
    assert str(public("office")) in written


def test_private_keys_are_written_when_asked_for(firm: Path) -> None:
    ended = warren("import", *FIRM, "-o", "firm.yaml", "--keys", "secret", cwd=firm)

    assert sorted(path.name for path in (firm / "secret").iterdir()) == [
        "firm.annas-laptop.key",
        "firm.head-office.key",
        "firm.head-office.north.psk",
        "firm.north.key",
    ]
    assert (firm / "secret" / "firm.north.key").read_text() == private("north") + "\n"
    assert (firm / "secret").stat().st_mode & 0o777 == 0o700
    assert private("north") not in ended.stdout + ended.stderr
    assert "on head-office and north" in ended.stdout


def test_nothing_is_overwritten_without_force(firm: Path) -> None:
    (firm / "firm.lock").write_text("precious")

    refused = warren("import", *FIRM, "-o", "firm.yaml", cwd=firm)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is a file firm.lock already" in refused.stderr
    assert sorted(path.name for path in firm.iterdir()) == ["firm.lock", *sorted(FIRM)]
    assert warren("import", *FIRM, "-o", "firm.yaml", "--force", cwd=firm).returncode == 0
    assert warren("import", *FIRM, "-o", "firm.yaml", "--force", cwd=firm).returncode == 0  # the same keys: fine


def test_another_key_is_never_overwritten(firm: Path) -> None:
    (firm / "firm.head-office.north.psk").write_text(private("else") + "\n")

    refused = warren("import", *FIRM, "-o", "firm.yaml", "--force", cwd=firm)

    assert refused.returncode == 1 and "never overwrites a key" in refused.stderr
    assert not (firm / "firm.yaml").exists()


def test_standard_output(firm: Path) -> None:
    ended = warren("import", *FIRM, "--name", "firm", "-o", "-", cwd=firm)

    assert ended.returncode == 0 and "\nnetwork: firm\n" in ended.stdout
    assert sorted(path.name for path in firm.iterdir()) == sorted(FIRM)


def test_an_endpoint_that_no_conf_says(tmp_path: Path) -> None:
    confs("server-alone", tmp_path)
    ended = warren("import", "wg0.conf", "--endpoint", "wg0=home.example.net", "-o", "home.yaml", cwd=tmp_path)

    assert ended.returncode == 0 and "W167" not in ended.stderr
    assert "endpoint: home.example.net:51820" in (tmp_path / "home.yaml").read_text()


def test_confs_in_folders_of_their_own_are_called_after_them(tmp_path: Path) -> None:
    for name, conf in (("home", "home.conf"), ("phone", "phone.conf")):
        (tmp_path / name).mkdir()
        text = with_keys((GOLDEN / "recursive-private" / conf).read_text())
        (tmp_path / name / "wg1.conf").write_text(text)

    ended = warren("import", "home/wg1.conf", "phone/wg1.conf", "--json", cwd=tmp_path)

    told = json.loads(ended.stdout)
    assert (told["network"], told["file"], told["lock"]) == ("wg1", "wg1.yaml", "wg1.lock")
    assert [host["name"] for host in told["hosts"]] == ["home", "phone"]
    assert "      wg1: {port: 13131}" in (tmp_path / "wg1.lock").read_text()


@pytest.mark.parametrize(
    ("case", "args", "says"),
    [
        ("firm", (), "Missing argument 'CONF…'"),
        ("firm", (*FIRM, "--name", "Head Office"), "Head Office cannot name a network"),
        ("firm", (*FIRM, "--endpoint", "nobody=192.0.2.1:5"), "there is no such host; there are head-office, north"),
        ("firm", (*FIRM, "--endpoint", "north=[::1"), "--endpoint north=[::1"),
        ("firm", ("nowhere.conf",), "cannot read /etc/wireguard/nowhere.conf.conf"),
        ("firm", ("./firm.yaml",), "does not end in .conf"),
        ("two-networks", ("home.conf", "provider.conf"), "provider.conf:1:1: error[W166]"),
        ("same-key", ("old.conf", "new.conf"), "new.conf:1:1: error[W165]"),
        ("no-key", ("wg0.conf",), "wg0.conf:1:1: error[W169]"),
    ],
)
def test_what_cannot_be_imported_is_not_written(case: str, args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    confs(case, tmp_path)
    before = sorted(os.listdir(tmp_path))

    ended = warren("import", *args, cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert says in ended.stderr and "bug" not in ended.stderr
    assert sorted(os.listdir(tmp_path)) == before


def test_a_conf_with_errors_is_told_as_check_does(tmp_path: Path) -> None:
    (tmp_path / "wg0.conf").write_text("[Interface]\nAddress = 10.0.0.300/24\n")

    ended = warren("import", "wg0.conf", "--json", cwd=tmp_path)

    told = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert [one["code"] for one in told["diagnostics"] if one["severity"] == "error"] == ["W720"]
    assert differs(told, SHAPES["check"]) == []


def test_a_file_that_check_refuses_is_written_to_be_mended(tmp_path: Path) -> None:
    confs("recursive-wan", tmp_path)
    inside = (tmp_path / "router.conf").read_text().replace("198.51.100.7", "10.0.18.1")
    (tmp_path / "router.conf").write_text(inside)

    ended = warren("import", "gateway.conf", "router.conf", "-o", "wan.yaml", cwd=tmp_path)

    assert ended.returncode == 1
    assert "wan.yaml:" in ended.stderr and "error[W040]" in ended.stderr
    assert "Check finds errors in it" in ended.stdout and "warren apply" not in ended.stdout
    assert (tmp_path / "wan.yaml").exists() and not (tmp_path / "wan.lock").exists()


def test_json_has_the_documented_shape(firm: Path) -> None:
    told = json.loads(warren("import", *FIRM, "-o", "firm.yaml", "--json", cwd=firm).stdout)

    assert differs(told, SHAPES["import"]) == []
    assert told["ok"] and told["text"] == (firm / "firm.yaml").read_text()
    assert told["lock_text"] == (firm / "firm.lock").read_text()
    assert told["secrets"] == [
        {
            "file": "firm.head-office.north.psk",
            "hosts": ["head-office", "north"],
            "install": "/etc/warren/firm.head-office.north.psk",
        }
    ]
