"""A first file passes check, whatever the sites."""

from __future__ import annotations

import pytest

from warren.core.init import MOST_SITES, Site, first_file
from warren.core.load import load
from warren.model.key import PublicKey

NAMES = ("nyc", "paris", "tokyo", "san-francisco-bay-area", "san-francisco-bay-west", "a")


def sites(count: int, dialable: int = 1, keys: bool = True) -> list[Site]:
    names = [*NAMES, *(f"site-{at}" for at in range(count))][:count]
    return [
        Site(name, f"key-of-{name}" if keys else "", f"{name}.example.net:51820" if at < dialable else "")
        for at, name in enumerate(names)
    ]


def first(count: int, dialable: int, full_exit: bool) -> str:
    """Write a first file without keys: check is then asked as the lab does, which makes them."""
    return first_file("home", sites(count, dialable, keys=False), full_exit)


@pytest.mark.parametrize("full_exit", [True, False])
@pytest.mark.parametrize(
    ("count", "dialable"), [(1, 0), (1, 1), (2, 1), (2, 2), (3, 1), (3, 3), (6, 2), (16, 1), (40, 3)]
)
def test_a_first_file_passes_check(count: int, dialable: int, full_exit: bool) -> None:
    loaded = load(first(count, dialable, full_exit).encode(), None, "home.yaml", PublicKey)

    assert loaded.ok, loaded.text()
    assert [one.code for one in loaded.diagnostics] == ["W100"]
    assert loaded.network is not None
    assert len(loaded.network.hosts) == count
    assert len(loaded.network.portals) == (count * (count - 1) if full_exit else 0)


def test_three_sites_that_exit_at_each_other() -> None:
    text = first_file("home", sites(3, 3, keys=False))
    loaded = load(text.encode(), None, "home.yaml", PublicKey)
    assert loaded.network is not None

    exits = {(portal.source.host, portal.exit) for portal in loaded.network.portals}
    assert exits == {(one, other) for one in NAMES[:3] for other in NAMES[:3] if one != other}
    assert loaded.network.hub == ""
    assert "from: nyc.to-paris, exit: paris" in text


def test_keys_are_passed_in() -> None:
    assert "    key: key-of-paris\n" in first_file("home", sites(3))


def test_an_ipv6_endpoint_is_quoted() -> None:
    text = first_file("home", [Site("a", "", "[2001:db8::1]:51820"), Site("b", "")])
    assert load(text.encode(), None, "f", PublicKey).ok


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(ValueError, match="dialable"):
        first_file("home", sites(3, 0))
    with pytest.raises(ValueError, match=str(MOST_SITES)):
        first_file("home", sites(MOST_SITES + 1))
    with pytest.raises(ValueError, match="not 0"):
        first_file("home", [])


@pytest.mark.parametrize("full_exit", [True, False])
def test_the_most_sites_have_room(full_exit: bool) -> None:
    loaded = load(first(MOST_SITES, 1, full_exit).encode(), None, "home.yaml", PublicKey)

    assert loaded.ok, loaded.text()
