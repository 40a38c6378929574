"""Numbers and settings that owners of one host share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from warren.model.state import MARKS, TABLES
from warren.sys import register, sysctl
from warren.sys.errors import HostError
from warren.sys.register import Register
from warren.sys.store import Store


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Stand-in for /proc/sys: forwarding for two devices."""
    values = {
        "net.ipv4.ip_forward": "0",
        "net.ipv4.conf.all.accept_redirects": "1",
        "net.ipv4.conf.eth0.forwarding": "0",
        "net.ipv4.conf.eth1.forwarding": "1",
        "net.ipv4.conf.eth0.rp_filter": "1",
    }
    monkeypatch.setattr(sysctl, "read", values.get)
    along = ("net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.eth0.forwarding", "net.ipv4.conf.eth1.forwarding")
    monkeypatch.setattr(sysctl, "along_with", lambda name: along if name == "net.ipv4.ip_forward" else ())
    yield values


def test_two_networks_never_share_a_number() -> None:
    """Tables, marks and slots of one host."""
    both = Register().allot("a", ("near", "exit:x"), ("mac:1",)).allot("b", ("near", "exit:x"), ("mac:1",))
    a, b = both.ledger("a"), both.ledger("b")

    assert not {n for _, n in a.tables} & {n for _, n in b.tables}
    assert not {n for _, n in a.marks} & {n for _, n in b.marks}
    assert (a.slot, b.slot) == (0, 1)
    assert all(n in TABLES for _, n in (*a.tables, *b.tables))
    assert all(n in MARKS for _, n in (*a.marks, *b.marks))


def test_numbers_stay_while_they_are_needed() -> None:
    """A purpose added in front moves nobody; one that went is free for others."""
    first = Register().allot("a", ("near", "exit:x"), ())
    more = first.allot("a", ("near", "exit:new", "exit:x"), ())
    less = more.shrink("a", {more.ledger("a").table("exit:new")})

    assert more.ledger("a").table("exit:x") == first.ledger("a").table("exit:x")
    assert less.ledger("a").tables == (("exit:new", more.ledger("a").table("exit:new")),)
    assert less.allot("b", ("near",), ()).ledger("b").table("near") == TABLES.start


def test_down_gives_everything_back() -> None:
    """The next network begins where the first did."""
    again = Register().allot("a", ("near",), ("mac:1",)).without("a").allot("b", ("near",), ())

    assert again.ledger("b").slot == 0
    assert again.ledger("b").table("near") == TABLES.start


def test_a_full_ledger_is_said() -> None:
    """In words, with what helps."""
    with pytest.raises(HostError, match="no more routing tables"):
        Register().allot("a", [f"exit:{n}" for n in range(101)], ())
    with pytest.raises(HostError, match="no more packet marks"):
        Register().allot("a", (), [f"mac:{n}" for n in range(62)])
    full = Register()
    for name in "abcdef":
        full = full.allot(name, ("near",), ())
    with pytest.raises(HostError, match="already has 6 networks: a, b, c, d, e, f"):
        full.allot("g", ("near",), ())


def test_a_setting_goes_back_when_the_last_lets_go(kernel: dict[str, str]) -> None:
    """To what it was before the first came, with what the kernel changes along with it."""
    forward = "net.ipv4.ip_forward"
    a = Register().hold("a", [forward])
    kernel |= {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.eth0.forwarding": "1",
        "net.ipv4.conf.all.accept_redirects": "0",
    }
    both = a.hold("b", [forward])

    assert both.restorable("a", ()) == {}
    left = both.release("a")
    assert left.restorable("b", {"net.ipv4.ip_forward"}) == {}
    assert left.restorable("b", ()) == {
        "net.ipv4.conf.all.accept_redirects": "1",
        "net.ipv4.conf.eth0.forwarding": "0",
        "net.ipv4.conf.eth1.forwarding": "1",
        "net.ipv4.ip_forward": "0",
    }
    assert left.release("b").settings == ()


def test_a_setting_that_is_not_there_is_no_matter(kernel: dict[str, str]) -> None:
    """A device that is yet to come."""
    assert Register().hold("a", ["net.ipv4.conf.portals.rp_filter"]).settings == ()


def test_it_is_kept_on_disk_and_settings_die_with_the_boot(
    tmp_path: Path, kernel: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers live as long as their owner's file does; a boot resets the kernel."""
    store = Store(tmp_path)
    saved = register.load(store).allot("a", ("near",), ()).hold("a", ["net.ipv4.conf.eth0.rp_filter"])
    register.save(store, saved)
    assert register.load(store) == saved

    monkeypatch.setattr(register, "kernel_id", lambda: "another boot")

    assert register.load(store).owners == saved.owners
    assert register.load(store).settings == ()


def test_damage_is_said(tmp_path: Path) -> None:
    """With the file's name."""
    (tmp_path / "register.json").write_text('{"owners": 7}')

    with pytest.raises(HostError, match=r"register.json is damaged"):
        register.load(Store(tmp_path))
