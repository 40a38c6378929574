"""What the sets in force are fed by: what `geo update` fetches when no network file is named."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from warren.model.firewall import Set, SetType, Table
from warren.model.named_set import ListKind, ListSource
from warren.model.state import HostState
from warren.sys import journal
from warren.sys.feeds import Feeds, applied_with_feeds, feeds_of, lists_applied
from warren.sys.journal import Journal, Source
from warren.sys.store import Store

TEXT = """\
network: home
lists:
  chn: {from: [https://example.net/chn.txt, https://mirror.example.org/chn.txt]}
  names: {from: https://example.net/names.txt, kind: domains}
  own: own.txt
"""


def state(*feeds: str) -> HostState:
    sets = tuple(
        Set(f"set_{at}_4", SetType.IPV4, (ip_network("9.0.0.0/24"),), feed=feed) for at, feed in enumerate(feeds)
    )
    return HostState("nyc", "home", tables=(Table("warren-home", sets),))


def test_lists_are_those_of_the_file_that_was_applied_or_of_its_sets(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    used = ("country:FR", "list:https://example.net/chn.txt", "list:/etc/own.txt", "list:https://example.net/old.txt")
    applied = state(*used)
    journal.save(store, Journal("home", applied=applied, source=Source("/etc/warren/home.yaml", TEXT, "")))
    journal.save(store, Journal("plain", applied=state("")))

    assert feeds_of(applied) == used and feeds_of(None) == ()
    assert applied_with_feeds(store) == ("home",)
    found = {one.name: (one.sources, one.kind) for one in lists_applied(store)}
    mirrored = ("https://example.net/chn.txt", "https://mirror.example.org/chn.txt")
    assert found == {
        "chn": (mirrored, ListKind.PREFIXES),
        "names": (("https://example.net/names.txt",), ListKind.DOMAINS),
        "old.txt": (("https://example.net/old.txt",), ListKind.PREFIXES),
    }
    assert lists_applied(Store(tmp_path / "elsewhere")) == ()


def test_a_feed_says_what_it_lacks(tmp_path: Path) -> None:
    feeds = Feeds()
    (tmp_path / "work.txt").write_text("9.0.0.0/24\n10.0.0.0/8\n2620:100::/32\nodd\n")

    read = feeds.read("work", f"list:{tmp_path}/work.txt")
    assert [str(prefix) for prefix in read.prefixes] == ["9.0.0.0/24", "2620:100::/32"]
    assert "1 of its lines could not be read (4 in" in read.doubt
    assert "was not fetched yet" in feeds.read("far", "list:https://example.net/nobody-has-this").missing
    assert ListSource("far", ("https://example.net/x",)).fetched
