"""The lock: allotted once, never moved, the same text for the same lock."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from warren.core.allot import Full, addresses_needed, device_name, room
from warren.core.lockfile import allot, lock_is_current, lock_name, parse_lock, render_lock
from warren.core.parse import parse
from warren.model.endpoint import Endpoint
from warren.model.host import Host, Lan
from warren.model.key import PublicKey
from warren.model.lock import HostLock, Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal

GOLDEN = Path(__file__).parent.parent / "golden" / "check"
OVERLAY = (ip_network("10.77.0.0/24"), ip_network("fd77:7:7::/64"))


def host(name: str, port: int | None = None, endpoint: str = "") -> Host:
    return Host(name, PublicKey(name), Endpoint(endpoint or f"{name}.example.net", 51820), port=port)


def network(*names: str, portals: tuple[tuple[str, ...], ...] = ()) -> Network:
    """Make a network of hosts that can all be dialled; a portal is (entry, …via, exit)."""
    return Network(
        "portals",
        OVERLAY,
        tuple(host(name) for name in names),
        portals=tuple(Portal(Place(PlaceKind.HOST, way[0]), way[-1], via=way[1:-1]) for way in portals),
    )


def story() -> Network:
    found = parse((GOLDEN / "story.yaml").read_bytes(), "story.yaml").network
    assert found is not None
    return found


def test_a_first_lock_counts_from_one_in_the_files_order() -> None:
    lock = allot(network("paris", "nyc", portals=(("nyc", "paris"),)), Lock())

    assert [str(one) for one in lock.by_name["paris"].addresses] == ["10.77.0.1", "fd77:7:7::1"]
    assert [str(one) for one in lock.by_name["nyc"].addresses] == ["10.77.0.2", "fd77:7:7::2"]
    assert [(one.peer, one.name, one.port) for one in lock.by_name["nyc"].devices] == [
        ("", "portals", 51820),
        ("paris", "portals-paris", 51821),
    ]
    assert [one.name for one in lock.hosts] == ["nyc", "paris"]


def test_the_lock_of_the_story_is_the_one_written_down() -> None:
    text = (GOLDEN / "story.lock").read_text()
    lock, found = parse_lock(text.encode(), "story.lock")

    assert lock is not None and not found
    assert allot(story(), Lock()) == lock
    assert lock_is_current(story(), lock)
    assert render_lock(lock).split("\n", 1)[1] == text


def test_what_is_added_gets_new_numbers_and_nobody_else_moves() -> None:
    before = allot(network("a", "c"), Lock())
    after = allot(network("b", "c", "a", portals=(("a", "b"), ("a", "c", "b"))), before)

    assert after.by_name["a"].addresses == before.by_name["a"].addresses
    assert after.by_name["c"] == replace(before.by_name["c"], devices=after.by_name["c"].devices)
    assert str(after.by_name["b"].addresses[0]) == "10.77.0.3"
    assert str(after.by_name["a"].chains[0].addresses[0]) == "10.77.0.4"


def test_a_freed_address_comes_last() -> None:
    small = replace(network("a", "b", "c"), overlay=(ip_network("10.77.0.0/29"),))
    lock = allot(replace(small, hosts=small.hosts[1:]), allot(small, Lock()))
    for name in "defg":
        small = replace(small, hosts=(*small.hosts[:0], *(one for one in small.hosts if one.name != "a"), host(name)))
        lock = allot(small, lock)

    assert [str(lock.by_name[name].addresses[0])[-1] for name in "bcdefg"] == ["2", "3", "4", "5", "6", "1"]
    with pytest.raises(Full):
        allot(replace(small, hosts=(*small.hosts, host("h"))), lock)


def test_what_the_file_writes_out_wins() -> None:
    before = allot(network("a", "b", portals=(("a", "b"),)), Lock())
    changed = replace(network("a", "b", portals=(("a", "b"),)), hosts=(host("a", port=51821), host("b")))
    after = allot(changed, before)

    assert not lock_is_current(changed, before)
    assert [one.port for one in after.by_name["a"].devices] == [51821, 51822]
    assert after.by_name["b"] == before.by_name["b"]


def test_hosts_dialled_at_one_address_share_its_ports() -> None:
    hosts = (host("a", endpoint="home.example.net"), replace(host("b"), endpoint=Endpoint("home.example.net", 51821)))
    both = replace(network("a", "b", "c", portals=(("a", "c"), ("b", "c"))), hosts=(*hosts, host("c")))
    lock = allot(both, Lock())
    ports = [one.port for name in "ab" for one in lock.by_name[name].devices]

    assert sorted(ports) == [51820, 51821, 51822, 51823]


def test_another_overlay_moves_addresses_and_nothing_else() -> None:
    before = allot(network("a", "b", portals=(("a", "b"),)), Lock())
    moved = replace(network("a", "b", portals=(("a", "b"),)), overlay=(ip_network("10.78.0.0/24"), OVERLAY[1]))
    after = allot(moved, before)

    assert str(after.by_name["a"].addresses[0]) == "10.78.0.1"
    assert after.by_name["a"].addresses[1] == before.by_name["a"].addresses[1]
    assert after.by_name["a"].devices == before.by_name["a"].devices


def test_a_lan_called_like_the_tunnel_gets_its_name() -> None:
    taken = replace(host("a"), lans=(Lan("portals", ()),), uplink="portals2")
    lock = allot(replace(network("a"), hosts=(taken,)), Lock())

    assert lock.by_name["a"].device().name == "portals3"


@pytest.mark.parametrize(
    ("network_name", "peer", "taken", "name"),
    [
        ("portals", "", set(), "portals"),
        ("portals", "nyc", set(), "portals-nyc"),
        ("portals", "san-francisco", set(), "porta-san-franc"),
        ("portals", "san-francisco", {"porta-san-franc"}, "porta-san-fran2"),
        ("a-network-in-al", "", {"a-network-in-al"}, "a-network-in-a2"),
        ("w", "the-house-of-my-aunt", set(), "w-the-house-of"),
    ],
)
def test_device_names_fit_into_fifteen_characters(network_name: str, peer: str, taken: set[str], name: str) -> None:
    assert device_name(network_name, peer, taken) == name
    assert len(name) <= 15


@pytest.mark.parametrize(
    ("prefix", "count"),
    [("10.0.0.0/24", 254), ("10.0.0.0/31", 2), ("10.0.0.0/32", 1), ("fd00::/126", 3), ("fd00::/64", 2**64 - 1)],
)
def test_room(prefix: str, count: int) -> None:
    assert room(ip_network(prefix)) == count


def test_addresses_needed_counts_hosts_chains_and_what_shares_their_first_tunnel() -> None:
    """Three hosts, the chains of a and b, and the portal that enters at a and begins as its chain does."""
    assert addresses_needed(network("a", "b", "c", portals=(("a", "b"), ("a", "b", "c"), ("b", "a", "c")))) == 6
    assert addresses_needed(network("a", "b", "c", portals=(("a", "c"), ("a", "b", "c"), ("b", "a", "c")))) == 5


@pytest.mark.parametrize(
    ("file", "lock"),
    [
        ("portals.yaml", "portals.lock"),
        ("/etc/warren/home.yml", "/etc/warren/home.lock"),
        ("a.b/net", "a.b/net.lock"),
        ("x.conf", "x.conf.lock"),
    ],
)
def test_the_lock_lies_beside_the_file(file: str, lock: str) -> None:
    assert lock_name(file) == lock


def test_names_that_yaml_would_take_for_something_else_are_quoted() -> None:
    lock = allot(network("no", "e1", "x", portals=(("no", "x", "e1"),)), Lock())
    text = render_lock(lock)

    assert ('"no":' in text and '"e1":' in text) or "e1:" in text
    assert parse_lock(text.encode(), "f") == (lock, ())


# --- properties ------------------------------------------------------------------------------------------

NAMES = tuple("abcdefgh")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, unique=True))
    ways = draw(
        st.lists(
            st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True).map(tuple), max_size=6, unique=True
        )
    )
    made = network(*names, portals=tuple(ways))
    ported = tuple(replace(one, port=draw(st.sampled_from((None, None, 51820, 51821, 51825)))) for one in made.hosts)
    silent = tuple(replace(one, endpoint=None) if draw(st.booleans()) else one for one in ported)
    return replace(made, hosts=silent, hub=draw(st.sampled_from(names)))


@seed(4)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.lists(networks(), min_size=1, max_size=4))
def test_a_lock_grows_and_never_moves(stages: list[Network]) -> None:
    lock = Lock()
    for stage in stages:
        before, lock = lock, allot(stage, lock)
        assert allot(stage, lock) == lock
        assert allot(replace(stage, hosts=stage.hosts[::-1], portals=stage.portals[::-1]), lock) == lock
        assert parse_lock(render_lock(lock).encode(), "f") == (lock, ())
        _holds_no_two_alike(lock)
        for one in lock.hosts:
            _keeps_what_it_had(stage, before.by_name.get(one.name), one)


def _holds_no_two_alike(lock: Lock) -> None:
    addresses = [address for one in lock.hosts for address in one.addresses]
    addresses += [address for one in lock.hosts for chain in one.chains for address in chain.addresses]
    assert len(set(addresses)) == len(addresses)
    for one in lock.hosts:
        assert len({device.name for device in one.devices}) == len(one.devices)
        assert len({device.port for device in one.devices}) == len(one.devices)


def _keeps_what_it_had(stage: Network, before: HostLock | None, after: HostLock) -> None:
    if before is None:
        return
    assert after.addresses == before.addresses
    had = {device.peer: device for device in before.devices}
    written = stage.by_name[after.name].port
    for device in after.devices[1:]:
        if device.peer in had:
            assert device.name == had[device.peer].name
            assert device.port == had[device.peer].port or had[device.peer].port in (written, 51820)
    for chain in after.chains:
        for old in before.chains:
            assert chain.portal != old.portal or chain == old
