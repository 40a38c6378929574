"""Delegated prefixes: which /64 a LAN has and keeps, what they make of the network, who is told and answered for."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.compile.networks import OVERLAY, host, lan
from warren.core.allot import allot
from warren.core.compile import compile_network
from warren.core.compile.delegates import without_a_way_out
from warren.core.delegates import follow, grant, seen_prefix, watched
from warren.core.diff import diff
from warren.core.lockfile import parse_lock, render_lock
from warren.core.walk import Probe, Scene, Walker
from warren.core.walk.course import Outside
from warren.core.walk.places import STRANGER
from warren.core.world import place_world, surroundings_of
from warren.model.change import PutService
from warren.model.delegate import Delegate
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.prefix import Family, Prefix, covers
from warren.model.trace import Disposition

WHOLE = ip_network("2001:db8:77:100::/56")


def network(*delegates: Delegate) -> Network:
    """r1 with three LANs, and r2, which has the prefixes."""
    lans = (lan(f"lan{number}", f"192.168.{number}.1/24") for number in (1, 2, 3))
    return Network("six", OVERLAY, (host("r1", "", *lans), host("r2", "198.51.100.7")), delegates=delegates)


def given_to(lock: Lock) -> dict[str, str]:
    return {held.lan: str(held.prefix) for held in lock.by_name["r1"].delegated}


LANS = ("lan1", "lan2", "lan3")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(LANS), unique=True), min_size=1, max_size=4), st.sampled_from([56, 60, 62]))
def test_a_lan_keeps_its_subnet_whatever_comes_and_goes(steps: list[list[str]], length: int) -> None:
    """LANs are added, taken out and put in another order; who stays keeps what it has, and no two have the same."""
    whole, lock = ip_network(f"2001:db8:77:100::/{length}"), Lock()
    for lans in steps:
        before = given_to(lock) if lock.hosts else {}
        lock = allot(network(Delegate("r2", "r1", tuple(lans), whole)), lock)
        now = given_to(lock)
        assert now.keys() == set(lans)
        assert all(now[name] == before[name] for name in now.keys() & before.keys())
        assert len(set(now.values())) == len(now)
        assert all(covers(whole, ip_network(prefix)) and prefix.endswith("/64") for prefix in now.values())
        assert parse_lock(render_lock(lock).encode(), "six.lock")[0] == lock


def test_another_prefix_leaves_each_lan_its_number() -> None:
    lock = allot(network(Delegate("r2", "r1", ("lan2", "lan1"), WHOLE)), Lock())
    lock = allot(network(Delegate("r2", "r1", ("lan1",), WHOLE)), lock)
    assert given_to(lock) == {"lan1": "2001:db8:77:101::/64"}

    lock = allot(network(Delegate("r2", "r1", ("lan1",), ip_network("2001:db8:99:ff00::/56"))), lock)
    assert given_to(lock) == {"lan1": "2001:db8:99:ff01::/64"}


def test_a_followed_prefix_is_what_was_last_seen() -> None:
    wanted = network(Delegate("r2", "r1", ("lan1",), follow="eth1"))
    assert given_to(allot(wanted, Lock())) == {}

    lock = allot(wanted, follow(wanted, Lock(), "r2", {"eth1": WHOLE, "eth0": ip_network("2001:db8::/64")}))
    assert given_to(lock) == {"lan1": "2001:db8:77:100::/64"}
    assert [seen.device for seen in lock.by_name["r2"].followed] == ["eth1"]

    lock = allot(wanted, follow(wanted, lock, "r2", {"eth1": ip_network("2001:db8:99::/56")}))
    assert given_to(lock) == {"lan1": "2001:db8:99::/64"}
    assert allot(network(), lock).by_name["r2"].followed == ()


def test_the_prefix_of_a_device_is_the_widest_global_one_and_the_newest() -> None:
    seen = [ip_interface(text) for text in ("fd00::1/48", "2001:db8::1/128", "2001:db8:1::1/60", "2001:db8:2::1/60")]
    assert str(seen_prefix(seen)) == "2001:db8:2::/60"
    assert seen_prefix(seen[:2]) is None


def test_granting_twice_is_granting_once() -> None:
    wanted = network(Delegate("r2", "r1", ("lan1", "lan3"), WHOLE))
    lock = allot(wanted, Lock())
    once = grant(wanted, lock)

    assert grant(once, lock) == once
    assert allot(once, lock) == lock
    assert [str(one) for one in once.by_name["r1"].lan("lan3").delegated] == ["2001:db8:77:101::1/64"]
    assert compile_network(once, lock, {}) == compile_network(wanted, lock, {})
    assert [(one.peer, one.device, one.lans) for one in watched(lock, "r1")] == [("r2", "six-r2", ("lan1", "lan3"))]


def test_a_way_out_is_taken_back_lan_by_lan() -> None:
    live = "ra-param=lan1,mtu:1420,60,1800\nra-param=lan2,mtu:1420,60,1800\n"
    assert without_a_way_out(live, ["lan2"]) == live.replace("lan2,mtu:1420,60,1800", "lan2,mtu:1420,60,0")
    assert without_a_way_out(without_a_way_out(live, ["lan1", "lan2"]), []).count(",0") == 2


def test_a_tunnel_that_carries_less_is_announced_anew() -> None:
    """What the agent alters of the announcer's files is not compared; the MTU stands there too."""
    wanted = network(Delegate("r2", "r1", ("lan1",), WHOLE))
    one, other = (
        scene(replace(wanted, hosts=(replace(wanted.hosts[0], mtu=mtu), wanted.hosts[1]))).states["r1"]
        for mtu in (1420, 1300)
    )
    assert [type(item.change) for item in diff(one, one)] == []
    assert PutService in [type(item.change) for item in diff(other, one)]


def scene(wanted: Network) -> Scene:
    lock = allot(wanted, Lock())
    wanted = grant(wanted, lock)
    world = place_world(wanted, lock)
    around = {one.name: surroundings_of(world, wanted, one.name) for one in wanted.hosts}
    return Scene(compile_network(wanted, lock, around), around, world)


def test_on_a_link_somebody_has_to_answer() -> None:
    """A packet for a prefix of r2's own link comes to r2 only because ndppd says there that it has the address."""
    on_link: Prefix = ip_network("2001:db8:5::/64")
    made = scene(network(Delegate("r2", "r1", ("lan1",), on_link, proxy=True)))
    to = next(one.address(Family.IPV6) for one in made.world.clients if one.name == "r1.lan1")
    assert to is not None and to in on_link
    probe = Probe(Outside(), to, STRANGER[Family.IPV6], "tcp", dport=22)

    refused = Walker(made).walk(probe)
    assert refused.disposition is Disposition.BLOCKED and refused.at == "r2"

    deaf = replace(made.states["r2"], services=())
    lost = Walker(Scene({**made.states, "r2": deaf}, made.surroundings, made.world)).walk(probe)
    assert lost.disposition is Disposition.LOST and "nobody answers" in lost.says
    own = made.world.host_by_name["r2"].attachment.address(Family.IPV6)
    assert own is not None and own in on_link
    assert not any(covers(prefix, own) for service in made.states["r2"].services for prefix in service.answers)
