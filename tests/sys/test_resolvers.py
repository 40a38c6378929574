"""Whom a host asked for names before: resolved's own list, what was kept, the file; never itself."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from warren.core.render.services import OURS_FIRST
from warren.model.state import DnsConfig
from warren.sys.resolvers import is_pointed, resolvers


@pytest.mark.parametrize(
    ("resolved", "kept", "file", "found"),
    [
        (
            "nameserver 192.0.2.1\nnameserver 2001:db8::53\n",
            None,
            "nameserver 127.0.0.53\n",
            ["192.0.2.1", "2001:db8::53"],
        ),
        (None, "search lan\nnameserver 192.0.2.2\n", "nameserver 127.77.0.1\n", ["192.0.2.2"]),
        (None, None, "# nothing\nnameserver\nnameserver 192.0.2.3 x\nnameserver fe80::1%eth0\n", ["192.0.2.3"]),
        ("nameserver 127.77.0.1\n", None, "nameserver ::1\n", []),
        (None, None, None, []),
    ],
)
def test_it_is_never_ourselves(
    tmp_path: Path, resolved: str | None, kept: str | None, file: str | None, found: list[str]
) -> None:
    places = {"resolved": resolved, "resolv.conf.wg0": kept, "file": file}
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "wg0").write_text("nameserver 127.77.0.1\n")
    for name, text in places.items():
        if text is not None:
            (tmp_path / name).write_text(text)

    asked = resolvers(str(tmp_path), str(tmp_path / "resolved"), str(tmp_path / "file"), (str(tmp_path / "told"),))

    assert [str(address) for address in asked] == found


def test_what_resolvconf_was_told_of_other_devices_counts(tmp_path: Path) -> None:
    (tmp_path / "eth0.dhcp").write_text("nameserver 192.0.2.4\n")
    (tmp_path / "wg0").write_text("nameserver 127.77.0.1\n")

    (found,) = resolvers("", "", str(tmp_path / "wg0"), (str(tmp_path),))
    assert str(found) == "192.0.2.4"


def test_a_file_that_somebody_wrote_again_is_seen(tmp_path: Path) -> None:
    config = DnsConfig("wg0", (ip_address("127.77.0.1"),), ())
    file, kept = tmp_path / "file", tmp_path / "resolv.conf.wg0"

    assert is_pointed(config, str(tmp_path), str(file))  # resolvconf or systemd-resolved has it
    kept.write_text("nameserver 192.0.2.5\n")
    assert not is_pointed(config, str(tmp_path), str(file))
    file.write_text("nameserver 192.0.2.6\n")
    assert not is_pointed(config, str(tmp_path), str(file))
    file.write_text(f"{OURS_FIRST}\nnameserver 127.77.0.1\n")
    assert is_pointed(config, str(tmp_path), str(file))
