"""The file in which an agent tells of paths: whole, its owner's alone, and whether its writer lives."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from warren.proto.address import Address, Origin
from warren.proto.known import Known, KnownNat, KnownPeer, KnownPlace, KnownRelay, KnownServer
from warren.proto.shown import Shown
from warren.proto.states import State
from warren.proto.tried import Fate
from warren.sys.errors import HostError
from warren.sys.known import Found, Note, find, read

HERE, SIX = Address.of("198.51.100.7", 51820), Address.of("2001:db8::7", 4000)
KNOWN = Known(
    1000.5,
    (KnownServer(HERE, True, SIX), KnownServer(SIX, False)),
    (KnownNat(4, Shown.SAME, (HERE,)),),
    (
        KnownPeer(
            "aq8h=",
            "b",
            State.DIRECT,
            SIX,
            0.02,
            KnownRelay(HERE, True, False, 0.01),
            (KnownPlace(SIX, Fate.USED, 3, 0.02, Origin.HOST), KnownPlace(HERE, Fate.SILENT, 7)),
        ),
    ),
)


def test_it_comes_back_as_it_was_and_is_gone_at_the_end(tmp_path: Path) -> None:
    note = Note(str(tmp_path), "mesh")
    note.write(Known(1.0))
    note.write(KNOWN)
    path = tmp_path / "paths" / "mesh.json"

    assert find(tmp_path, "mesh") == Found(KNOWN, True)
    assert (stat.S_IMODE(path.stat().st_mode), os.listdir(path.parent)) == (0o600, ["mesh.json"])
    note.remove()
    assert find(tmp_path, "mesh") is None and os.listdir(path.parent) == []


def test_an_agent_that_was_killed_leaves_a_file_that_says_so(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        Note(str(tmp_path), "mesh").write(KNOWN)
        os._exit(0)
    os.waitpid(pid, 0)
    assert find(tmp_path, "mesh") == Found(KNOWN, False)


def test_another_agents_file_stays(tmp_path: Path) -> None:
    first, second = Note(str(tmp_path), "mesh"), Note(str(tmp_path), "mesh")
    first.write(Known(1.0))
    second.write(KNOWN)
    first.remove()
    assert find(tmp_path, "mesh") == Found(KNOWN, True)
    second.remove()
    second.remove()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"{",
        b'{"at": "yesterday"}',
        b'{"at": 1.0, "more": 1}',
        b'{"at": NaN}',
        b'{"at": 1.0, "peers": [{"key": "k", "name": "n", "state": "upside down"}]}',
        b'{"at": 1.0, "servers": [{"place": {"ip": "nowhere", "port": 1}, "up": true}]}',
        b"[" * 100_000,
    ],
)
def test_garbage_is_nothing(text: bytes, tmp_path: Path) -> None:
    assert read(text) is None
    (tmp_path / "paths").mkdir()
    (tmp_path / "paths" / "mesh.json").write_bytes(text)
    assert find(tmp_path, "mesh") is None


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "paths").write_text("in the way")
    note = Note(str(tmp_path), "mesh")
    with pytest.raises(HostError, match="cannot write"):
        note.write(KNOWN)
    note.remove()
