"""`map: auto`: what is allotted is free, as long as asked, and stays."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.compile.networks import host
from warren.core.allot import Full, allot
from warren.core.maps import NoRoom, allot_maps, settled
from warren.core.walk.packet import to_address
from warren.model.expect import Expect, Target
from warren.model.host import Host, Lan
from warren.model.lock import HostLock, Lock, MapLock
from warren.model.mapped import MappedPrefix, address_moved, moved
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import PRIVATE, Family, Prefix, covers, overlaps

OVERLAY = (ip_network("10.64.0.0/24"), ip_network("fd77:7:7::/64"))


def auto(name: str, *addresses: str) -> Lan:
    return Lan(name, tuple(ip_interface(address) for address in addresses), map_auto=True)


def site(name: str, *lans: Lan) -> Host:
    return host(name, f"198.51.100.{len(name)}", *lans)


def network(*hosts: Host, overlay: tuple[Prefix, ...] = OVERLAY) -> Network:
    return Network("maps", overlay, hosts)


def seen(one: Network, lock: Lock | None = None) -> dict[str, list[str]]:
    """What LANs are known as, by `host.lan`."""
    found = allot_maps(one, lock or Lock())
    return {f"{name}.{m.lan}": [str(p.seen) for p in m.prefixes] for name, maps in found.items() for m in maps}


TWO = network(site("a", auto("eth1", "192.168.1.1/24", "fd11::1/64")), site("bb", auto("eth1", "192.168.1.1/24")))


def test_each_gets_one_as_long_around_the_overlay() -> None:
    assert seen(TWO) == {"a.eth1": ["10.64.1.0/24", "fd77:7:7:1::/64"], "bb.eth1": ["10.64.2.0/24"]}


def test_what_the_lock_holds_stays_and_what_was_freed_comes_last() -> None:
    lock = allot(TWO, Lock())
    third = replace(TWO, hosts=(site("ccc", auto("eth1", "192.168.1.1/24")), TWO.hosts[1]))

    assert seen(third, lock) == {"bb.eth1": ["10.64.2.0/24"], "ccc.eth1": ["10.64.3.0/24"]}
    assert settled(TWO, lock).hosts[0].lans[0].mapped[0].seen == ip_network("10.64.1.0/24")
    assert allot(settled(TWO, lock), lock) == lock


def test_a_lan_that_is_renumbered_keeps_what_it_is_known_as() -> None:
    lock = allot(TWO, Lock())
    a = site("a", auto("eth1", "192.168.7.1/24", "fd11::1/64"))

    assert seen(replace(TWO, hosts=(a, TWO.hosts[1])), lock) == seen(TWO)


def test_one_that_grows_and_one_whose_prefix_the_file_takes_get_others() -> None:
    lock = allot(TWO, Lock())
    a = site("a", auto("eth1", "192.168.1.1/23", "fd11::1/64"), Lan("eth2", (ip_interface("10.64.2.1/24"),)))

    found = seen(replace(TWO, hosts=(a, TWO.hosts[1])), lock)
    assert found == {"a.eth1": ["10.64.4.0/23", "fd77:7:7:1::/64"], "bb.eth1": ["10.64.3.0/24"]}


def test_global_addresses_closed_lans_and_families_without_tunnels_have_none() -> None:
    mixed = site("a", auto("eth1", "2001:db8:7::1/64", "fd11::1/64"), replace(auto("eth2", "10.1.0.1/24"), closed=True))

    assert seen(network(mixed)) == {"a.eth1": ["fd77:7:7:1::/64"]}
    assert seen(network(mixed, overlay=OVERLAY[:1])) == {}


def test_everything_that_the_file_names_is_passed_over() -> None:
    place = Place(PlaceKind.HOST, "a")
    one = replace(
        TWO,
        portals=(Portal(place, "bb", exceptions=(ip_network("10.64.1.0/28"),)),),
        expects=(Expect(place, Target(address=ip_address("10.64.2.9"))),),
    )

    assert seen(one)["a.eth1"][0] == "10.64.3.0/24"


def test_without_a_unique_local_overlay_the_site_follows_from_the_name() -> None:
    def known_as(lan: Lan) -> Prefix:
        (found,) = seen(network(site("a", lan), overlay=(ip_network("2001:db8::/64"),))).values()
        return ip_network(found[0])

    one = known_as(auto("eth1", "fd11::1/64"))
    wide = known_as(auto("eth1", "fd11::1/40"))
    assert str(one).startswith("fd") and one == known_as(auto("br0", "fd11::1/64"))
    assert wide.prefixlen == 40 and covers(ip_network("fd00::/8"), wide)


def test_what_is_too_large_is_refused() -> None:
    huge = network(site("a", auto("eth1", "11.0.0.1/8")))
    with pytest.raises(NoRoom):
        allot_maps(huge, Lock())
    with pytest.raises(Full, match=r"a\.eth1"):
        allot(huge, Lock())


@given(
    lengths=st.lists(st.integers(9, 30), min_size=1, max_size=12),
    taken=st.lists(st.tuples(st.integers(0, (1 << 24) - 1), st.integers(12, 28)), max_size=12),
    held=st.lists(st.tuples(st.integers(0, (1 << 24) - 1), st.integers(9, 30)), max_size=6),
)
def test_no_two_have_a_part_of_one_another(
    lengths: list[int], taken: list[tuple[int, int]], held: list[tuple[int, int]]
) -> None:
    """Held against the plainest question: does any prefix overlap any other?"""
    lans = tuple(auto(f"e{at}", f"172.{16 + at}.0.1/{length}") for at, length in enumerate(lengths))
    others = [ip_network((to_address((10 << 24) | low, 4), length), strict=False) for low, length in taken]
    exits = tuple(Portal(Place(PlaceKind.HOST, "a"), "a", exceptions=(prefix,)) for prefix in others)
    before = tuple(
        MapLock(f"e{at}", (MappedPrefix(own, own),))
        for at, (low, length) in enumerate(held)
        for own in [ip_network((to_address((10 << 24) | low, 4), length), strict=False)]
    )
    asked = replace(network(site("a", *lans), overlay=OVERLAY[:1]), portals=exits)
    lock = Lock((HostLock("a", (), (), (), before),))
    try:
        found = allot_maps(asked, lock)["a"]
    except NoRoom:
        return
    given_out = [pair.seen for one in found for pair in one.prefixes]
    fixed = [OVERLAY[0], *others, *(prefix for lan in lans for prefix in lan.prefixes)]

    assert sorted(prefix.prefixlen for prefix in given_out) == sorted(lengths)
    assert all(any(covers(wide, one) for wide in PRIVATE) for one in given_out)
    for at, one in enumerate(given_out):
        assert not any(overlaps(one, other) for other in (*fixed, *given_out[:at]))
    assert {one.lan: one for one in allot_maps(asked, Lock((HostLock("a", (), (), (), found),)))["a"]} == {
        one.lan: one for one in found
    }


def test_a_thousand_take_a_moment() -> None:
    like = site("a", auto("eth1", "192.168.1.1/24", "fd11::1/64"))
    big = network(*(replace(like, name=f"h{at}") for at in range(1000)))
    start = time.process_time()
    found = allot_maps(big, Lock())

    assert len({pair.seen for maps in found.values() for one in maps for pair in one.prefixes}) == 2000
    assert time.process_time() - start < 1.0


def test_numbers_are_kept_both_ways() -> None:
    own, other = ip_network("192.168.1.0/24"), ip_network("10.99.1.0/24")

    assert moved(ip_network("192.168.1.64/26"), own, other) == ip_network("10.99.1.64/26")
    assert MappedPrefix(own, other).outward(ip_network("192.168.2.0/24")) is None
    for number in (0, 51, 255):
        there = address_moved(own[number], own, other)
        assert there == other[number] and address_moved(there, other, own) == own[number]
    v6 = ip_network("fd11:1::/64"), ip_network("fd99::/64")
    assert address_moved(ip_address("fd11:1::51"), *v6) == ip_address("fd99::51")
    assert Family(v6[0].version) is Family.IPV6
