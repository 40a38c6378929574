"""What warren remembers: whole files only, clear words for damage, nothing of an earlier boot."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warren.model.state import HostState, Route
from warren.sys import journal
from warren.sys.errors import HostError
from warren.sys.journal import Journal, Window
from warren.sys.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


def state(*numbers: int) -> HostState:
    return HostState("h", "net", routes=tuple(Route(ip_network(f"10.{n}.0.0/16"), 7700, "net") for n in numbers))


def full(owner: str = "net") -> Journal:
    window = Window("t0", 1234.5, state(1), "process 7")
    return Journal(owner, "h", "net.yaml", state(1), state(2), state(1), (("warren-net", "abc"),), window)


def test_a_journal_comes_back(store: Store) -> None:
    """Every field of it."""
    journal.save(store, full())

    assert journal.load(store, "net") == full()


def test_only_root_reads_it(store: Store) -> None:
    """0700 and 0600: it names hosts and where keys lie."""
    journal.save(store, full())

    assert store.path.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in store.path.rglob("*") if path.is_file())


def test_states_are_written_once_and_dropped_when_unnamed(store: Store) -> None:
    """Equal states share a file; what no journal names goes."""
    journal.save(store, full())
    assert len(list((store.path / "owners" / "net").iterdir())) == 3  # the journal, and two different states

    journal.save(store, Journal("net", applied=state(3)))

    assert len(list((store.path / "owners" / "net").iterdir())) == 2


@given(st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text))
@settings(max_examples=50, deadline=None)
def test_any_owner_name_is_a_file_name(tmp_path_factory: pytest.TempPathFactory, owner: str) -> None:
    """`conf:wg0` and stranger ones neither collide nor leave the directory."""
    try:
        owner.encode()
    except UnicodeEncodeError:
        return
    store = Store(tmp_path_factory.mktemp("s"))

    journal.save(store, Journal(owner, "h"))

    assert journal.owners(store) == (owner,)
    assert journal.load(store, owner).owner == owner
    assert [path.parent.parent for path in store.path.rglob("journal")] == [store.path / "owners"]


def test_an_earlier_boot_leaves_only_what_was_confirmed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices, routes and windows of another boot are gone with it."""
    journal.save(store, full())
    monkeypatch.setattr(journal, "kernel_id", lambda: "another boot")

    assert journal.load(store, "net") == Journal("net", "h", "net.yaml", confirmed=state(1))


@pytest.mark.parametrize(
    "damage", ["", "{", '{"owner": 5}', "[1,2]", '{"owner":"net","kernel":"k","confirmed":"nowhere"}']
)
def test_damage_is_said_with_a_remedy(store: Store, damage: str) -> None:
    """Which file, what is wrong, what to do."""
    journal.save(store, full())
    (store.path / "owners" / "net" / "journal").write_text(damage)

    with pytest.raises(HostError) as damaged:
        journal.load(store, "net")

    assert "owners/net" in damaged.value.says
    assert "is damaged" in damaged.value.says
    assert "mv " in damaged.value.remedy


def test_a_damaged_state_is_said(store: Store) -> None:
    """A journal that names a state which is not one."""
    journal.save(store, Journal("net", applied=state(1)))
    (file,) = [path for path in (store.path / "owners" / "net").iterdir() if path.name != "journal"]
    file.write_text('{"host": 1}')

    with pytest.raises(HostError, match="is damaged"):
        journal.load(store, "net")


def test_an_unwritable_directory_is_said(tmp_path: Path) -> None:
    """Who may not write is told how to name another directory."""
    (tmp_path / "file").write_text("")

    with pytest.raises(HostError, match="WARREN_STATE_DIR"):
        journal.save(Store(tmp_path / "file" / "state"), full())


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from tests.sys.test_store import full, state
from warren.sys import journal
from warren.sys.journal import Journal
from warren.sys.store import Store

calls = 0
def fatal(real):
    def wrapped(*args, **kwargs):
        global calls
        calls += 1
        if calls == {at}:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    return wrapped
for name in ("open", "fsync", "replace", "unlink"):
    setattr(os, name, fatal(getattr(os, name)))
journal.save(Store(Path({path!r})), Journal("net", applied=state(5, 6), pending=state(6)))
"""


def test_a_directory_that_only_root_reads_is_not_taken_for_an_empty_one(store: Store) -> None:
    """Who may not look is told so: `down` must not say that nothing is there."""
    store.path.mkdir()
    (store.path / "owners").write_text("no directory can be read here")
    with pytest.raises(HostError, match=r"cannot read .*owners, where warren remembers") as told:
        journal.owners(store)
    assert "Run warren as root" in told.value.remedy


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(store: Store) -> None:
    """Killed before each system call that changes the directory: what is read is one or the other, whole."""
    old, new = Journal("net", applied=state(1)), Journal("net", applied=state(5, 6), pending=state(6))
    here = str(Path(__file__).parents[2])
    seen = set()
    for at in range(1, 40):
        journal.save(store, old)
        script = KILLED.format(here=here, at=at, path=str(store.path))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        found = journal.load(store, "net")
        assert found in (old, new), at
        seen.add(found.applied)
        if done.returncode == 0:
            assert found == new
            break
        assert done.returncode == -9, done.stderr
    else:
        raise AssertionError("it never ended by itself")
    assert seen == {old.applied, new.applied}
    assert at > 8


def test_forgetting_leaves_nothing(store: Store) -> None:
    """After `down` no trace of the owner is left; others stay."""
    journal.save(store, full())
    journal.save(store, full("other"))

    journal.forget(store, "net")

    assert journal.owners(store) == ("other",)
    assert os.listdir(store.path / "owners") == ["other"]
    assert journal.others(store, "net") == (journal.load(store, "other"),)
    assert journal.load(store, "net") == Journal("net")


def test_saving_replaces(store: Store) -> None:
    """A later journal stands alone."""
    journal.save(store, full())
    journal.save(store, replace(full(), pending=None, window=None))

    assert journal.load(store, "net").pending is None
