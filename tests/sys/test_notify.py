"""What systemd hears of a service that it started, and nobody of one that it did not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from warren.sys.notify import ALIVE, READY, notify, status


@pytest.mark.parametrize("abstract", [False, True])
def test_words_arrive_as_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearer:
        hearer.bind("\0" + name if abstract else name)
        hearer.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        notify(READY, status("watching\nparis"))
        assert hearer.recv(200) == b"READY=1\nSTATUS=watching paris"


@pytest.mark.parametrize("where", ["", "relative", "/nowhere/at/all"])
def test_with_nobody_to_hear_it_nothing_happens(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    notify(ALIVE)
