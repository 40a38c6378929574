"""Confs found, read with the machine's own names, and written back whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from warren.sys import conf_file
from warren.sys.errors import HostError

CONF = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"


def test_a_bare_name_lies_in_etc_wireguard() -> None:
    assert conf_file.locate("wg0") == ("wg0", "/etc/wireguard/wg0.conf")
    assert conf_file.locate("./some/where/wg0.conf") == ("wg0", "./some/where/wg0.conf")
    assert conf_file.locate("/x/a.b.conf") == ("a.b", "/x/a.b.conf")
    with pytest.raises(HostError, match="no conf"):
        conf_file.locate("./network.yaml")


def test_a_conf_is_told_from_a_network_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("portals").write_text("network: portals\n")
    Path("home").mkdir()
    told = {name: conf_file.is_conf(name) for name in ("x/wg0.conf", "wg0", "home", "portals", "./net.yaml")}
    assert told == {"x/wg0.conf": True, "wg0": True, "home": True, "portals": False, "./net.yaml": False}


def test_a_link_is_followed_so_that_save_writes_the_real_file(tmp_path: Path) -> None:
    real = tmp_path / "real.conf"
    real.write_text(CONF)
    (tmp_path / "wg0.conf").symlink_to(real)
    file = conf_file.read(str(tmp_path / "wg0.conf"))
    assert (file.name, file.path) == ("wg0", real)
    assert file.parsed.conf is not None
    assert file.parsed.conf.private_key is not None
    assert file.parsed.conf.private_key.path == str(real)


def test_what_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    conf = tmp_path / "wg0.conf"
    conf.write_text(CONF)
    for mode, directory, codes in ((0o644, 0o755, ["W701"]), (0o600, 0o755, []), (0o644, 0o700, [])):
        conf.chmod(mode)
        tmp_path.chmod(directory)
        assert [found.code for found in conf_file.read(str(conf)).findings] == codes


@pytest.mark.parametrize("name", ["wg0.conf", "."])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match=r"cannot read .*: (no such file|is a directory)|no conf"):
        conf_file.read(str(tmp_path / name))


def test_a_bare_name_of_a_file_here_is_told_how_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wg7.conf").write_text(CONF)
    with pytest.raises(HostError) as told:
        conf_file.read("wg7.conf")
    assert "/etc/wireguard/wg7.conf.conf" in told.value.says and "write ./wg7.conf" in told.value.remedy


def test_a_file_is_replaced_whole_with_mode_0600(tmp_path: Path) -> None:
    conf = tmp_path / "wg0.conf"
    conf.write_text("old")
    before = conf.stat().st_ino
    conf_file.write(conf, "new\udcff\n")
    assert conf.read_bytes() == b"new\xff\n"
    assert conf.stat().st_mode & 0o777 == 0o600
    assert conf.stat().st_ino != before
    assert os.listdir(tmp_path) == ["wg0.conf"]


def test_a_file_that_cannot_be_written_stays(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write"):
        conf_file.write(tmp_path / "missing" / "wg0.conf", "new")
    assert os.listdir(tmp_path) == []


def test_names_of_services_and_tables_are_the_machines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert conf_file.service_port("no-such-service-here") is None
    assert conf_file.service_port("ümlaut") is None
    tables = tmp_path / "rt_tables"
    tables.write_text("#\n255\tlocal\n 100 vpn # mine\n0x65 hex\n#102 off\n")
    monkeypatch.setattr(conf_file, "RT_TABLES", (str(tmp_path / "none"), str(tables)))
    numbers = {name: conf_file.table_number(name) for name in ("vpn", "hex", "off", "mine", "v.n")}
    assert numbers == {"vpn": 100, "hex": 101, "off": None, "mine": None, "v.n": None}
