"""Lists of domains from files: what they include lies beside them, and what cannot be had is told."""

from __future__ import annotations

from pathlib import Path

from warren.model.named_set import ListKind, ListSource
from warren.sys.sets import read_sets


def listed(source: str) -> ListSource:
    return ListSource("films", (source,), ListKind.DOMAINS)


def test_a_list_with_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/films").write_text("include:more\ninclude:../secret\ninclude:gone @ads\nfull:www.film.example\n")
    (tmp_path / "data/more").write_text("include:films  # round and round\nkino.example\nregexp:^x$\n(what)\n")
    (tmp_path / "secret").write_text("secret.example\n")

    found = read_sets(str(tmp_path / "net.yaml"))("list:films", listed("data/films"))

    assert found.domains == ("kino.example", "www.film.example") and not found.missing
    assert "1 of its names hold for what is below them too" in found.doubt
    assert "1 patterns hold for nothing" in found.doubt and "and 1 others could not be had" in found.doubt
    assert "1 of its lines could not be read (4 in" in found.doubt


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    read = read_sets(str(tmp_path / "net.yaml"))

    assert read("list:films", listed("films.txt")).missing.endswith("films.txt: no such file or directory")
    fetched = read("list:films", listed("https://lists.example/films"))
    assert (
        fetched.missing == "https://lists.example/films was not fetched yet" and "warren geo update" in fetched.remedy
    )


def test_a_list_without_end(tmp_path: Path) -> None:
    (tmp_path / "films.txt").write_text("".join(f"d{at}.example\n" for at in range(100_001)))

    assert "has 100,001 domains" in read_sets(str(tmp_path / "net.yaml"))("list:films", listed("films.txt")).missing
